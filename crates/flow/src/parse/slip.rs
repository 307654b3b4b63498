//! SLIP (RFC 1055) and CSLIP (RFC 1144) in BSD's capture format.

use super::walk::{Layer, Walk};
use super::{Encapsulation, Unparsed};

/// Parses the header: a direction, the packet's first byte on the line, and the rest of a
/// compressed header.
pub(super) fn frame(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    const COMPRESSED: u8 = 0x80;
    const UNCOMPRESSED: u8 = 0x70;
    let header: &[u8; 16] = walk.header()?;
    walk.skip(16)?;
    match header[1] & 0xf0 {
        UNCOMPRESSED => Ok(Layer::UncompressedTcp),
        kind if kind & COMPRESSED != 0 => {
            Err(Unparsed::Encapsulation(Encapsulation::CompressedTcp))
        }
        _ => Ok(Layer::Ip),
    }
}
