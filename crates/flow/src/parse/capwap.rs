//! The data channel between wireless access points and their controller: CAPWAP (RFC 5415).

use super::Unparsed;
use super::frame_fragment::{self, Content, Place};
use super::scope::Kind;
use super::walk::{Layer, Walk, be16};
use crate::Headers;

/// Parses a frame in a datagram of `outer` (RFC 5415, sections 4.2 and 4.3).
pub(super) fn data(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    /// Version 0 and type 0: not encrypted.
    const PLAIN: u8 = 0;
    const NATIVE: u8 = 0x01;
    const FRAGMENT: u8 = 0x80;
    const LAST: u8 = 0x40;
    const KEEP_ALIVE: u8 = 0x08;
    const RESERVED: u8 = 0x07;
    const WIRELESS_802_11: u8 = 1;
    let header: &[u8; 8] = walk.header()?;
    let len = usize::from(header[1] >> 3) * 4;
    if header[0] != PLAIN || len < 8 || header[3] & (KEEP_ALIVE | RESERVED) != 0 {
        return Err(Unparsed::NotIp);
    }
    let native = header[2] & NATIVE != 0;
    let binding = header[2] >> 1 & 0x1f;
    let content = match (native, binding) {
        (false, _) => Content::Ethernet,
        (true, WIRELESS_802_11) => Content::Wlan,
        (true, _) => return Err(Unparsed::NotIp),
    };
    walk.skip(len)?;
    walk.tunnel_in(outer, Kind::Capwap, 0)?;
    // A fragment cannot be validated by its payload before it is joined, so all reserved bits must
    // be zero.
    if header[3] & FRAGMENT != 0 && header[7] & RESERVED == 0 {
        // Each sender numbers its fragments independently (section 4.3).
        let key = (outer.source, outer.destination, outer.source_port, &header[4..6]);
        let place = u32::from(be16(header[6], header[7]) & 0xfff8);
        let place = Place { place, in_bytes: true, more: header[3] & LAST == 0 };
        return frame_fragment::piece(walk, key, place, content);
    }
    Ok(content.layer())
}
