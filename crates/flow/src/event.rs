//! Events of the flow table.

use crate::{FlowSide, Packet, TcpFlags, Timestamp};

/// Identifies a flow in its table: a slot, which is reused after the flow's end, and a generation
/// that separates the flows in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl FlowId {
    /// The slot, dense from 0. Use it as an index for per-flow state of a handler.
    #[must_use]
    pub const fn slot(self) -> usize {
        self.slot as usize
    }
}

/// Bytes of a TCP stream.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Data<'a> {
    /// The bytes. Borrowed from the packet that carried them if they arrived in order, otherwise
    /// from a buffer.
    pub bytes: &'a [u8],
    /// Offset of the first byte in its direction's stream, including gaps. The first byte after the
    /// SYN has offset 0.
    pub offset: u64,
    /// Time stamp of the packet that carried the bytes.
    pub timestamp: Timestamp,
    /// Number of the packet that carried the bytes.
    pub packet_number: u64,
    /// The offset up to which the sender had received the other side's stream when it sent these
    /// bytes.
    ///
    /// Set if the bytes were pending behind a hole in their own stream, because the order of events
    /// does not show it then. Otherwise 0, as for offsets that
    /// [`on_ack_ahead`](crate::FlowHandler::on_ack_ahead) has reported.
    pub depends_on: u64,
}

impl<'a> Data<'a> {
    /// Creates bytes that wait for none of the other side's, for handlers that pass on what they
    /// kept.
    #[must_use]
    pub const fn new(
        bytes: &'a [u8],
        offset: u64,
        timestamp: Timestamp,
        packet_number: u64,
    ) -> Self {
        Self { bytes, offset, timestamp, packet_number, depends_on: 0 }
    }
}

/// Bytes of a TCP stream that the capture does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// Offset of the first missing byte in its direction's stream.
    pub offset: u64,
    /// The number of missing bytes.
    pub len: u64,
    /// The evidence for the gap.
    pub cause: GapCause,
    /// `true` if the length is an estimate: the capture missed an amount for which sequence
    /// numbers, which count modulo 2³², allow several lengths.
    ///
    /// The length is then at least the remainder of `len` modulo 2³². `len` is the most likely
    /// length with this remainder, judging by the packets that the source has dropped (see
    /// [`FlowTable::note_drops`](crate::FlowTable::note_drops)) or else by the flow's rate.
    pub estimated: bool,
    /// Those of the bytes that were captured, and dropped because a reader was too slow; the others
    /// were not captured. 0 unless the cause is [`GapCause::SlowReader`].
    pub dropped: u64,
}

impl Gap {
    /// Creates a gap of known length.
    #[must_use]
    pub const fn new(offset: u64, len: u64, cause: GapCause) -> Self {
        Self { offset, len, cause, estimated: false, dropped: 0 }
    }
}

/// The reason for a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapCause {
    /// The receiver acknowledged bytes that were not captured.
    Acknowledged,
    /// The limit of bytes or segments pending behind a hole was reached.
    Limit,
    /// The hole was not filled in time.
    Timeout,
    /// The flow ended before the hole was filled.
    End,
    /// The sender continued far ahead, beyond the receiver's window, and nothing was captured in
    /// between. The capture missed a stretch of the connection, including the acknowledgements.
    Outage,
    /// The capture truncated the packet.
    Truncated,
    /// An urgent byte. The receiving host passes it to the application out of band (RFC 6093), so
    /// it is not part of the stream. It was captured; see [`UnplacedCause::OutOfBand`].
    OutOfBand,
    /// The bytes were captured, but a reader was too slow to take them. The flow table itself has
    /// no readers and never reports this; the queues behind it do. Gaps for other causes next to
    /// these bytes become one with them, since each would take memory: [`Gap::dropped`] counts the
    /// bytes that were captured.
    SlowReader,
}

/// The payload of one packet of a flow that is not TCP.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Datagram<'a> {
    /// The captured payload.
    pub bytes: &'a [u8],
    /// Payload bytes on the wire.
    pub wire_len: u32,
    /// The time of capture.
    pub timestamp: Timestamp,
    /// The packet's number.
    pub packet_number: u64,
}

impl<'a> Datagram<'a> {
    /// Creates the payload of a packet, for handlers that pass on what they kept.
    #[must_use]
    pub const fn new(
        bytes: &'a [u8],
        wire_len: u32,
        timestamp: Timestamp,
        packet_number: u64,
    ) -> Self {
        Self { bytes, wire_len, timestamp, packet_number }
    }
}

/// The first packet of a flow.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FirstPacket<'a> {
    /// The sender.
    pub side: FlowSide,
    /// The captured payload. Usually empty for the first packet of a TCP connection.
    pub payload: &'a [u8],
    /// The control bits of a TCP segment. All zero for other packets.
    pub flags: TcpFlags,
    /// The time of capture.
    pub timestamp: Timestamp,
    /// The packet's number.
    pub packet_number: u64,
}

impl<'a> FirstPacket<'a> {
    /// Creates the first packet of a flow, for handlers that pass on what they kept.
    #[must_use]
    pub const fn new(
        side: FlowSide,
        payload: &'a [u8],
        flags: TcpFlags,
        timestamp: Timestamp,
        packet_number: u64,
    ) -> Self {
        Self { side, payload, flags, timestamp, packet_number }
    }
}

/// A captured packet of a flow.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FlowPacket<'a> {
    /// The sender.
    pub side: FlowSide,
    /// The packet's number.
    pub number: u64,
    /// The packet. `None` if it came earlier, and was passed to
    /// [`on_packet_pending`](crate::FlowHandler::on_packet_pending) or to `on_packet` then.
    pub packet: Option<&'a Packet<'a>>,
}

impl<'a> FlowPacket<'a> {
    /// Creates a packet, for handlers that pass on what they kept.
    #[must_use]
    pub const fn new(side: FlowSide, number: u64, packet: Option<&'a Packet<'a>>) -> Self {
        Self { side, number, packet }
    }
}

/// Two versions of the same bytes of a stream.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Conflict<'a> {
    /// Offset of the first byte that differs, in its direction's stream.
    pub offset: u64,
    /// The bytes that stay in the stream, or were delivered.
    pub kept: &'a [u8],
    /// The bytes that are discarded. Of the same length as `kept`.
    pub discarded: &'a [u8],
    /// Number of the packet that carried the bytes that stay.
    pub kept_packet_number: u64,
    /// Number of the packet that carried the discarded bytes.
    pub discarded_packet_number: u64,
    /// Time stamp of the packet that carried the second version.
    pub timestamp: Timestamp,
    /// Number of the packet that carried the second version.
    pub packet_number: u64,
}

impl<'a> Conflict<'a> {
    /// Creates two versions of the bytes at an offset, each with the number of its packet, for
    /// handlers that pass on what they kept. The last arguments are those of the packet that came
    /// second.
    #[must_use]
    pub const fn new(
        offset: u64,
        kept: (&'a [u8], u64),
        discarded: (&'a [u8], u64),
        timestamp: Timestamp,
        packet_number: u64,
    ) -> Self {
        let ((kept, kept_packet_number), (discarded, discarded_packet_number)) = (kept, discarded);
        Self {
            offset,
            kept,
            discarded,
            kept_packet_number,
            discarded_packet_number,
            timestamp,
            packet_number,
        }
    }
}

/// Captured bytes that are not part of their direction's stream, because no evidence showed where
/// they belong, or the evidence contradicts them.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Unplaced<'a> {
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// TCP sequence number of the first byte.
    pub sequence: u32,
    /// The reason.
    pub cause: UnplacedCause,
    /// Time stamp of the packet that carried the bytes.
    pub timestamp: Timestamp,
    /// Number of the packet that carried the bytes.
    pub packet_number: u64,
}

impl<'a> Unplaced<'a> {
    /// Creates bytes without a place, for handlers that pass on what they kept.
    #[must_use]
    pub const fn new(
        bytes: &'a [u8],
        sequence: u32,
        cause: UnplacedCause,
        timestamp: Timestamp,
        packet_number: u64,
    ) -> Self {
        Self { bytes, sequence, cause, timestamp, packet_number }
    }
}

/// The reason why captured bytes are not part of their stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnplacedCause {
    /// Far from the window, and neither an acknowledgement nor a later segment confirmed them.
    OutOfWindow,
    /// Beyond a FIN that the other side's acknowledgements confirmed.
    AfterFin,
    /// After the end of the connection, or after its reset.
    AfterEnd,
    /// Of another sequence space on the same addresses and ports: the other side of a middlebox, or
    /// a forged handshake.
    OtherSequenceSpace,
    /// On a SYN that was not confirmed, or that the receiver did not accept.
    SynNotConfirmed,
    /// In a segment that the receiving host discards; [`TableStatistics`](crate::TableStatistics)
    /// counts the causes.
    Discarded,
    /// An urgent byte, which the receiving host passes to the application out of band (RFC 6093).
    OutOfBand,
    /// The memory limit for segments that await evidence was reached.
    Limit,
}

/// The reason why a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// Both sides sent a FIN.
    Fin,
    /// A side reset the connection.
    Rst,
    /// The flow was idle for the timeout of its state.
    IdleTimeout,
    /// The table was full and the flow was evicted.
    Evicted,
    /// The capture ended while the flow was active.
    CaptureEnded,
    /// A new connection took over the same addresses and ports.
    Replaced,
    /// Not an end: an interim record of an active flow, emitted every
    /// [`active_timeout`](crate::FlowTableBuilder::active_timeout).
    ActiveTimeout,
}
