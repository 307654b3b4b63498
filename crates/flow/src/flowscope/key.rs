//! Keys of flowscope's extractors.

use std::fmt;

use ::flowscope::PacketView;

use super::timestamp;
use crate::{FlowExtractor, Headers, LinkType, Orientation, Packet, Scope};

/// The maximum number of bytes that are copied for an extractor that expects an Ethernet frame, if
/// the packet is not one.
const COPIED: usize = 2048;

/// Keys flows by one of flowscope's extractors.
///
/// The extractors expect Ethernet frames. Packets of other link types, and those inside tunnels,
/// are passed to them behind a synthetic Ethernet header: their innermost IP packet, truncated to
/// 2,048 bytes. So an extractor that decapsulates tunnels itself sees only packets that this crate
/// has already decapsulated.
///
/// ```
/// use flow::FlowTable;
/// use flow::flowscope::Key;
/// use flowscope::extract::FiveTuple;
///
/// let table = FlowTable::builder(Key(FiveTuple::bidirectional())).build();
/// assert_eq!(table.len(), 0);
/// ```
///
/// Use [`Pair`] for an extractor whose keys cover many connections at a time, such as
/// [`IpPair`](::flowscope::extract::IpPair), so that their TCP segments are not reassembled into
/// one stream.
#[derive(Clone, Copy, Debug)]
pub struct Key<X>(pub X);

/// As [`Key`], for extractors whose keys cover many connections: every packet is a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Pair<X>(pub X);

impl<X> FlowExtractor for Pair<X>
where
    X: ::flowscope::FlowExtractor,
    X::Key: fmt::Debug,
{
    type Key = X::Key;

    fn extract(&self, packet: &Packet<'_>, headers: &Headers) -> Option<(X::Key, Orientation)> {
        extract(&self.0, packet, headers)
    }

    fn is_connection(&self) -> bool {
        false
    }
}

impl<X> FlowExtractor for Key<X>
where
    X: ::flowscope::FlowExtractor,
    X::Key: fmt::Debug,
{
    type Key = X::Key;

    fn extract(&self, packet: &Packet<'_>, headers: &Headers) -> Option<(X::Key, Orientation)> {
        extract(&self.0, packet, headers)
    }
}

fn extract<X: ::flowscope::FlowExtractor>(
    extractor: &X,
    packet: &Packet<'_>,
    headers: &Headers,
) -> Option<(X::Key, Orientation)> {
    let plain = packet.link_type() == LinkType::ETHERNET && headers.scope == Scope::NONE;
    let extracted = if plain {
        extractor.extract(PacketView::new(packet.data(), timestamp(packet.timestamp())))?
    } else {
        let network = packet.data().get(headers.network_offset as usize..)?;
        let mut frame = [0; 14 + COPIED];
        let len = network.len().min(COPIED);
        frame[12..14].copy_from_slice(if headers.source.is_ipv4() {
            &[0x08, 0x00]
        } else {
            &[0x86, 0xdd]
        });
        frame[14..14 + len].copy_from_slice(&network[..len]);
        extractor.extract(PacketView::new(&frame[..14 + len], timestamp(packet.timestamp())))?
    };
    let orientation = match extracted.orientation {
        ::flowscope::Orientation::Forward => Orientation::Forward,
        ::flowscope::Orientation::Reverse => Orientation::Reverse,
    };
    Some((extracted.key, orientation))
}
