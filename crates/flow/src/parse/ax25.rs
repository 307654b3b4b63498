//! AX.25, amateur packet radio (AX.25 Link Access Protocol, version 2.2, section 3).

use super::Unparsed;
use super::walk::{Layer, Walk};

/// Parses a frame: addresses of seven bytes, the last of which has its lowest bit set, a control
/// field and a protocol identifier.
pub(super) fn frame(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    const ADDRESS: usize = 7;
    /// Two stations and eight repeaters.
    const MAX_ADDRESSES: usize = 10;
    const UNNUMBERED_INFORMATION: u8 = 0x03;
    const INFORMATION: u8 = 0x01;
    const IP: u8 = 0xcc;
    let mut last = false;
    for _ in 0..MAX_ADDRESSES {
        last = walk.header::<ADDRESS>()?[ADDRESS - 1] & 1 != 0;
        walk.skip(ADDRESS)?;
        if last {
            break;
        }
    }
    if !last {
        return Err(Unparsed::Malformed);
    }
    match *walk.header::<2>()? {
        [control, IP]
            if control & !0x10 == UNNUMBERED_INFORMATION || control & INFORMATION == 0 =>
        {
            walk.skip(2)?;
            Ok(Layer::Ip)
        }
        _ => Err(Unparsed::NotIp),
    }
}
