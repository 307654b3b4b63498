//! What is known of a flow when it ends.

use std::time::Duration;

use crate::{EndReason, FlowSide, Orientation, Timestamp};

/// The summary of a flow.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FlowRecord<K> {
    /// The flow's key.
    pub key: K,
    /// Which way packets of the initiator go, relative to the key.
    pub initiator_orientation: Orientation,
    /// Time stamp of the first packet.
    pub started: Timestamp,
    /// Time stamp of the last packet.
    pub ended: Timestamp,
    /// Why it ended.
    pub reason: EndReason,
    /// What the initiator sent.
    pub initiator: SideCounters,
    /// What the responder sent.
    pub responder: SideCounters,
    /// From the SYN to the acknowledgement of the SYN-ACK, if the whole handshake was seen.
    pub handshake_rtt: Option<Duration>,
    /// The TCP history string: one letter an event, upper case for the initiator, lower case for the responder
    /// (S SYN, H SYN-ACK, A pure acknowledgement, D data, F FIN, R reset, T retransmission, G gap).
    pub history: String,
    /// The side whose packets came in another VLAN or tunnel than the key's, and the key that they had there; `None` for a
    /// flow in a single scope. See [`FiveTuple`](crate::FiveTuple).
    pub joined: Option<(FlowSide, K)>,
}

impl<K> FlowRecord<K> {
    /// The counters of a side.
    #[must_use]
    pub const fn side(&self, side: FlowSide) -> &SideCounters {
        match side {
            FlowSide::Initiator => &self.initiator,
            FlowSide::Responder => &self.responder,
        }
    }
}

/// What one side of a flow sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SideCounters {
    /// Packets.
    pub packets: u64,
    /// Bytes of payload on the wire, retransmissions counted.
    pub payload_bytes: u64,
    /// Bytes of the frames on the wire.
    pub wire_bytes: u64,
    /// TCP: the sequence number of the first byte of the stream, if it is known.
    pub first_sequence: Option<u32>,
    /// Bytes of the stream that were delivered.
    pub delivered_bytes: u64,
    /// Segments that brought nothing new.
    pub retransmitted: u64,
    /// Segments that came before their turn.
    pub reordered: u64,
    /// Bytes of the stream that are missing.
    pub gap_bytes: u64,
    /// Captured bytes that have no place in the stream: see [`Unplaced`](crate::Unplaced).
    pub unplaced_bytes: u64,
    /// Window-is-closed announcements.
    pub zero_windows: u64,
}
