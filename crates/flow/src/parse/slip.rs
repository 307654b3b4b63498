//! SLIP (RFC 1055) and CSLIP (RFC 1144) as BSD captures them.

use super::walk::{Layer, Walk};
use super::{Encapsulation, Unparsed};

/// A direction, the packet's first byte as it was on the line, and what else a compressed header had there.
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
