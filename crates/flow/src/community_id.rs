//! Community ID: the same name for a flow in every tool that captures it.

use std::fmt;
use std::net::IpAddr;

use crate::headers::protocol;
use crate::{Endpoint, FiveTupleKey, FlowRecord};

/// A Community ID, version 1 (<https://github.com/corelight/community-id-spec>): a hash of
/// addresses, ports and protocol, equal for both directions. Prints as
/// `1:LQU9qZlK+B5F3KDmev6m5PMibrg=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommunityId([u8; 20]);

impl FiveTupleKey {
    /// The flow's Community ID. The seed is 0 unless a site has agreed on another one.
    ///
    /// The specification leaves out VLANs and tunnels, so flows in two of them share an ID. The
    /// key's [`scope`](Self::scope) distinguishes them.
    ///
    /// `None` for ICMP. Its ID is computed from message types, which are not part of the key; see
    /// [`CommunityId::of_icmp`].
    ///
    /// # Examples
    ///
    /// ```
    /// use flow::{Endpoint, FiveTupleKey, Scope};
    ///
    /// let key = FiveTupleKey {
    ///     a: Endpoint { address: "66.35.250.204".parse()?, port: 80 },
    ///     b: Endpoint { address: "128.232.110.120".parse()?, port: 34855 },
    ///     protocol: 6,
    ///     scope: Scope::NONE,
    /// };
    /// assert_eq!(key.community_id(0).unwrap().to_string(), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    #[must_use]
    pub fn community_id(&self, seed: u16) -> Option<CommunityId> {
        if matches!(self.protocol, protocol::ICMP | protocol::ICMPV6) {
            return None;
        }
        let ports = matches!(self.protocol, protocol::TCP | protocol::UDP | protocol::SCTP);
        Some(CommunityId(sha1(&hashed(seed, [self.a, self.b], self.protocol, ports))))
    }
}

impl CommunityId {
    /// The Community ID of ICMP messages from `source` to `destination`, of this type and code.
    /// ICMPv6 if `source` is an IPv6 address.
    ///
    /// A request and its answer have the same ID: their types take the place of ports. Messages
    /// without an answer, such as errors, have an ID for each direction, type and code.
    ///
    /// # Examples
    ///
    /// ```
    /// use flow::CommunityId;
    ///
    /// let (host, router) = ("192.168.0.89".parse()?, "192.168.0.1".parse()?);
    /// let request = CommunityId::of_icmp(host, router, 8, 0, 0);
    /// assert_eq!(request.to_string(), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
    /// assert_eq!(CommunityId::of_icmp(router, host, 0, 0, 0), request);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    #[must_use]
    pub fn of_icmp(
        source: IpAddr,
        destination: IpAddr,
        message_type: u8,
        code: u8,
        seed: u16,
    ) -> Self {
        let (number, counterparts) = match source {
            IpAddr::V4(_) => (protocol::ICMP, &ICMP_COUNTERPARTS[..]),
            IpAddr::V6(_) => (protocol::ICMPV6, &ICMPV6_COUNTERPARTS[..]),
        };
        let counterpart = counterparts.iter().find_map(|&[one, other]| match message_type {
            found if found == one => Some(other),
            found if found == other => Some(one),
            _ => None,
        });
        let end = |address, port| Endpoint { address, port: u16::from(port) };
        let (mut a, mut b) =
            (end(source, message_type), end(destination, counterpart.unwrap_or(code)));
        if counterpart.is_some() && a > b {
            (a, b) = (b, a);
        }
        Self(sha1(&hashed(seed, [a, b], number, true)))
    }
}

/// Types of ICMP messages (RFC 792, 950, 1256) that answer each other.
const ICMP_COUNTERPARTS: [[u8; 2]; 5] = [[0, 8], [9, 10], [13, 14], [15, 16], [17, 18]];
/// Types of ICMPv6 messages (RFC 2710, 4443, 4620, 4861, 6275) that answer each other.
const ICMPV6_COUNTERPARTS: [[u8; 2]; 6] =
    [[128, 129], [130, 131], [133, 134], [135, 136], [139, 140], [144, 145]];

/// The bytes that are hashed.
fn hashed(seed: u16, ends: [Endpoint; 2], protocol: u8, ports: bool) -> Vec<u8> {
    let mut input = Vec::with_capacity(40);
    input.extend(seed.to_be_bytes());
    for end in ends {
        match end.address {
            IpAddr::V4(address) => input.extend(address.octets()),
            IpAddr::V6(address) => input.extend(address.octets()),
        }
    }
    input.extend([protocol, 0]);
    if ports {
        ends.iter().for_each(|end| input.extend(end.port.to_be_bytes()));
    }
    input
}

impl FlowRecord<FiveTupleKey> {
    /// The flow's Community ID; see [`FiveTupleKey::community_id`].
    #[must_use]
    pub fn community_id(&self, seed: u16) -> Option<CommunityId> {
        self.key.community_id(seed)
    }
}

/// Prints the version, a colon, and the hash in Base64 (RFC 4648, section 4).
impl fmt::Display for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        f.write_str("1:")?;
        for group in self.0.chunks(3) {
            let bits = group.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
            let bits = bits << (8 * (3 - group.len()));
            for at in 0..4 {
                let letter = ALPHABET[(bits >> (18 - 6 * at)) as usize & 63];
                let letter = if at <= group.len() { letter } else { b'=' };
                fmt::Write::write_char(f, char::from(letter))?;
            }
        }
        Ok(())
    }
}

/// SHA-1 (FIPS 180-4, section 6.1), which the Community ID specification prescribes. Nothing here
/// relies on its strength.
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize((message.len() + 9).next_multiple_of(64) - 8, 0);
    padded.extend((message.len() as u64 * 8).to_be_bytes());
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in padded.as_chunks::<64>().0 {
        let mut words = [0; 80];
        for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        for at in 16..80 {
            let mixed = words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16];
            words[at] = u32::rotate_left(mixed, 1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.into_iter().enumerate() {
            let (choice, constant) = match at / 20 {
                0 => ((b & c) | (!b & d), 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6),
            };
            let next = a
                .rotate_left(5)
                .wrapping_add(choice)
                .wrapping_add(e)
                .wrapping_add(constant)
                .wrapping_add(word);
            (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
        }
        for (word, add) in state.iter_mut().zip([a, b, c, d, e]) {
            *word = word.wrapping_add(add);
        }
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scope;

    #[test]
    fn sha1_of_the_standards_examples() {
        let hex = |digest: [u8; 20]| digest.map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(hex(sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(
            hex(sha1(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
        );
    }

    #[test]
    fn a_seed_changes_the_id_and_icmp_has_none() {
        let end = |address: &str, port| Endpoint { address: address.parse().unwrap(), port };
        let mut key = FiveTupleKey {
            a: end("66.35.250.204", 80),
            b: end("128.232.110.120", 34855),
            protocol: protocol::TCP,
            scope: Scope::NONE,
        };
        assert_eq!(key.community_id(1).unwrap().to_string(), "1:3V71V58M3Ksw/yuFALMcW0LAHvc=");
        key.a = end("2001:470:e5bf:dead:4957:2174:e82c:4887", 63943);
        key.b = end("2607:f8b0:400c:c03::1a", 25);
        assert_eq!(key.community_id(0).unwrap().to_string(), "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=");
        key.protocol = protocol::ICMP;
        assert_eq!(key.community_id(0), None);
    }

    /// The values that the specification publishes for its own captures and tests.
    #[test]
    fn icmp_ids_are_those_of_the_specification() {
        let id = |source: &str, destination: &str, message_type, code| {
            let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
            CommunityId::of_icmp(source, destination, message_type, code, 0).to_string()
        };
        let (host, router) = ("192.168.0.89", "192.168.0.1");
        let echo = "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=";
        assert_eq!(id(host, router, 8, 0), echo);
        assert_eq!(id(router, host, 0, 8), echo);
        assert_eq!(id(router, host, 0, 20), echo);
        assert_eq!(id(host, router, 20, 0), "1:3o2RFccXzUgjl7zDpqmY7yJi8rI=");
        assert_eq!(id(host, router, 20, 1), "1:tz/fHIDUHs19NkixVVoOZywde+I=");
        let (one, other) = ("fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea");
        let neighbour = "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=";
        assert_eq!(id(one, other, 135, 0), neighbour);
        assert_eq!(id(other, one, 136, 0), neighbour);
        let (one, other) = ("3ffe:507:0:1:260:97ff:fe07:69ea", "3ffe:507:0:1:200:86ff:fe05:80da");
        assert_eq!(id(one, other, 3, 0), "1:NdobDX8PQNJbAyfkWxhtL2Pqp5w=");
        assert_eq!(id(other, one, 3, 0), "1:/OGBt9BN1ofenrmSPWYicpij2Vc=");
    }
}
