//! Segmentation of large TCP packets in software.

use crate::LinkType;
use crate::checksum::{IPV4, IPV6, Segment, TCP, internet_checksum, network};

/// Splits a packet as an adapter with TCP segmentation offload does (`NETIF_F_TSO` of the kernel).
/// Each piece has the headers, with lengths, sequence number and checksums adjusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    segment: Segment,
    /// Bytes of payload per piece.
    size: usize,
    /// Offset of the next byte of the payload.
    at: usize,
}

/// TCP flags (RFC 9293, section 3.1), bits of the header's 14th byte.
const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

impl Cut {
    /// `None` if the packet is not TCP, is a fragment, has no payload, or has headers that leave no
    /// room for payload.
    pub(super) fn of(packet: &[u8], link_type: LinkType, longest: usize) -> Option<Self> {
        let segment = Segment::of(packet, link_type)?;
        let size = longest.checked_sub(segment.place.start + segment.header)?;
        let cut = Self { segment, size, at: 0 };
        (cut.segment.protocol == TCP && size > 0 && cut.payload() > 0).then_some(cut)
    }

    /// `true` if all pieces were written.
    pub(super) fn is_over(&self) -> bool {
        self.at >= self.payload()
    }

    /// Moves to the next piece.
    pub(super) fn advance(&mut self) {
        self.at += self.size;
    }

    /// Writes the current piece.
    pub(super) fn write(&self, packet: &[u8], piece: &mut Vec<u8>) {
        let Segment { place, header, ethertype, .. } = &self.segment;
        let end = self.payload().min(self.at + self.size);
        let payload = place.start + header;
        piece.clear();
        piece.extend_from_slice(&packet[..payload]);
        piece.extend_from_slice(&packet[payload + self.at..payload + end]);

        let tcp = place.start;
        let sequence =
            u32::from_be_bytes([tcp + 4, tcp + 5, tcp + 6, tcp + 7].map(|at| packet[at]));
        let sequence = sequence.wrapping_add(self.at as u32);
        piece[tcp + 4..tcp + 8].copy_from_slice(&sequence.to_be_bytes());
        if self.at > 0 {
            // CWR answers one congestion mark (RFC 3168, section 6.1.2). Repeated on each piece it
            // would answer marks that were not sent.
            piece[tcp + 13] &= !CWR;
        }
        if end < self.payload() {
            // Both refer to the end of the data, which only the last piece has.
            piece[tcp + 13] &= !(FIN | PSH);
        }

        let network = self.segment.network;
        let len = piece.len() - network;
        if *ethertype == IPV4 {
            piece[network + 2..network + 4].copy_from_slice(&(len as u16).to_be_bytes());
            let number = u16::from_be_bytes([packet[network + 4], packet[network + 5]]);
            // A number for each piece, as fragments of two pieces with the same number would be
            // mixed (RFC 6864).
            let number = number.wrapping_add((self.at / self.size) as u16);
            piece[network + 4..network + 6].copy_from_slice(&number.to_be_bytes());
            piece[network + 10..network + 12].fill(0);
            let sum = internet_checksum(&piece[network..tcp]);
            piece[network + 10..network + 12].copy_from_slice(&sum);
        } else {
            piece[network + 4..network + 6].copy_from_slice(&(len as u16 - 40).to_be_bytes());
        }
        let pseudo = self.segment.pseudo_for(piece.len() - tcp);
        let segment = Segment { place: tcp..piece.len(), pseudo, ..self.segment.clone() };
        let sum = segment.sum(piece);
        piece[segment.field()].copy_from_slice(&sum);
    }

    fn payload(&self) -> usize {
        self.segment.place.len() - self.segment.header
    }
}

/// Removes the hop-by-hop header from an IPv6 packet of more than 64 KiB. The header only holds the
/// length (the jumbo payload option, RFC 2675), and no piece needs it.
pub(super) fn without_jumbo_header(packet: &mut Vec<u8>, link_type: LinkType) {
    const HOP_BY_HOP: u8 = 0;
    const JUMBO_PAYLOAD: [u8; 3] = [0, 0xc2, 4];
    let Some((at, IPV6)) = network(packet, link_type) else { return };
    let Some(header) = packet.get(at..at + 48) else { return };
    if header[4..7] == [0, 0, HOP_BY_HOP] && header[41..44] == JUMBO_PAYLOAD {
        packet[at + 6] = packet[at + 40];
        packet.drain(at + 40..at + 48);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A packet over IPv4 (with options) or IPv6, after VLAN tags, without its checksum.
    fn packet(v6: bool, tags: usize, options: usize, payload: &[u8], flags: u8) -> Vec<u8> {
        let mut packet = vec![2; 12];
        for _ in 0..tags {
            packet.extend([0x81, 0, 0, 5]);
        }
        let tcp = 20 + 4 * options + payload.len();
        if v6 {
            packet.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            packet.extend((tcp as u16).to_be_bytes());
            packet.extend([TCP, 64]);
            packet.extend([0xfd; 32]);
        } else {
            packet.extend([8, 0, 0x46, 0]);
            packet.extend((24 + tcp as u16).to_be_bytes());
            packet.extend([0xff, 0xff, 0x40, 0, 64, TCP, 0xbe, 0xef, 10, 0, 0, 1, 10, 0, 0, 2]);
            packet.extend([1; 4]);
        }
        packet.extend([0, 80, 0x12, 0x34, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1]);
        packet.extend([(5 + options as u8) << 4, flags, 1, 0, 0xbe, 0xef, 0, 0]);
        packet.extend(std::iter::repeat_n(1, 4 * options));
        packet.extend(payload);
        packet
    }

    proptest! {
        /// Reassembling the pieces gives the packet, and each piece is valid by itself.
        #[test]
        fn pieces_make_the_whole(
            v6 in any::<bool>(),
            tags in 0..3_usize,
            options in 0..10_usize,
            payload in proptest::collection::vec(any::<u8>(), 1..3000),
            flags in any::<u8>(),
            padding in 0..8_usize,
            room in 1..1500_usize,
        ) {
            let mut whole = packet(v6, tags, options, &payload, flags);
            let headers = whole.len() - payload.len();
            whole.extend(std::iter::repeat_n(0xaa, padding));
            let longest = headers + room;
            let mut cut = Cut::of(&whole, LinkType::ETHERNET, longest).expect("TCP");
            let (mut seen, mut piece, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
            let network = 14 + 4 * tags;
            while !cut.is_over() {
                cut.write(&whole, &mut piece);
                prop_assert!(piece.len() <= longest);
                let segment = Segment::of(&piece, LinkType::ETHERNET).expect("TCP");
                prop_assert_eq!(segment.place.end, piece.len(), "the lengths are right");
                prop_assert_eq!(&segment.sum(&piece)[..], &piece[segment.field()]);
                if !v6 {
                    let header = &piece[network..segment.place.start];
                    prop_assert_eq!(internet_checksum(header), [0, 0]);
                    numbers.push(u16::from_be_bytes([header[4], header[5]]));
                }
                let tcp = segment.place.start;
                let field = <[u8; 4]>::try_from(&piece[tcp + 4..tcp + 8]).unwrap();
                let sequence = u32::from_be_bytes(field);
                prop_assert_eq!(sequence, 0xffff_ff00_u32.wrapping_add(seen.len() as u32));
                seen.extend_from_slice(&piece[headers..]);
                let first = seen.len() <= room;
                let expected = match (first, seen.len() == payload.len()) {
                    (true, true) => flags,
                    (true, false) => flags & !(FIN | PSH),
                    (false, true) => flags & !CWR,
                    (false, false) => flags & !(FIN | PSH | CWR),
                };
                prop_assert_eq!(piece[tcp + 13], expected);
                cut.advance();
            }
            prop_assert!(seen == payload);
            for (at, number) in numbers.into_iter().enumerate() {
                prop_assert_eq!(number, 0xffff_u16.wrapping_add(at as u16), "numbered through");
            }
        }
    }

    #[test]
    fn big_tcp_is_cut() {
        let payload: Vec<u8> = (0..150_000_u32).map(|at| (at / 11) as u8).collect();
        for v6 in [false, true] {
            let mut whole = packet(v6, 1, 0, &payload, PSH);
            let headers = whole.len() - payload.len();
            if v6 {
                whole[22..25].copy_from_slice(&[0, 0, 0]);
                let len = (8 + 20 + payload.len() as u32).to_be_bytes();
                let jumbo = [&[TCP, 0, 0xc2, 4][..], &len].concat();
                whole.splice(58..58, jumbo);
            } else {
                whole[20..22].fill(0);
            }
            without_jumbo_header(&mut whole, LinkType::ETHERNET);
            let longest = 60_000;
            let mut cut = Cut::of(&whole, LinkType::ETHERNET, longest).expect("TCP");
            let (mut seen, mut piece) = (Vec::new(), Vec::new());
            while !cut.is_over() {
                cut.write(&whole, &mut piece);
                assert!(piece.len() <= longest);
                let segment = Segment::of(&piece, LinkType::ETHERNET).expect("TCP");
                assert_eq!(segment.place.end, piece.len());
                assert_eq!(segment.sum(&piece), piece[segment.field()]);
                seen.extend_from_slice(&piece[headers..]);
                cut.advance();
            }
            assert!(seen == payload, "IPv6: {v6}");
        }
    }

    #[test]
    fn what_cannot_be_cut_is_left() {
        let tcp = packet(false, 0, 0, &[1; 100], 0);
        assert_eq!(Cut::of(&tcp, LinkType::ETHERNET, 58), None, "headers alone fill it");
        assert!(Cut::of(&tcp, LinkType::ETHERNET, 59).is_some());
        let mut udp = tcp.clone();
        udp[23] = 17;
        assert_eq!(Cut::of(&udp, LinkType::ETHERNET, 100), None);
        let mut fragment = tcp;
        fragment[20] = 0x20;
        assert_eq!(Cut::of(&fragment, LinkType::ETHERNET, 100), None);
    }
}
