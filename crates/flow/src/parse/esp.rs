//! ESP (RFC 4303) with NULL encryption (RFC 2410), where the program says that it is used.

use super::scope::Kind;
use super::walk::{Layer, Walk};
use super::{Unparsed, ip};
use crate::headers::protocol;
use crate::{Headers, checksum};

/// A packet of the flow `outer`, or one that stays opaque.
///
/// How long the initialisation vector and the check value at the end are is agreed on elsewhere. Those of the usual algorithms are
/// tried, and that pair is right for which padding, next header and what they announce agree.
pub(super) fn header(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    if !walk.parser.options.esp_null {
        return Err(Unparsed::NotIp);
    }
    /// HMAC-SHA-256-128 and AES-GMAC, HMAC-SHA-1-96 and -MD5-96, HMAC-SHA-512-256, HMAC-SHA-384-192, none, and AES-GMAC's
    /// shorter one (RFC 8221, section 6; RFC 4543).
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

/// A packet in a datagram of `outer` (RFC 3948, section 2.1), or a message of the key exchange, which begins with zeros.
pub(super) fn over_udp(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    if *walk.header::<4>()? == [0; 4] {
        return Err(Unparsed::NotIp);
    }
    header(walk, outer)
}

/// The length of the payload and its protocol, if these bytes are one with padding and a next header behind it.
fn payload(bytes: &[u8]) -> Option<(usize, u8)> {
    let (&[padding, next], before) =
        bytes.split_last_chunk::<2>().map(|(rest, last)| (last, rest))?;
    let (payload, pad) =
        before.split_at_checked(before.len().checked_sub(usize::from(padding))?)?;
    // RFC 4303, section 2.4: counted from 1, and what ends on a boundary of four bytes.
    let counted = pad.iter().zip(1..=u8::MAX).all(|(byte, number)| *byte == number);
    if !counted || !bytes.len().is_multiple_of(4) {
        return None;
    }
    let fits = match next {
        // Padding may follow that hides how much traffic there is (section 2.7).
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
    // The reserved bits are zero, and so is the urgent pointer without its flag, in what real hosts send.
    len >= 20 && len <= bytes.len() && header[12] & 0x0e == 0
}

/// A packet whose end was not captured: nothing but an IP header at its beginning can prove itself.
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
