//! IPv6 and its extension headers (RFC 8200).

use std::net::{IpAddr, Ipv6Addr};

use super::ip::FRAME_CHECK;
use super::walk::{Layer, Network, Walk, be16};
use super::{Fragment, Unparsed, ip};
use crate::Defect;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const MOBILITY: u8 = 135;
const HOST_IDENTITY: u8 = 139;
const SHIM6: u8 = 140;

/// Parses an IPv6 packet.
pub(super) fn header(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let start = walk.offset();
    let header: &[u8; 40] = walk.header()?;
    if header[0] >> 4 != 6 {
        return Err(Unparsed::Malformed);
    }
    let payload_len = usize::from(be16(header[4], header[5]));
    // 0 means a jumbogram (RFC 2675) or segmentation offload. Either way the packet ends with its
    // frame.
    if payload_len == 0 {
        // Without a hop-by-hop header there is no jumbo payload option with a length.
        if header[6] != HOP_BY_HOP {
            walk.note(Defect::NoLength);
        }
    } else {
        if 40 + payload_len > walk.wire_remaining() && walk.in_tunnel() {
            return Err(Unparsed::Malformed); // the length is the only evidence of a packet
        }
        if 40 + payload_len > walk.wire_remaining() + FRAME_CHECK {
            walk.note(Defect::TooLong);
        }
        walk.limit(40 + payload_len);
    }
    let network = Network {
        source: IpAddr::V6(address(header, 8)),
        destination: IpAddr::V6(address(header, 24)),
        offset: start,
    };
    walk.enter()?;
    walk.arrive(network);
    walk.skip(40)?;
    match header[6] {
        HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS | MOBILITY | HOST_IDENTITY
        | SHIM6 => extensions(walk, network, header[6]),
        next => Ok(Layer::Protocol(next)),
    }
}

/// Skips extension headers. `next` is the number of the first.
///
/// Only the packet's length limits their number, because a host must process them in any order and
/// number (RFC 8200, section 4.1). The work for each is proportional to its length.
#[cold]
fn extensions(walk: &mut Walk<'_>, mut network: Network, mut next: u8) -> Result<Layer, Unparsed> {
    /// Offset from the start of the IPv6 header to the field that names the first extension header.
    const FIRST: usize = 6;
    let mut next_at = FIRST;
    loop {
        let at = walk.offset() - network.offset;
        match next {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | MOBILITY | HOST_IDENTITY | SHIM6 => {
                let head: &[u8; 8] = walk.header()?;
                let len = 8 + usize::from(head[1]) * 8;
                if next == HOP_BY_HOP && next_at != FIRST {
                    walk.note(Defect::ExtensionHeader);
                }
                if matches!(next, HOP_BY_HOP | DESTINATION_OPTIONS)
                    && let Some(defect) = options_defect(walk.bytes(len)?, next == HOP_BY_HOP)
                {
                    walk.note(defect);
                }
                if next == ROUTING {
                    if head[2] == 0 && head[3] > 0 {
                        walk.note(Defect::SourceRoute);
                    }
                    // Segments are left, so the transport checksum covers the last one.
                    if let Some(last) = final_segment(walk.bytes(len)?) {
                        network.destination = IpAddr::V6(last);
                    }
                } else if next == DESTINATION_OPTIONS
                    && let Some(home) = home_address(walk.bytes(len)?)
                {
                    network.source = IpAddr::V6(home);
                }
                walk.arrive(network);
                walk.skip(len)?;
                next = head[0];
            }
            AUTHENTICATION => {
                let head: &[u8; 12] = walk.header()?;
                walk.skip((usize::from(head[1]) + 2) * 4)?;
                next = head[0];
            }
            FRAGMENT => {
                let head: &[u8; 8] = walk.header()?;
                let word = be16(head[2], head[3]);
                walk.skip(8)?;
                // An atomic fragment (RFC 6946) is a whole datagram.
                if word & 0xfff9 != 0 {
                    let fragment = Fragment {
                        source: network.source,
                        destination: network.destination,
                        protocol: head[0],
                        identification: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
                        scope: walk.scope,
                        layers: walk.layers(),
                        network_offset: network.offset as u32,
                        header_len: at as u32,
                        next_header_offset: next_at as u32,
                        fragment_offset: u32::from(word & 0xfff8),
                        more: word & 1 != 0,
                        payload_offset: walk.offset() as u32,
                        payload_len: walk.wire_remaining() as u32,
                        compressed: false,
                        defect: walk.defect(),
                    };
                    return ip::piece(walk, fragment);
                }
                next = head[0];
            }
            _ => return Ok(Layer::Protocol(next)),
        }
        next_at = at;
    }
}

/// The final destination of a routing header with segments left: types 0 (RFC 2460), 2 (RFC 6275)
/// and 4 (RFC 8754).
fn final_segment(header: &[u8]) -> Option<Ipv6Addr> {
    let [_, _, kind, left, rest @ ..] = header else { return None };
    if *left == 0 {
        return None;
    }
    let segments = rest.get(4..)?.as_chunks::<16>().0;
    match kind {
        0 | 2 => segments.last(),
        // Type 4 lists its segments in reverse order.
        4 => segments.first(),
        _ => None,
    }
    .map(|segment| Ipv6Addr::from(*segment))
}

/// The home address option (RFC 6275, section 6.3): the sender's address for the transport layer.
fn home_address(header: &[u8]) -> Option<Ipv6Addr> {
    const PAD_1: u8 = 0;
    const HOME_ADDRESS: u8 = 0xc9;
    let mut options = header.get(2..)?;
    loop {
        let (&kind, rest) = options.split_first()?;
        if kind == PAD_1 {
            options = rest;
            continue;
        }
        let (&len, rest) = rest.split_first()?;
        let value = rest.get(..usize::from(len))?;
        if kind == HOME_ADDRESS {
            return value.first_chunk::<16>().map(|address| Ipv6Addr::from(*address));
        }
        options = &rest[usize::from(len)..];
    }
}

/// The reason why hosts discard a packet with these hop-by-hop or destination options (RFC 8200,
/// section 4.2).
fn options_defect(header: &[u8], hop_by_hop: bool) -> Option<Defect> {
    const PAD_1: u8 = 0;
    const PAD_N: u8 = 1;
    const JUMBO: u8 = 0xc2;
    const HOME_ADDRESS: u8 = 0xc9;
    /// The bits of an option type that determine how a receiver treats a packet with an unknown
    /// option. 0 means that it ignores the option.
    const ACTION: u8 = 0xc0;
    /// RPL, MPL, identifier-locator and line identifier options, and depth-first forwarding (IANA,
    /// "Destination Options and Hop-by-Hop Options"). The hosts of some networks know them.
    const SOMETIMES_KNOWN: [u8; 7] = [0x63, 0x6d, 0x4d, 0x8a, 0x8b, 0x8c, 0xee];
    let mut options = header.get(2..)?;
    let (mut padding, mut defect) = (0, None);
    loop {
        let (kind, len) = match *options {
            [] => return defect,
            [PAD_1, ref rest @ ..] => {
                padding += 1;
                if padding > 7 {
                    defect = Some(Defect::Padding);
                }
                options = rest;
                continue;
            }
            [kind, len, ..] => (kind, usize::from(len)),
            _ => return Some(Defect::ExtensionHeader),
        };
        let Some(value) = options.get(2..2 + len) else { return Some(Defect::ExtensionHeader) };
        if kind == PAD_N {
            padding += 2 + len;
            if padding > 7 || value.iter().any(|byte| *byte != 0) {
                defect = Some(Defect::Padding);
            }
        } else {
            padding = 0;
            let known = match kind {
                JUMBO => hop_by_hop,
                HOME_ADDRESS => !hop_by_hop,
                _ => kind & ACTION == 0 || SOMETIMES_KNOWN.contains(&kind),
            };
            if !known {
                return Some(Defect::ExtensionHeader);
            }
        }
        options = &options[2 + len..];
    }
}

fn address(header: &[u8; 40], at: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&header[at..at + 16]);
    Ipv6Addr::from(octets)
}
