//! Invariants of every packet, whatever its contents.

use std::sync::LazyLock;

use flow::{
    Checksum, Defragmenter, FiveTuple, FiveTupleKey, FlowHandler, FlowTable, LinkType, Packet,
    Parsed, Parser, Timestamp,
};

use crate::gallery::{Exhibit, gallery};

struct Nobody;
impl FlowHandler<FiveTupleKey> for Nobody {}

/// Builds a packet from arbitrary bytes: an exhibit with some bytes changed and its end cut off, or
/// just noise.
pub fn packet_of(input: &[u8]) -> Option<(LinkType, Vec<u8>, u32)> {
    let (&[choice, cut], changes) = input.split_first_chunk::<2>()?;
    static GALLERY: LazyLock<Vec<Exhibit>> = LazyLock::new(gallery);
    let all = &*GALLERY;
    // A fixed number, so that adding exhibits does not change the existing seeds.
    if choice == u8::MAX {
        let (&[high, low], noise) = changes.split_first_chunk::<2>()?;
        let link_type = LinkType(u16::from_be_bytes([high & 1, low]));
        return Some((link_type, noise.to_vec(), (noise.len() + usize::from(cut)) as u32));
    }
    let exhibit = &all[usize::from(choice) % all.len()];
    let mut data = exhibit.frame.0.clone();
    let wire_len = data.len() as u32;
    for change in changes.chunks_exact(2) {
        let at = usize::from(change[0]) % data.len();
        data[at] ^= change[1];
    }
    data.truncate(data.len() - usize::from(cut) % data.len());
    Some((LinkType(exhibit.link_type), data, wire_len))
}

/// Parses the packet, and the datagram if it is a fragment, and compares the results with the
/// packet.
///
/// # Panics
/// If they contradict it.
pub fn check(link_type: LinkType, data: &[u8], wire_len: u32, defragmenter: &mut Defragmenter) {
    let parser = Parser::default();
    let mut packet = Packet::new(data, Timestamp::from_nanos(1), link_type);
    packet.meta_mut().wire_len = wire_len;
    let mut parsed = parser.parse(&packet);
    assert_eq!(parsed, parser.parse(&packet));
    // A table processes every packet of an aggregate.
    let mut table = FlowTable::builder(FiveTuple::bidirectional()).max_flows(4).build();
    table.process([packet], &mut Nobody);
    assert_eq!(table.statistics().packets, 1);
    let mut bytes = data.to_vec();
    loop {
        match parsed {
            Err(_) => return,
            Ok(Parsed::Transport(headers)) => {
                assert!(headers.network_offset <= headers.transport_offset);
                assert!(headers.transport_offset <= headers.payload_offset);
                let end = headers.payload_offset as usize + headers.payload_len as usize;
                assert!(end <= bytes.len());
                assert!(headers.payload_len <= headers.payload_wire_len);
                assert_eq!(headers.source.is_ipv4(), headers.destination.is_ipv4());
                let known = headers.verify_checksum(&bytes) != Checksum::Unknown;
                assert!(!known || matches!(headers.protocol, 6 | 17));
                return;
            }
            Ok(Parsed::FrameFragment(fragment)) => {
                let Some(frame) = defragmenter.push_frame(&fragment, &bytes, packet.timestamp())
                else {
                    return;
                };
                let frame = frame.to_vec();
                parsed = parser.parse_frame(&frame, &fragment);
                bytes = frame;
            }
            Ok(Parsed::Fragment(fragment)) => {
                assert!(fragment.network_offset + fragment.header_len <= fragment.payload_offset);
                let end = fragment.payload_offset as usize + fragment.payload_len as usize;
                assert!(end <= bytes.len());
                assert!(fragment.next_header_offset < fragment.header_len);
                assert!(fragment.fragment_offset % 8 == 0 && fragment.fragment_offset <= 65_528);
                let Some(datagram) = defragmenter.push(&fragment, &bytes, packet.timestamp())
                else {
                    return;
                };
                let datagram = datagram.to_vec();
                parsed = parser.parse_datagram(&datagram, fragment.scope, fragment.layers);
                bytes = datagram;
            }
        }
    }
}
