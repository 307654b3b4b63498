//! ESP (RFC 4303) with NULL encryption (RFC 2410), if the configuration expects it.

use super::scope::Kind;
use super::walk::{Layer, Walk};
use super::{Unparsed, ip};
use crate::headers::protocol;
use crate::{Headers, checksum};

/// Parses a packet of the flow `outer`. Without a match, it stays opaque.
///
/// The lengths of the initialisation vector and of the check value are negotiated out of band. So
/// the lengths of the common algorithms are tried. The first pair is used for which the padding,
/// the next header and the payload's own lengths are consistent.
pub(super) fn header(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    if !walk.parser.options.esp_null {
        return Err(Unparsed::NotIp);
    }
    /// HMAC-SHA-256-128 and AES-GMAC; HMAC-SHA-1-96 and HMAC-MD5-96; HMAC-SHA-512-256;
    /// HMAC-SHA-384-192; none; the short check value of AES-GMAC (RFC 8221, section 6; RFC 4543).
    const CHECK_VALUES: [usize; 6] = [16, 12, 32, 24, 0, 8];
    walk.skip(8)?;
    if !walk.is_whole() {
        return cut(walk, outer);
    }
    let bytes = walk.captured();
    for vector in [0, 8] {
        for check_value in CHECK_VALUES {
            let inner = bytes.get(vector..bytes.len().saturating_sub(check_value));
            if let Some((len, next)) = inner.and_then(payload) {
                walk.skip(vector)?;
                walk.limit(len);
                walk.enter()?;
                return match next {
                    IPV4 | IPV6 => {
                        walk.tunnel_in(outer, Kind::Esp, 0)?;
                        Ok(if next == IPV4 { Layer::Ipv4 } else { Layer::Ipv6 })
                    }
                    _ => Ok(Layer::Protocol(next)),
                };
            }
        }
    }
    Err(Unparsed::NotIp)
}

const IPV4: u8 = 4;
const IPV6: u8 = 41;

/// Parses a packet in a datagram of `outer` (RFC 3948, section 2.1). A message of the key exchange
/// begins with four zero bytes and is not ESP.
pub(super) fn over_udp(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    if *walk.header::<4>()? == [0; 4] {
        return Err(Unparsed::NotIp);
    }
    header(walk, outer)
}

/// The length and the protocol of the payload, if these bytes are a payload followed by padding and
/// a next header.
fn payload(bytes: &[u8]) -> Option<(usize, u8)> {
    let (&[padding, next], before) =
        bytes.split_last_chunk::<2>().map(|(rest, last)| (last, rest))?;
    let (payload, pad) =
        before.split_at_checked(before.len().checked_sub(usize::from(padding))?)?;
    // RFC 4303, section 2.4: the padding bytes count from 1, and the total is a multiple of four
    // bytes.
    let counted = pad.iter().zip(1..=u8::MAX).all(|(byte, number)| *byte == number);
    if !counted || !bytes.len().is_multiple_of(4) {
        return None;
    }
    let fits = match next {
        // Padding for traffic flow confidentiality may follow (section 2.7).
        IPV4 | IPV6 => {
            ip::plausible(payload, payload.len())
                && (payload[0] >> 4 == 4) == (next == IPV4)
                && ip::header_holds(payload)
        }
        protocol::TCP => is_tcp(payload),
        protocol::UDP => {
            payload.len() >= 8
                && usize::from(u16::from_be_bytes([payload[4], payload[5]])) == payload.len()
        }
        protocol::ICMP => payload.len() >= 8 && checksum::sum(payload) == 0xffff,
        protocol::ICMPV6 => payload.len() >= 8 && matches!(payload[0], 1..=4 | 128..=161),
        _ => false,
    };
    fits.then_some((payload.len(), next))
}

fn is_tcp(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<20>() else { return false };
    let len = usize::from(header[12] >> 4) * 4;
    // Real hosts set the reserved bits to zero, and the urgent pointer too if its flag is not set.
    len >= 20 && len <= bytes.len() && header[12] & 0x0e == 0
}

/// Parses a packet whose end was not captured. Without the padding, only a valid IP header at its
/// start is proof.
fn cut(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    let (bytes, wire_len) = (walk.captured(), walk.wire_remaining());
    for vector in [0, 8] {
        let Some(rest) = bytes.get(vector..) else { break };
        if ip::plausible(rest, wire_len.saturating_sub(vector)) && ip::header_holds(rest) {
            walk.skip(vector)?;
            walk.tunnel_in(outer, Kind::Esp, 0)?;
            return Ok(Layer::Ip);
        }
    }
    Err(Unparsed::NotIp)
}
