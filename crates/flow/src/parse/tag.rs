//! Tags between the Ethernet addresses and the packet, other than VLAN tags.

use super::scope::Kind;
use super::vxlan::next_protocol;
use super::walk::{Layer, Walk, be16};
use super::{Encapsulation, Unparsed};

/// Skips a tag of a fixed length that ends with the next EtherType.
pub(super) fn fixed<const N: usize>(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let tag: &[u8; N] = walk.header()?;
    walk.enter()?;
    walk.skip(N)?;
    Ok(Layer::EtherType(be16(tag[N - 2], tag[N - 1])))
}

/// Skips a tag of a fixed length that precedes a whole Ethernet frame.
pub(super) fn before_frame(walk: &mut Walk<'_>, len: usize) -> Result<Layer, Unparsed> {
    walk.enter()?;
    walk.skip(len)?;
    Ok(Layer::Ethernet)
}

/// Skips Cisco's metadata (security group): version, length in words of four bytes, options.
pub(super) fn cisco_metadata(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let words = usize::from(walk.header::<2>()?[1]);
    walk.enter()?;
    walk.skip(2 + words * 4)?;
    let next: &[u8; 2] = walk.header()?;
    walk.skip(2)?;
    Ok(Layer::EtherType(be16(next[0], next[1])))
}

/// Parses a backbone service instance tag (802.1Q, section 9.7), which precedes the customer's
/// frame.
pub(super) fn backbone(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let tag: &[u8; 4] = walk.header()?;
    let instance = u64::from(u32::from_be_bytes([0, tag[1], tag[2], tag[3]]));
    walk.scope = walk.parser.scopes.segment(walk.scope, Kind::Backbone, instance);
    before_frame(walk, 4)
}

/// Parses a MACsec tag (802.1AE, section 9.3) of a frame that is authenticated but not encrypted.
pub(super) fn macsec(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    const CHANNEL: u8 = 0x20;
    const ENCRYPTED_OR_CHANGED: u8 = 0x0c;
    const CHECK_VALUE_LEN: usize = 16;
    let control = walk.header::<1>()?[0];
    if control & ENCRYPTED_OR_CHANGED != 0 {
        return Err(Unparsed::Encapsulation(Encapsulation::EncryptedMacsec));
    }
    walk.enter()?;
    walk.skip(if control & CHANNEL != 0 { 14 } else { 6 })?;
    walk.limit(walk.wire_remaining().saturating_sub(CHECK_VALUE_LEN));
    let next: &[u8; 2] = walk.header()?;
    walk.skip(2)?;
    Ok(Layer::EtherType(be16(next[0], next[1])))
}

/// Skips a TRILL header (RFC 6325, section 3), which precedes a frame.
pub(super) fn trill(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let header: &[u8; 6] = walk.header()?;
    if header[0] >> 6 != 0 {
        return Err(Unparsed::Encapsulation(Encapsulation::UnknownVersion));
    }
    let option_words = usize::from(be16(header[0], header[1]) >> 6 & 0x1f);
    before_frame(walk, 6 + option_words * 4)
}

/// Parses a network service header (RFC 8300). Service paths differ by direction, so they are not
/// part of the scope.
pub(super) fn service_header(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let header: &[u8; 8] = walk.header()?;
    let words = usize::from(header[1] & 0x3f);
    if header[0] >> 6 != 0 || words < 2 {
        return Err(Unparsed::Encapsulation(Encapsulation::UnknownVersion));
    }
    walk.enter()?;
    walk.skip(words * 4)?;
    next_protocol(header[3])
}
