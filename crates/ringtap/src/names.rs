//! Names of things: fixed ones in output that programs read, words in output that people read.

use std::fmt;

use conversation::GapCause;
use flow::{EndReason, FiveTupleKey, FlowRecord, FlowSide, Scope, UnplacedCause, protocol};

/// A protocol above IP.
pub(crate) fn protocol(number: u8) -> String {
    match number {
        protocol::TCP => "tcp".to_owned(),
        protocol::UDP => "udp".to_owned(),
        protocol::ICMP => "icmp".to_owned(),
        protocol::ICMPV6 => "icmp6".to_owned(),
        protocol::SCTP => "sctp".to_owned(),
        other => format!("proto-{other}"),
    }
}

/// The VLANs and tunnels of a flow, if there are any.
pub(crate) fn scope(scope: Scope) -> Option<String> {
    (scope != Scope::NONE).then(|| scope.to_string())
}

/// Prints the VLANs and tunnels of a flow behind its addresses, with a space before them; nothing
/// if there are none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Within(pub(crate) Scope);

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Scope::NONE => Ok(()),
            scope => write!(f, " {scope}"),
        }
    }
}

/// The VLANs and tunnels of the initiator's packets and of the responder's, where they differ; `""`
/// for none.
pub(crate) fn joined(record: &FlowRecord<FiveTupleKey>) -> (Option<String>, Option<String>) {
    let Some((side, key)) = record.joined else { return (None, None) };
    let (own, other) = (record.key.scope.to_string(), key.scope.to_string());
    match side {
        FlowSide::Initiator => (Some(other), Some(own)),
        FlowSide::Responder => (Some(own), Some(other)),
    }
}

/// The name of the reason for which a flow ended.
pub(crate) fn end(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Fin => "fin",
        EndReason::Rst => "rst",
        EndReason::IdleTimeout => "idle",
        EndReason::Evicted => "evicted",
        EndReason::CaptureEnded => "capture-ended",
        EndReason::Replaced => "replaced",
        _ => "other",
    }
}

/// The reason for which a flow ended, for people.
pub(crate) fn end_in_words(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Fin => "closed",
        EndReason::Rst => "reset",
        EndReason::IdleTimeout => "given up after a long silence",
        EndReason::Evicted => "given up to make room for others",
        EndReason::CaptureEnded => "still open when the capture ended",
        EndReason::Replaced => "replaced by a new connection of the same addresses and ports",
        _ => "ended",
    }
}

/// The reason that bytes are missing.
pub(crate) const fn gap(cause: GapCause) -> &'static str {
    match cause {
        GapCause::Acknowledged => "acknowledged",
        GapCause::Limit => "limit",
        GapCause::Timeout => "timeout",
        GapCause::End => "end",
        GapCause::Outage => "outage",
        GapCause::Truncated => "truncated",
        GapCause::OutOfBand => "out-of-band",
        GapCause::SlowReader => "slowreader",
        _ => "other",
    }
}

/// The reason that bytes are missing, in words.
pub(crate) const fn gap_in_words(cause: GapCause) -> &'static str {
    match cause {
        GapCause::Acknowledged => "not captured (the receiver acknowledged them)",
        GapCause::Limit => "not captured before too many others waited for them",
        GapCause::Timeout => "not captured within the time that others wait for them",
        GapCause::End => "not captured before the conversation ended",
        GapCause::Outage => "a stretch of the connection that was not captured",
        GapCause::Truncated => "cut off by the snap length of the capture",
        GapCause::OutOfBand => "taken out of band by the receiver (an urgent byte)",
        GapCause::SlowReader => "dropped, since the output is too slow",
        _ => "not captured",
    }
}

/// The reason that bytes have no place in their stream.
pub(crate) const fn unplaced(cause: UnplacedCause) -> &'static str {
    match cause {
        UnplacedCause::OutOfWindow => "out-of-window",
        UnplacedCause::AfterFin => "after-fin",
        UnplacedCause::AfterEnd => "after-end",
        UnplacedCause::OtherSequenceSpace => "other-sequence-space",
        UnplacedCause::SynNotConfirmed => "syn-not-confirmed",
        UnplacedCause::Discarded => "discarded",
        UnplacedCause::OutOfBand => "out-of-band",
        UnplacedCause::Limit => "limit",
        _ => "other",
    }
}

/// The reason that bytes have no place in their stream, in words.
pub(crate) const fn unplaced_in_words(cause: UnplacedCause) -> &'static str {
    match cause {
        UnplacedCause::OutOfWindow => {
            "far from what the receiver expected, and nothing confirmed them"
        }
        UnplacedCause::AfterFin => "beyond the end of the stream, which the receiver confirmed",
        UnplacedCause::AfterEnd => "after the end of the conversation",
        UnplacedCause::OtherSequenceSpace => {
            "other sequence numbers, of a middlebox's other side or forged"
        }
        UnplacedCause::SynNotConfirmed => {
            "on a SYN that nothing confirmed, or without the receiver taking them"
        }
        UnplacedCause::Discarded => "in a segment that the receiving host discards",
        UnplacedCause::OutOfBand => "an urgent byte, taken out of band by the receiver",
        UnplacedCause::Limit => "too much else waited for its place to be known",
        _ => "their place is not known",
    }
}

/// A number and what it counts, in the singular or the plural.
pub(crate) fn count(number: u64, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

/// A number of bytes.
pub(crate) fn bytes(number: u64) -> String {
    count(number, "byte", "bytes")
}
