//! Transition tunnels: Teredo (RFC 4380) and AYIYA (draft-massar-v6ops-ayiya-02).

use super::Unparsed;
use super::scope::Kind;
use super::walk::{Layer, Walk};
use crate::Headers;

/// Parses a Teredo packet. Authentication and origin indications may precede the IPv6 header (RFC
/// 4380, section 5.1.1).
pub(super) fn teredo(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    if let [0, 1, client_len, authentication_len] = *walk.header::<4>()? {
        walk.skip(4 + usize::from(client_len) + usize::from(authentication_len) + 9)?;
    }
    if let [0, 0] = *walk.header::<2>()? {
        walk.skip(8)?;
    }
    walk.tunnel_in(outer, Kind::Teredo, 0)?;
    Ok(Layer::Ipv6)
}

/// Parses an AYIYA packet that is to be forwarded.
pub(super) fn ayiya(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    const FORWARD: u8 = 1;
    let header: &[u8; 8] = walk.header()?;
    if header[2] & 0x0f != FORWARD {
        return Err(Unparsed::NotIp);
    }
    let identity_len = 1 << (header[0] >> 4);
    let signature_len = usize::from(header[1] >> 4) * 4;
    walk.skip(8 + identity_len + signature_len)?;
    walk.tunnel_in(outer, Kind::Ayiya, 0)?;
    match header[3] {
        4 => Ok(Layer::Ipv4),
        41 => Ok(Layer::Ipv6),
        _ => Err(Unparsed::NotIp),
    }
}
