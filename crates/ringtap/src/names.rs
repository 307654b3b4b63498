//! What things are called in output that programs read.

use flow::{EndReason, protocol};

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

/// How a flow ended.
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
