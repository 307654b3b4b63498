//! IPv4 (RFC 791), and the dispatch between IPv4 and IPv6.

use std::net::{IpAddr, Ipv4Addr};

use super::walk::{Layer, Network, Walk, be16};
use super::{Fragment, Unparsed};
use crate::Defect;
use crate::checksum;
use crate::headers::protocol;

/// Parses an IP packet of the version in its first four bits.
pub(super) fn any(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    match walk.header::<1>()?[0] >> 4 {
        4 => Ok(Layer::Ipv4),
        6 => Ok(Layer::Ipv6),
        _ => Err(Unparsed::NotIp),
    }
}

/// Parses an IPv4 packet.
#[inline]
pub(super) fn v4(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let start = walk.offset();
    let header: &[u8; 20] = walk.header()?;
    let header_len = usize::from(header[0] & 0x0f) * 4;
    if header[0] >> 4 == 6 {
        // Some programs send IPv6 where the layer below indicates IPv4.
        return Ok(Layer::Ipv6);
    }
    if header[0] >> 4 != 4 || header_len < 20 {
        return Err(Unparsed::Malformed);
    }
    let total_len = usize::from(be16(header[2], header[3]));
    // With segmentation offload, hosts capture a length of 0. The packet then ends with its frame.
    if total_len == 0 {
        walk.note(Defect::NoLength);
    } else {
        if total_len < header_len {
            return Err(Unparsed::Malformed);
        }
        if total_len > walk.wire_remaining() && walk.in_tunnel() {
            believable(walk.bytes(header_len)?)?;
        } else if total_len > walk.wire_remaining() + FRAME_CHECK {
            walk.note(Defect::TooLong);
        }
        walk.limit(total_len);
    }
    if header_len > walk.wire_remaining() {
        return Err(Unparsed::Malformed);
    }
    let mut destination = Ipv4Addr::new(header[16], header[17], header[18], header[19]);
    if header_len > 20 {
        let options = walk.captured().get(20..header_len).unwrap_or_default();
        let whole = options.len() + 20 == header_len;
        let defect = if whole { options_defect(options) } else { None };
        if let Some(defect) = defect {
            walk.note(defect);
        }
        if defect != Some(Defect::IpOptions) {
            destination = final_hop(options).unwrap_or(destination);
        }
    }
    let network = Network {
        source: IpAddr::V4(Ipv4Addr::new(header[12], header[13], header[14], header[15])),
        destination: IpAddr::V4(destination),
        offset: start,
    };
    walk.enter()?;
    walk.arrive(network);
    walk.skip(header_len)?;
    let fragment_word = be16(header[6], header[7]);
    if fragment_word & 0x3fff != 0 {
        let fragment = Fragment {
            source: network.source,
            destination: network.destination,
            protocol: header[9],
            identification: u32::from(be16(header[4], header[5])),
            scope: walk.scope,
            layers: walk.layers(),
            network_offset: start as u32,
            header_len: header_len as u32,
            next_header_offset: 9,
            fragment_offset: u32::from(fragment_word & 0x1fff) * 8,
            more: fragment_word & 0x2000 != 0,
            payload_offset: walk.offset() as u32,
            payload_len: walk.wire_remaining() as u32,
            compressed: false,
            defect: walk.defect(),
        };
        return piece(walk, fragment);
    }
    Ok(Layer::Protocol(header[9]))
}

/// Accepts an IP packet that is longer than the tunnel around it only if its header checksum is
/// right. Then it was truncated.
#[cold]
fn believable(header: &[u8]) -> Result<(), Unparsed> {
    if checksum::sum(header) == 0xffff { Ok(()) } else { Err(Unparsed::Malformed) }
}

/// The bytes that some tools remove because they mistake the end of a frame for its check sequence.
/// The missing bytes count as truncated, because every receiver got them.
pub(super) const FRAME_CHECK: usize = 4;

/// Ends the walk with a fragment, if all of it was captured.
pub(super) fn piece(walk: &mut Walk<'_>, fragment: Fragment) -> Result<Layer, Unparsed> {
    if walk.is_whole() { Ok(walk.fragment(fragment)) } else { Err(Unparsed::TruncatedFragment) }
}

/// The last hop of a source route that is not exhausted (RFC 791, section 3.1). It is the
/// destination that the transport checksum covers, and the source address of the answers.
#[cold]
fn final_hop(mut options: &[u8]) -> Option<Ipv4Addr> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const LOOSE_ROUTE: u8 = 131;
    const STRICT_ROUTE: u8 = 137;
    loop {
        let (&kind, rest) = options.split_first()?;
        match kind {
            END => return None,
            NO_OPERATION => options = rest,
            _ => {
                let len = usize::from(*rest.first()?);
                let option = options.get(..len).filter(|_| len >= 2)?;
                if matches!(kind, LOOSE_ROUTE | STRICT_ROUTE) {
                    let pointer = usize::from(*option.get(2)?);
                    let last = option.get(3..)?.as_chunks::<4>().0.last()?;
                    return (pointer + 3 <= len).then(|| Ipv4Addr::from(*last));
                }
                options = &options[len..];
            }
        }
    }
}

/// The reason why hosts discard a packet with these options (RFC 791, section 3.1).
#[cold]
fn options_defect(mut options: &[u8]) -> Option<Defect> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const RECORD_ROUTE: u8 = 7;
    const TIMESTAMP: u8 = 68;
    const LOOSE_ROUTE: u8 = 131;
    const STRICT_ROUTE: u8 = 137;
    let mut routed = false;
    loop {
        let rest = match *options {
            [] | [END, ..] => return routed.then_some(Defect::SourceRoute),
            [NO_OPERATION, ref rest @ ..] => rest,
            [kind, len, ref rest @ ..] if len >= 2 => {
                let Some(value) = rest.get(..usize::from(len) - 2) else {
                    return Some(Defect::IpOptions);
                };
                // The pointer counts from the option's first byte, which is 1.
                let least = match kind {
                    RECORD_ROUTE | LOOSE_ROUTE | STRICT_ROUTE => 4,
                    TIMESTAMP if len >= 4 => 5,
                    TIMESTAMP => u8::MAX,
                    _ => 0,
                };
                if least > 0 && value.first().is_none_or(|pointer| *pointer < least) {
                    return Some(Defect::IpOptions);
                }
                if matches!(kind, LOOSE_ROUTE | STRICT_ROUTE) {
                    if routed {
                        return Some(Defect::IpOptions);
                    }
                    routed = true;
                }
                &rest[value.len()..]
            }
            _ => return Some(Defect::IpOptions),
        };
        options = rest;
    }
}

/// Returns `true` if these bytes look like an IP header. For positions where no header indicates
/// the type. `wire_len` is the number of bytes on the wire.
pub(super) fn plausible(bytes: &[u8], wire_len: usize) -> bool {
    match bytes {
        [first @ 0x45..=0x4f, _, high, low, ..] => {
            let len = usize::from(be16(*high, *low));
            len == 0 || len >= usize::from(first & 0x0f) * 4 && len <= wire_len
        }
        [0x60..=0x6f, _, _, _, high, low, ..] => 40 + usize::from(be16(*high, *low)) <= wire_len,
        _ => false,
    }
}

/// Returns `true` if the header at the start of these bytes is valid, to rule out chance. An IPv4
/// header has a checksum. An IPv6 packet's source must not be a multicast address.
pub(super) fn header_holds(bytes: &[u8]) -> bool {
    match bytes {
        [first @ 0x45..=0x4f, ..] => {
            bytes.get(..usize::from(first & 0x0f) * 4).is_some_and(|it| checksum::sum(it) == 0xffff)
        }
        [0x60..=0x6f, ..] => bytes.get(8).is_some_and(|first| *first != 0xff),
        _ => false,
    }
}

/// Returns `true` if the header of this protocol begins with two ports.
pub(super) const fn has_ports(number: u8) -> bool {
    const DCCP: u8 = 33;
    const UDP_LITE: u8 = 136;
    matches!(number, protocol::TCP | protocol::UDP | protocol::SCTP | DCCP | UDP_LITE)
}
