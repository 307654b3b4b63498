//! What the flow table tells its handler.

use crate::{FlowSide, TcpFlags, Timestamp};

/// A flow's number in its table: a slot that is used again after the flow's end, and a generation that tells the
/// flows in it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl FlowId {
    /// The slot, dense from 0: an index for state that a handler keeps for each flow.
    #[must_use]
    pub const fn slot(self) -> usize {
        self.slot as usize
    }
}

/// Bytes of a TCP stream.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Data<'a> {
    /// The bytes: a slice of the packet that brought them where nothing had to wait, else of a buffer.
    pub bytes: &'a [u8],
    /// Position of the first byte in its direction's stream, gaps counted; the first byte after the SYN is 0.
    pub offset: u64,
    /// Time stamp of the packet that brought the bytes.
    pub timestamp: Timestamp,
    /// Number of the packet that brought the bytes.
    pub packet_number: u64,
    /// The sender had the other side's bytes before this offset when it sent these. Set where these waited behind a hole
    /// in their own stream, so that the order of events does not show it; 0 elsewhere, and where
    /// [`on_awaited`](crate::FlowHandler::on_awaited) told it.
    pub awaits: u64,
}

/// Bytes of a TCP stream that the capture does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// Position of the first missing byte in its direction's stream.
    pub offset: u64,
    /// How many bytes are missing.
    pub len: u64,
    /// How the table came to know.
    pub cause: GapCause,
    /// `true` if the capture missed so much that sequence numbers, which count modulo 2³², do not tell the length alone: it
    /// is at least the remainder of `len` modulo 2³², and `len` is the likeliest of the lengths with this remainder by what
    /// the source has lost, see [`FlowTable::note_drops`](crate::FlowTable::note_drops), or else by the flow's rate.
    pub estimated: bool,
}

/// Why a gap was declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapCause {
    /// The receiver acknowledged bytes that were not seen.
    Acknowledged,
    /// The limit of bytes or segments that wait for a hole to be filled was reached.
    Limit,
    /// The hole was not filled in time.
    Timeout,
    /// The flow ended before the hole was filled.
    End,
    /// The sender went on far ahead, beyond what the receiver's window could take at that point, and nothing was seen in
    /// between: the capture missed a stretch of the connection, the acknowledgements as well.
    Outage,
    /// The capture cut the packet short.
    Truncated,
    /// An urgent byte, which the receiving host hands to the application out of band (RFC 6093): it was captured, see
    /// [`UnplacedCause::OutOfBand`].
    OutOfBand,
}

/// The payload of one packet of a flow that is not TCP.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Datagram<'a> {
    /// The captured payload.
    pub bytes: &'a [u8],
    /// Payload bytes on the wire.
    pub wire_len: u32,
    /// When it was captured.
    pub timestamp: Timestamp,
    /// The packet's number.
    pub packet_number: u64,
}

/// The packet that a flow begins with.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Opening<'a> {
    /// Who sent it.
    pub side: FlowSide,
    /// The captured payload. The first packet of a TCP connection has none as a rule.
    pub payload: &'a [u8],
    /// The control bits of a TCP segment; none of them is set in other packets.
    pub flags: TcpFlags,
    /// When it was captured.
    pub timestamp: Timestamp,
    /// The packet's number.
    pub packet_number: u64,
}

/// Two versions of the same bytes of a stream.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Conflict<'a> {
    /// Position of the first differing range in its direction's stream.
    pub offset: u64,
    /// The bytes that stay (or were delivered).
    pub kept: &'a [u8],
    /// The bytes that give way, as long as `kept`.
    pub discarded: &'a [u8],
    /// Number of the packet that brought the bytes that stay.
    pub kept_packet_number: u64,
    /// Number of the packet that brought the bytes that give way.
    pub discarded_packet_number: u64,
    /// Time stamp of the packet that brought the second version.
    pub timestamp: Timestamp,
    /// Number of the packet that brought the second version.
    pub packet_number: u64,
}

/// Captured bytes that have no place in their direction's stream: no evidence showed where they belong, or the evidence
/// speaks against them.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Unplaced<'a> {
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// TCP sequence number of the first byte.
    pub sequence: u32,
    /// The reason.
    pub cause: UnplacedCause,
    /// Time stamp of the packet that brought the bytes.
    pub timestamp: Timestamp,
    /// Number of the packet that brought the bytes.
    pub packet_number: u64,
}

/// Why captured bytes have no place in their stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnplacedCause {
    /// Far from the window, and neither an acknowledgement nor a later segment confirmed them.
    OutOfWindow,
    /// Beyond a FIN that the other side's acknowledgements confirmed.
    AfterFin,
    /// After the end of the connection, or after its reset.
    AfterEnd,
    /// Of another sequence space on the same addresses and ports: the other side of a middlebox, or a forged handshake.
    OtherSequenceSpace,
    /// On a SYN that was not confirmed, or that the receiver did not accept.
    SynNotConfirmed,
    /// In a segment that the receiving host discards; [`TableStatistics`](crate::TableStatistics) counts the causes.
    Discarded,
    /// An urgent byte, which the receiving host hands to the application out of band (RFC 6093).
    OutOfBand,
    /// The budget for segments that wait for evidence was used up.
    Limit,
}

/// Why a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// Both sides said that they had no more data.
    Fin,
    /// A side reset the connection.
    Rst,
    /// Nothing was seen for the time that its state allows.
    IdleTimeout,
    /// The table was full and this flow had to make room.
    Evicted,
    /// The capture ended while the flow was going on.
    CaptureEnded,
    /// A new connection took over the same addresses and ports.
    Replaced,
    /// It did not: this is a record of a flow that goes on, handed out at the interval that was asked for.
    ActiveTimeout,
}
