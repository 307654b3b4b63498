//! The summary of a flow.

use std::time::Duration;

use crate::{EndReason, FlowSide, MacAddress, Orientation, TcpFlags, Timestamp};

/// The summary of a flow.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FlowRecord<K> {
    /// The flow's key.
    pub key: K,
    /// The direction of the initiator's packets relative to the key.
    pub initiator_orientation: Orientation,
    /// Time stamp of the first packet.
    pub started: Timestamp,
    /// Time stamp of the last packet.
    pub ended: Timestamp,
    /// The reason for the end.
    pub reason: EndReason,
    /// Counters of the initiator's packets.
    pub initiator: SideCounters,
    /// Counters of the responder's packets.
    pub responder: SideCounters,
    /// Time from the SYN to the acknowledgement of the SYN-ACK, if the whole handshake was
    /// captured.
    pub handshake_rtt: Option<Duration>,
    /// The TCP history string: one letter for each kind of event, in order of first occurrence.
    /// Upper case for the initiator, lower case for the responder: S SYN, H SYN-ACK, A pure
    /// acknowledgement, D data, F FIN, R reset, T retransmission, G gap.
    pub history: String,
    /// The first ICMP message of the initiator. `None` for other protocols.
    pub icmp: Option<IcmpMessage>,
    /// The side whose packets were in another VLAN or tunnel than the key's, and their key there.
    /// `None` for a flow in a single scope. See [`FiveTuple`](crate::FiveTuple).
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

/// Type and code of an ICMP message (RFC 792, RFC 4443).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IcmpMessage {
    /// The type: 8 for an echo request of IPv4.
    pub message_type: u8,
    /// The code.
    pub code: u8,
}

/// Counters of the packets of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SideCounters {
    /// Packets.
    pub packets: u64,
    /// Bytes of payload on the wire, including retransmissions.
    pub payload_bytes: u64,
    /// Bytes of the frames on the wire.
    pub wire_bytes: u64,
    /// Bytes of the IP packets on the wire, headers and payload, without the link layer and its
    /// padding. In a tunnel, those of the innermost IP packets. Fragments count as the datagram
    /// that they were joined to.
    pub ip_bytes: u64,
    /// TCP: the sequence number of the first byte of the stream, if known.
    pub first_sequence: Option<u32>,
    /// Bytes of the stream that were delivered.
    pub delivered_bytes: u64,
    /// Segments without new bytes.
    pub retransmitted: u64,
    /// Segments ahead of the next expected byte.
    pub reordered: u64,
    /// Bytes of the stream that are missing.
    pub gap_bytes: u64,
    /// Captured bytes that could not be placed in the stream; see [`Unplaced`](crate::Unplaced).
    pub unplaced_bytes: u64,
    /// Segments that announced a window of zero.
    pub zero_windows: u64,
    /// All TCP flags that were seen. `None` for other protocols.
    pub tcp_flags: Option<TcpFlags>,
    /// The traffic class of the first packet: DSCP and ECN (RFC 2474, RFC 3168). `None` without
    /// packets.
    pub traffic_class: Option<u8>,
    /// The time to live, or hop limit, of the first packet.
    pub hop_limit: Option<u8>,
    /// The link-layer address that the first packet came from, if it was an Ethernet frame. In a
    /// tunnel, that of the outer frame.
    pub mac: Option<MacAddress>,
}
