//! PIM register messages (RFC 7761, section 4.9.3): multicast packets on their way to the
//! rendezvous point.

use super::Unparsed;
use super::scope::Kind;
use super::walk::{Layer, Walk};
use crate::Headers;

/// Parses a register message of the flow `outer`: type and version, checksum, flags, then the
/// sender's packet.
pub(super) fn register(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    const VERSION_2_REGISTER: u8 = 0x21;
    const NULL: u8 = 0x40;
    let header: &[u8; 8] = walk.header()?;
    if header[0] != VERSION_2_REGISTER || header[4] & NULL != 0 {
        return Err(Unparsed::NotIp);
    }
    walk.skip(8)?;
    walk.tunnel_in(outer, Kind::Pim, 0)?;
    Ok(Layer::Ip)
}
