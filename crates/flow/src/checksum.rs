//! Internet checksums (RFC 1071) of IPv4, TCP and UDP.

use std::net::IpAddr;

use crate::Headers;
use crate::headers::protocol;

/// The result of verifying a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Checksum {
    /// The checksum is right.
    Valid,
    /// The checksum is wrong, so the receiver dropped this packet.
    Invalid,
    /// The checksum covers only the pseudo-header. The sender left the rest to its adapter, and the
    /// packet was captured before that.
    Partial,
    /// The checksum cannot be verified: part of the packet was not captured, the sender computed
    /// none (UDP), or the protocol is not supported.
    Unknown,
}

impl Headers {
    /// Verifies the transport checksum of TCP and UDP. `data` are the bytes that were parsed.
    ///
    /// The pseudo-header contains the final destination of a routing header, and a home address, if
    /// there are any; `self` has these addresses (RFC 8200, section 8.1).
    #[must_use]
    pub fn verify_checksum(&self, data: &[u8]) -> Checksum {
        let start = self.transport_offset as usize;
        let end = self.payload_offset as usize + self.payload_len as usize;
        if self.payload_len != self.payload_wire_len {
            return Checksum::Unknown;
        }
        let Some(segment) = data.get(start..end) else { return Checksum::Unknown };
        let stored = match self.protocol {
            protocol::TCP => segment.get(16..18),
            protocol::UDP => segment.get(6..8).filter(|stored| *stored != [0, 0]),
            _ => None,
        };
        let Some(&[high, low]) = stored else { return Checksum::Unknown };
        let addresses = self.addresses_sum() + u64::from(self.protocol);
        let len = segment.len() as u64;
        if fold(addresses + len + u64::from(sum(segment))) == 0xffff {
            return Checksum::Valid;
        }
        // Linux stores the sum of the pseudo-header in the field. With segmentation offload, the
        // sum excludes the length.
        let stored = u16::from_be_bytes([high, low]);
        if stored == fold(addresses + len) || stored == fold(addresses) {
            return Checksum::Partial;
        }
        Checksum::Invalid
    }

    /// Verifies the transport checksum of a datagram that was joined from fragments. Hosts compute
    /// it before they fragment, so it is never left to an adapter. A checksum of 0 in TCP was not
    /// computed at all.
    pub(crate) fn verify_joined(&self, datagram: &[u8]) -> Checksum {
        let Some(segment) = datagram.get(self.transport_offset as usize..) else {
            return Checksum::Unknown;
        };
        let holds = match (self.protocol, segment) {
            (protocol::ICMP, _) => sum(segment) == 0xffff,
            (protocol::ICMPV6, _) => {
                let pseudo = self.addresses_sum() + u64::from(self.protocol) + segment.len() as u64;
                fold(pseudo + u64::from(sum(segment))) == 0xffff
            }
            // The length covers the whole datagram, except for options (RFC 9868), which require a
            // checksum.
            (protocol::UDP, &[_, _, _, _, high, low, 0, 0, ..]) => {
                match usize::from(u16::from_be_bytes([high, low])) {
                    0 => return Checksum::Unknown,
                    len if len == segment.len() => return Checksum::Unknown,
                    _ => false,
                }
            }
            (protocol::TCP, [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, 0, 0, ..]) => {
                return Checksum::Unknown;
            }
            _ => {
                return match self.verify_checksum(datagram) {
                    Checksum::Partial => Checksum::Unknown,
                    checksum => checksum,
                };
            }
        };
        if holds { Checksum::Valid } else { Checksum::Invalid }
    }

    fn addresses_sum(&self) -> u64 {
        let one = |address| match address {
            IpAddr::V4(address) => u64::from(sum(&address.octets())),
            IpAddr::V6(address) => u64::from(sum(&address.octets())),
        };
        one(self.source) + one(self.destination)
    }
}

/// Verifies the checksum of an IPv4 header, options included. `header` must end where the header
/// ends.
#[must_use]
pub fn verify_ipv4_header(header: &[u8]) -> Checksum {
    if sum(header) == 0xffff { Checksum::Valid } else { Checksum::Invalid }
}

/// The ones' complement sum of 16-bit big-endian words. An odd last byte is the high half of a
/// word.
pub(crate) fn sum(bytes: &[u8]) -> u16 {
    // The sum does not depend on byte order until the end, nor on the width of the words (RFC 1071,
    // section 2).
    let (words, rest) = bytes.as_chunks::<4>();
    let mut total: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    total += u64::from(u32::from_ne_bytes(last));
    u16::from_be_bytes(fold(total).to_ne_bytes())
}

/// Folds the carries back in until there are none.
fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    ((sum >> 16) + (sum & 0xffff)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LinkType, Packet, Parsed, Timestamp, parse};

    /// Implements RFC 1071, section 1, word by word.
    fn slow(bytes: &[u8]) -> u16 {
        let mut total = 0_u32;
        for pair in bytes.chunks(2) {
            total += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            if total > 0xffff {
                total -= 0xffff;
            }
        }
        total as u16
    }

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
    }

    proptest::proptest! {
        #[test]
        fn the_fast_sum_is_the_slow_sum(bytes: Vec<u8>) {
            // 0 and 0xffff are the same number.
            proptest::prop_assert_eq!(sum(&bytes) % 0xffff, slow(&bytes) % 0xffff);
        }

        #[test]
        fn one_bit_makes_a_valid_checksum_invalid(payload: Vec<u8>, bit: usize, six: bool) {
            for protocol in [protocol::TCP, protocol::UDP] {
                let mut datagram = datagram(&payload, protocol, six);
                let check = |datagram: &[u8]| {
                    let packet = Packet::new(datagram, Timestamp::default(), LinkType::RAW);
                    match parse(&packet) {
                        Ok(Parsed::Transport(headers)) => headers.verify_checksum(datagram),
                        other => panic!("{other:?}"),
                    }
                };
                proptest::prop_assert_eq!(check(&datagram), Checksum::Valid);
                let start = if six { 40 } else { 20 };
                // The bit is outside the fields that the parser checks: TCP's data offset and UDP's
                // length.
                let at = start + bit % (datagram.len() - start);
                let kept = if protocol == protocol::TCP { start + 12..start + 13 } else { start + 4..start + 8 };
                if !kept.contains(&at) {
                    datagram[at] ^= 1 << (bit % 8);
                    // By chance, the field of some datagrams equals the partial sum for an adapter.
                    proptest::prop_assert_ne!(check(&datagram), Checksum::Valid);
                }
            }
        }
    }

    /// Builds a datagram whose checksum the slow sum computes.
    fn datagram(payload: &[u8], protocol: u8, six: bool) -> Vec<u8> {
        let mut segment = vec![0x30, 0x39, 0x40, 0x01];
        if protocol == protocol::TCP {
            segment.extend([1, 2, 3, 4, 5, 6, 7, 8, 0x50, 0x10, 9, 9, 0, 0, 0, 0]);
        } else {
            segment.extend(((8 + payload.len()) as u16).to_be_bytes());
            segment.extend([0, 0]);
        }
        segment.extend(payload);
        let len = segment.len() as u16;
        let mut header = if six { vec![0x60, 0, 0, 0] } else { vec![0x45, 0] };
        header.extend(if six { len } else { len + 20 }.to_be_bytes());
        header.extend(if six { vec![protocol, 1] } else { vec![0, 0, 0, 0, 1, protocol, 0, 0] });
        let addresses: Vec<u8> = (1..=if six { 32 } else { 8 }).collect();
        let pseudo = [&addresses[..], &[0, protocol], &len.to_be_bytes(), &segment].concat();
        let check = !slow(&pseudo);
        let at = if protocol == protocol::TCP { 16 } else { 6 };
        let check = if check == 0 { 0xffff } else { check };
        segment[at..at + 2].copy_from_slice(&check.to_be_bytes());
        [header, addresses, segment].concat()
    }

    #[test]
    fn partial_and_missing_checksums_are_no_errors() {
        let verdict = |datagram: &[u8]| {
            let packet = Packet::new(datagram, Timestamp::default(), LinkType::RAW);
            match parse(&packet) {
                Ok(Parsed::Transport(headers)) => headers.verify_checksum(datagram),
                other => panic!("{other:?}"),
            }
        };
        let mut udp = datagram(b"hello", protocol::UDP, false);
        udp[26..28].fill(0);
        assert_eq!(verdict(&udp), Checksum::Unknown);
        let mut tcp = datagram(b"hello", protocol::TCP, false);
        let pseudo = slow(&[&tcp[12..20], &[0, 6, 0, 25]].concat());
        tcp[36..38].copy_from_slice(&pseudo.to_be_bytes());
        assert_eq!(verdict(&tcp), Checksum::Partial);
        let whole = datagram(b"hello", protocol::TCP, false);
        let mut packet = Packet::new(&whole[..42], Timestamp::default(), LinkType::RAW);
        packet.meta_mut().wire_len = whole.len() as u32;
        let Ok(Parsed::Transport(headers)) = parse(&packet) else { panic!("not parsed") };
        assert_eq!(headers.verify_checksum(&whole[..42]), Checksum::Unknown);
    }
}
