//! The GPRS tunnelling protocol's user plane (3GPP TS 29.281; version 0: GSM 09.60).

use super::Unparsed;
use super::scope::Kind;
use super::walk::{Layer, Walk, be16};
use crate::Headers;

/// The type of the message that carries a user's packet.
const USER_PACKET: u8 = 0xff;

/// Parses a user packet in a datagram of `outer`. Tunnel endpoint identifiers differ by direction,
/// so they are not part of the scope.
pub(super) fn header(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    const VERSION_1: u8 = 0x30;
    const EXTENSION: u8 = 0x04;
    const OPTIONAL: u8 = 0x07;
    let header: &[u8; 8] = walk.header()?;
    if header[0] & 0xf0 != VERSION_1 || header[1] != USER_PACKET {
        return Err(Unparsed::NotIp);
    }
    walk.skip(8)?;
    walk.limit(usize::from(be16(header[2], header[3])));
    if header[0] & OPTIONAL != 0 {
        let optional: &[u8; 4] = walk.header()?;
        walk.skip(4)?;
        if header[0] & EXTENSION != 0 {
            extensions(walk, optional[3])?;
        }
    }
    walk.tunnel_in(outer, Kind::Gtp, 0)?;
    Ok(Layer::Ip)
}

/// Skips extension headers. Each begins with its length in words of four bytes and ends with the
/// type of the next.
fn extensions(walk: &mut Walk<'_>, mut next: u8) -> Result<(), Unparsed> {
    while next != 0 {
        let len = usize::from(walk.header::<1>()?[0]) * 4;
        let extension = walk.bytes(len)?;
        next = *extension.last().ok_or(Unparsed::Malformed)?;
        walk.enter()?;
        walk.skip(len)?;
    }
    Ok(())
}

/// Parses a user packet of version 0.
pub(super) fn version_0(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    let header: &[u8; 20] = walk.header()?;
    if header[0] & 0xfe != 0x1e || header[1] != USER_PACKET {
        return Err(Unparsed::NotIp);
    }
    walk.skip(20)?;
    walk.limit(usize::from(be16(header[2], header[3])));
    walk.tunnel_in(outer, Kind::Gtp, 0)?;
    Ok(Layer::Ip)
}
