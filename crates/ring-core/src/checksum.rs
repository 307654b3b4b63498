//! TCP and UDP checksums for frames that lack them (RFC 9293, section 3.1; RFC 768; RFC 8200,
//! section 8.1).

use std::ops::Range;

use crate::LinkType;

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;

/// The position of a frame's TCP or UDP segment and what its checksum needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Offset of the network header.
    pub(crate) network: usize,
    /// The segment's bytes in the frame. Bytes after it are padding.
    pub(crate) place: Range<usize>,
    /// Length of the segment's header in bytes.
    pub(crate) header: usize,
    /// Offset of the checksum in the segment.
    pub(crate) checksum: usize,
    pub(crate) protocol: u8,
    pub(crate) ethertype: u16,
    /// The sum of the pseudo-header. A frame whose checksum is left to an adapter has this value in
    /// the checksum's place.
    pub(crate) pseudo: u16,
}

impl Segment {
    /// Finds the segment. `None` for other protocols, fragments, IPv6 extension headers, and frames
    /// whose lengths contradict each other.
    pub(crate) fn of(frame: &[u8], link_type: LinkType) -> Option<Self> {
        let (network, ethertype) = network(frame, link_type)?;
        let packet = frame.get(network..)?;
        let (protocol, transport, end, addresses) = match ethertype {
            IPV4 => {
                let header = packet.first_chunk::<20>()?;
                let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
                let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
                let transport = usize::from(header[0] & 0x0f) * 4;
                if header[0] >> 4 != 4 || transport < 20 || fragment != 0 {
                    return None;
                }
                (header[9], transport, len_of_large(length, packet), 12..20)
            }
            IPV6 => {
                let header = packet.first_chunk::<40>()?;
                let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
                if header[0] >> 4 != 6 {
                    return None;
                }
                (header[6], 40, len_of_large(40 * usize::from(length > 0) + length, packet), 8..40)
            }
            _ => return None,
        };
        let segment = packet.get(transport..end)?;
        let (checksum, header) = match protocol {
            TCP => (16, usize::from(segment.get(12)? >> 4) * 4),
            UDP => (6, 8),
            _ => return None,
        };
        if header < checksum + 2 || segment.len() < header {
            return None;
        }
        let sum = add(u64::from(protocol) + segment.len() as u64, &packet[addresses]);
        let place = network + transport..network + end;
        Some(Self { network, place, header, checksum, protocol, ethertype, pseudo: fold(sum) })
    }

    /// The checksum's bytes in the frame.
    pub(crate) fn field(&self) -> Range<usize> {
        let at = self.place.start + self.checksum;
        at..at + 2
    }

    /// The sum of the pseudo-header for a segment of length `len`.
    pub(crate) fn pseudo_for(&self, len: usize) -> u16 {
        let without = u64::from(self.pseudo) + u64::from(!fold(self.place.len() as u64));
        fold(without + len as u64)
    }

    /// `true` if the checksum of `frame` is left to an adapter: it equals the sum of the
    /// pseudo-header and is not correct by coincidence.
    pub(crate) fn is_unfinished(&self, frame: &[u8]) -> bool {
        frame.get(self.field()) == Some(&self.pseudo.to_be_bytes())
            && fold(add(self.pseudo.into(), &frame[self.place.clone()])) != 0xffff
    }

    /// Computes the checksum of `frame`, from which this segment was parsed.
    pub(crate) fn sum(&self, frame: &[u8]) -> [u8; 2] {
        let segment = &frame[self.place.clone()];
        let (before, behind) = (&segment[..self.checksum], &segment[self.checksum + 2..]);
        // The checksum field counts as 0. It is at an even offset in both protocols.
        let sum = !fold(add(add(self.pseudo.into(), before), behind));
        // In UDP, 0 means that there is no checksum.
        let sum = if self.protocol == UDP && sum == 0 { 0xffff } else { sum };
        sum.to_be_bytes()
    }
}

/// The length of an IP packet. BIG TCP packets exceed the header's length field, which is 0 then.
fn len_of_large(length: usize, packet: &[u8]) -> usize {
    if length == 0 && packet.len() > usize::from(u16::MAX) { packet.len() } else { length }
}

/// The internet checksum (RFC 1071) of bytes whose checksum field is 0. With the correct checksum
/// in place, the result is 0.
pub(crate) fn internet_checksum(bytes: &[u8]) -> [u8; 2] {
    (!fold(add(0, bytes))).to_be_bytes()
}

/// Adds 16-bit words in network byte order. An odd byte at the end is the upper half of a word.
fn add(sum: u64, bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let words = pairs.iter().map(|&pair| u64::from(u16::from_be_bytes(pair)));
    sum + words.sum::<u64>() + rest.first().map_or(0, |&odd| u64::from(odd) << 8)
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The offset and EtherType of the network header. Skips up to two VLAN tags.
pub(crate) fn network(frame: &[u8], link_type: LinkType) -> Option<(usize, u16)> {
    if link_type == LinkType::RAW {
        return Some((0, if frame.first()? >> 4 == 6 { IPV6 } else { IPV4 }));
    }
    let mut at = 12;
    for _ in 0..3 {
        let bytes = frame.get(at..at + 2)?;
        match u16::from_be_bytes([bytes[0], bytes[1]]) {
            0x8100 | 0x88a8 => at += 4,
            ethertype => return Some((at + 2, ethertype)),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An IPv4 datagram from 10.0.0.1 to 10.0.0.2.
    fn udp(payload: &[u8], padding: usize) -> Vec<u8> {
        let mut frame = vec![0; 42];
        frame[12..15].copy_from_slice(&[8, 0, 0x45]);
        frame[16..18].copy_from_slice(&(28 + payload.len() as u16).to_be_bytes());
        frame[23] = UDP;
        frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        frame[38..40].copy_from_slice(&(8 + payload.len() as u16).to_be_bytes());
        frame.extend_from_slice(payload);
        frame.extend(std::iter::repeat_n(0xee, padding));
        frame
    }

    #[test]
    fn known_sums_come_out() {
        // "hello" from port 4660 to port 7, summed by hand.
        let mut frame = udp(b"hello", 9);
        frame[34..38].copy_from_slice(&[0x12, 0x34, 0, 7]);
        let segment = Segment::of(&frame, LinkType::ETHERNET).expect("UDP");
        assert_eq!((segment.place.clone(), segment.field()), (34..47, 40..42));
        // 1234 + 0007 + 000d + 6865 + 6c6c + 6f00, and of the pseudo-header 0a00 + 1 + 0a00 + 2 +
        // 17 + 13.
        let sum: u32 = 0x1234 + 7 + 13 + 0x6865 + 0x6c6c + 0x6f00 + 0x1400 + 3 + 17 + 13;
        let expected = !((sum & 0xffff) + (sum >> 16)) as u16;
        assert_eq!(segment.sum(&frame), expected.to_be_bytes());
    }

    #[test]
    fn known_sums_come_out_over_ipv6() {
        // An ACK of port 1 to port 2 from fd00::1 to fd00::2, in a frame with a VLAN tag.
        let mut frame = vec![0; 12];
        frame.extend([0x81, 0, 0, 5, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 21, TCP, 64]);
        for last in [1, 2] {
            frame.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        frame.extend([0, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0x50, 0x10, 0, 5, 0xbe, 0xef, 0, 0, 7]);
        let segment = Segment::of(&frame, LinkType::ETHERNET).expect("TCP");
        assert_eq!((segment.place.clone(), segment.field()), (58..79, 74..76));
        // fd00 + 1 + fd00 + 2 + 21 + 6, then 1 + 2 + 3 + 4 + 5010 + 5 + 0700.
        assert_eq!(u32::from(segment.pseudo), ((0x1_fa00 + 3 + 27) & 0xffff) + 1);
        let sum: u32 = 0x1_fa00 + 3 + 27 + 10 + 0x5010 + 5 + 0x0700;
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        assert_eq!(segment.sum(&frame), sum.to_be_bytes());
    }

    #[test]
    fn none_is_never_written_for_udp() {
        // The payload brings the sum to 0xffff, whose complement is 0.
        let mut frame = udp(&[0, 0], 0);
        let before = Segment::of(&frame, LinkType::ETHERNET).expect("UDP");
        let sum = u16::from_be_bytes(before.sum(&frame));
        frame[42..].copy_from_slice(&sum.to_be_bytes());
        let segment = Segment::of(&frame, LinkType::ETHERNET).expect("UDP");
        assert_eq!(segment.sum(&frame), [0xff, 0xff]);
    }

    proptest! {
        #[test]
        fn what_is_finished_is_right(
            payload in proptest::collection::vec(any::<u8>(), 0..100),
            padding in 0..20_usize,
        ) {
            let mut frame = udp(&payload, padding);
            let segment = Segment::of(&frame, LinkType::ETHERNET).expect("UDP");
            frame[segment.field()].copy_from_slice(&segment.pseudo.to_be_bytes());
            prop_assume!(segment.sum(&frame) != segment.pseudo.to_be_bytes());
            prop_assert!(segment.is_unfinished(&frame));
            let sum = segment.sum(&frame);
            frame[segment.field()].copy_from_slice(&sum);
            prop_assert!(!segment.is_unfinished(&frame));
            let whole = add(segment.pseudo.into(), &frame[segment.place]);
            prop_assert_eq!(fold(whole), 0xffff);
        }
    }
}
