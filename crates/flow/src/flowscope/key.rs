//! Keys by flowscope's extractors.

use std::fmt;

use ::flowscope::PacketView;

use super::timestamp;
use crate::{FlowExtractor, Headers, LinkType, Orientation, Packet, Scope};

/// The most of a packet that is copied for an extractor which expects an Ethernet frame and cannot be shown one.
const COPIED: usize = 2048;

/// Flows told apart by one of flowscope's extractors.
///
/// The extractors expect Ethernet frames. Packets of other link types, and those inside tunnels, are shown to them
/// behind an Ethernet header made up for them: their innermost IP packet, cut at 2,048 bytes. An extractor that looks
/// into tunnels itself gets only what this crate has already taken out of them.
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
/// An extractor whose keys hold many connections at a time, as [`IpPair`](::flowscope::extract::IpPair)'s do, goes into
/// [`Pair`] instead, lest their TCP segments be put together.
#[derive(Clone, Copy, Debug)]
pub struct Key<X>(pub X);

/// As [`Key`], for extractors whose keys hold many connections: every packet is a datagram.
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
    let plain = packet.link_type == LinkType::ETHERNET && headers.scope == Scope::NONE;
    let extracted = if plain {
        extractor.extract(PacketView::new(packet.data, timestamp(packet.timestamp)))?
    } else {
        let network = packet.data.get(headers.network_offset as usize..)?;
        let mut frame = [0; 14 + COPIED];
        let len = network.len().min(COPIED);
        frame[12..14].copy_from_slice(if headers.source.is_ipv4() {
            &[0x08, 0x00]
        } else {
            &[0x86, 0xdd]
        });
        frame[14..14 + len].copy_from_slice(&network[..len]);
        extractor.extract(PacketView::new(&frame[..14 + len], timestamp(packet.timestamp)))?
    };
    let orientation = match extracted.orientation {
        ::flowscope::Orientation::Forward => Orientation::Forward,
        ::flowscope::Orientation::Reverse => Orientation::Reverse,
    };
    Some((extracted.key, orientation))
}
