//! L2TP version 3 data messages (RFC 3931).

use super::scope::Kind;
use super::walk::{Layer, Walk};
use super::{Unparsed, ethernet, ip};
use crate::Headers;

/// Parses a message over IP (RFC 3931, section 4.1.1) of the flow `outer`: a session, or 0 and a
/// control message.
pub(super) fn over_ip(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    if *walk.header::<4>()? == [0; 4] {
        return Err(Unparsed::NotIp);
    }
    walk.skip(4)?;
    payload(walk, outer)
}

/// Parses a message over UDP (section 4.1.2): flags and version, two reserved bytes, the session.
pub(super) fn over_udp(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    let [0, 3, _, _, session @ ..] = *walk.header::<8>()? else { return Err(Unparsed::NotIp) };
    if session == [0; 4] {
        return Err(Unparsed::NotIp);
    }
    walk.skip(8)?;
    payload(walk, outer)
}

/// Parses the payload of a session.
///
/// The length of its cookie (0, 4 or 8 bytes), a possible sublayer of 4 bytes, and the type of the
/// frames were negotiated when the session began, which may not have been captured (sections 4.1
/// and 4.6). So the offset and type are used at which there is a valid IP packet.
fn payload(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    // Session numbers differ by direction, so they are not part of the scope.
    walk.tunnel_in(outer, Kind::L2tp, 0)?;
    let (bytes, wire_len) = (walk.captured(), walk.wire_remaining());
    for at in [0, 4, 8, 12] {
        let Some(rest) = bytes.get(at..) else { break };
        let layer = if ethernet::is_ip(rest, wire_len - at) {
            Layer::Ethernet
        } else if ip::plausible(rest, wire_len - at) && ip::header_holds(rest) {
            Layer::Ip
        } else if let [0xff, 0x03, 0x00, 0x21 | 0x57, packet @ ..] = rest
            && ip::plausible(packet, wire_len - at - 4)
        {
            Layer::Ppp
        } else {
            continue;
        };
        walk.skip(at)?;
        return Ok(layer);
    }
    Err(Unparsed::NotIp)
}
