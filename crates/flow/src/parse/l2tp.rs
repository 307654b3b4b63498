//! L2TP version 2 data messages (RFC 2661, section 3.1), and the dispatch between the versions over
//! UDP.

use super::scope::Kind;
use super::walk::{Layer, Walk, be16};
use super::{Unparsed, l2tpv3};
use crate::Headers;

/// Parses a message in a datagram of `outer`, by its version.
pub(super) fn any(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    match walk.header::<2>()?[1] & 0x0f {
        3 => l2tpv3::over_udp(walk, outer),
        _ => header(walk, outer),
    }
}

/// Parses a message of version 2. Tunnel and session numbers differ by direction, so they are not
/// part of the scope.
fn header(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    const CONTROL: u16 = 0x8000;
    const LENGTH: u16 = 0x4000;
    const SEQUENCE: u16 = 0x0800;
    const OFFSET: u16 = 0x0200;
    const RESERVED: u16 = 0x34f0;
    const VERSION: u16 = 0x000f;
    let flags: &[u8; 2] = walk.header()?;
    let flags = be16(flags[0], flags[1]);
    if flags & (CONTROL | RESERVED) != 0 || flags & VERSION != 2 {
        return Err(Unparsed::NotIp);
    }
    if flags & LENGTH != 0 {
        let header: &[u8; 4] = walk.header()?;
        walk.limit(usize::from(be16(header[2], header[3])));
        walk.skip(4)?;
    } else {
        walk.skip(2)?;
    }
    walk.skip(if flags & SEQUENCE != 0 { 8 } else { 4 })?;
    if flags & OFFSET != 0 {
        let offset: &[u8; 2] = walk.header()?;
        walk.skip(2 + usize::from(be16(offset[0], offset[1])))?;
    }
    walk.tunnel_in(outer, Kind::L2tp, 0)?;
    Ok(Layer::Ppp)
}
