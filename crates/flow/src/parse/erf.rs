//! Records of Endace's capture cards (Endace, "ERF types reference").

use super::walk::{Layer, Walk, be16};
use super::{Unparsed, ppp};

/// Parses a record: time stamp, type, flags, lengths, extension headers if the type's highest bit
/// is set, then a frame.
pub(super) fn record(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    const EXTENDED: u8 = 0x80;
    const CHECK_SEQUENCE: usize = 4;
    let header: &[u8; 16] = walk.header()?;
    let (kind, wire_len) = (header[8], usize::from(be16(header[14], header[15])));
    walk.skip(16)?;
    let mut more = kind & EXTENDED != 0;
    while more {
        more = walk.header::<8>()?[0] & EXTENDED != 0;
        walk.skip(8)?;
    }
    match kind & !EXTENDED {
        // HDLC from a serial line: PPP or Cisco HDLC.
        1 | 10 | 15 | 17 | 19 => {
            walk.limit(wire_len);
            ppp::serial(walk)
        }
        // Ethernet after two bytes of padding, with its frame check sequence.
        2 | 11 | 16 | 20 => {
            walk.skip(2)?;
            walk.limit(wire_len.saturating_sub(CHECK_SEQUENCE));
            Ok(Layer::Ethernet)
        }
        // AAL5 after the header of an ATM cell.
        4 | 18 => {
            walk.skip(4)?;
            Ok(Layer::Llc)
        }
        22 => Ok(Layer::Ipv4),
        23 => Ok(Layer::Ipv6),
        _ => Err(Unparsed::NotIp),
    }
}
