//! LLC (IEEE 802.2) and SNAP (IEEE 802, RFC 1042).

use super::Unparsed;
use super::walk::{Layer, Walk, be16};

/// Parses an LLC header.
pub(super) fn header(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let header: &[u8; 3] = walk.header()?;
    match header {
        [0xaa | 0xab, 0xaa | 0xab, 0x03] => {
            walk.skip(3)?;
            snap(walk)
        }
        // The service access point of IP.
        [0x06, 0x06, 0x03] => {
            walk.skip(3)?;
            Ok(Layer::Ip)
        }
        // OSI network layer, with a protocol identifier.
        [0xfe, 0xfe, 0x03] => {
            walk.skip(3)?;
            nlpid(walk)
        }
        [service, ..] => Err(Unparsed::Llc(*service)),
    }
}

/// Parses a SNAP header: an organisation and its protocol.
pub(super) fn snap(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let header: &[u8; 5] = walk.header()?;
    let protocol = be16(header[3], header[4]);
    walk.skip(5)?;
    match [header[0], header[1], header[2]] {
        // EtherTypes, also of bridged frames (802.1H).
        [0, 0, 0] | [0, 0, 0xf8] => Ok(Layer::EtherType(protocol)),
        // Bridged Ethernet (RFC 2684, RFC 2427) with and without a frame check sequence.
        [0x00, 0x80, 0xc2] if matches!(protocol, 1 | 7) => Ok(Layer::Ethernet),
        [a, b, c] => Err(Unparsed::Snap { organisation: [a, b, c], protocol }),
    }
}

/// Parses a network layer protocol identifier (ISO/IEC TR 9577).
pub(super) fn nlpid(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let id = walk.header::<1>()?[0];
    walk.skip(1)?;
    match id {
        0xcc => Ok(Layer::Ipv4),
        0x8e => Ok(Layer::Ipv6),
        0xcf => Ok(Layer::Ppp),
        0x80 => snap(walk),
        _ => Err(Unparsed::NetworkLayer(id)),
    }
}
