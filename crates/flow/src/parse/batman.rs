//! Mesh networks of B.A.T.M.A.N. advanced, version 15 (`linux/batadv_packet.h`).

use super::walk::{Layer, Walk};
use super::{Encapsulation, Unparsed, tag};

/// Parses a packet: its type, its version, fields by type, then the Ethernet frame that it carries
/// through the mesh.
pub(super) fn packet(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    const VERSION: u8 = 15;
    let [kind, version] = *walk.header::<2>()?;
    if version != VERSION {
        return Err(Unparsed::Encapsulation(Encapsulation::UnknownVersion));
    }
    match kind {
        // Broadcast, unicast, unicast with four addresses.
        0x01 => tag::before_frame(walk, 14),
        0x40 => tag::before_frame(walk, 10),
        0x42 => tag::before_frame(walk, 18),
        0x41 => Err(Unparsed::Encapsulation(Encapsulation::MeshFragment)),
        // Routing and network coding.
        _ => Err(Unparsed::EtherType(super::ethernet::ether_type::BATMAN)),
    }
}
