//! From the ring layer's packets to the flow layer's.

use flow::{LinkType, Timestamp};
use ring_core::ChecksumStatus;

/// The same packet, borrowed from the same memory.
#[inline]
pub(crate) fn packet<'a>(packet: &ring_core::Packet<'a>) -> flow::Packet<'a> {
    let meta = packet.meta();
    // A frame check sequence is no payload, not even of a packet whose own length is 0.
    let (data, wire_len) = packet.without_fcs();
    flow::Packet {
        data,
        wire_len,
        timestamp: Timestamp::from_nanos(meta.timestamp.as_nanos()),
        link_type: LinkType(meta.link_type.0),
        vlan_tci: meta.vlan.map(|tag| tag.tci),
        number: meta.number,
        checksum_partial: meta.checksum == ChecksumStatus::Partial,
    }
}

#[cfg(test)]
mod tests {
    use ring_core::{Packet, PacketMeta};

    #[test]
    fn a_check_sequence_is_no_payload_of_a_packet_without_a_length() {
        let mut frame = vec![0; 14];
        frame[12] = 8;
        // Segmentation was left to the adapter: the IP header's length is 0.
        frame.extend([0x45, 0, 0, 0, 0, 1, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        frame.extend([0, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0x50, 0x10, 9, 9, 0, 0, 0, 0]);
        frame.extend(b"payload");
        let payload_len = |frame: &[u8], fcs_len| {
            let time = ring_core::Timestamp::default();
            let mut meta = PacketMeta::new(1, time, ring_core::LinkType::ETHERNET);
            meta.fcs_len = fcs_len;
            match flow::parse(&super::packet(&Packet::new(frame, meta))) {
                Ok(flow::Parsed::Transport(headers)) => headers.payload_wire_len,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(payload_len(&frame, 0), 7);
        frame.extend([0xff; 4]);
        assert_eq!((payload_len(&frame, 0), payload_len(&frame, 4)), (11, 7));
    }
}
