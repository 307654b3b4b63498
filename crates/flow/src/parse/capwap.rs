//! The data channel between wireless access points and their controller: CAPWAP (RFC 5415).

use super::Unparsed;
use super::scope::Kind;
use super::walk::{Layer, Walk};
use crate::Headers;

/// A frame in a datagram of `outer` (RFC 5415, sections 4.2 and 4.3).
pub(super) fn data(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    /// Version 0 and type 0: not encrypted.
    const PLAIN: u8 = 0;
    const NATIVE: u8 = 0x01;
    const FRAGMENT: u8 = 0x80;
    const KEEP_ALIVE: u8 = 0x08;
    const WIRELESS_802_11: u8 = 1;
    let header: &[u8; 8] = walk.header()?;
    let len = usize::from(header[1] >> 3) * 4;
    if header[0] != PLAIN || len < 8 || header[3] & KEEP_ALIVE != 0 {
        return Err(Unparsed::NotIp);
    }
    let native = header[2] & NATIVE != 0;
    let binding = header[2] >> 1 & 0x1f;
    let fragment = header[3] & FRAGMENT != 0;
    walk.skip(len)?;
    if fragment {
        return Err(Unparsed::NotIp);
    }
    walk.tunnel_in(outer, Kind::Capwap, 0)?;
    match (native, binding) {
        (false, _) => Ok(Layer::Ethernet),
        (true, WIRELESS_802_11) => Ok(Layer::SwappedWlan),
        (true, _) => Err(Unparsed::NotIp),
    }
}
