//! The columns that CSV, Parquet and JSON lines share.

use flow::{EndReason, Endpoint, FlowSide, Scope, Timestamp, protocol};

use crate::{Flow, uid};

/// Takes the values of a record, one column after another. The columns are the same for each
/// record.
pub(crate) trait Columns {
    /// A time.
    fn time(&mut self, name: &'static str, time: Timestamp);
    /// An address and a port. The names of the two columns are `name` and a suffix.
    fn endpoint(&mut self, name: &'static str, endpoint: Endpoint);
    /// A number.
    fn number(&mut self, name: &'static str, value: u64);
    /// A number that may be unknown, of at most this number of bits.
    fn optional_number(&mut self, name: &'static str, bits: u8, value: Option<u64>);
    /// Nanoseconds, which the output has as seconds.
    fn seconds(&mut self, name: &'static str, nanos: Option<u64>);
    /// A truth value.
    fn truth(&mut self, name: &'static str, value: bool);
    /// A text that may be unknown.
    fn text(&mut self, name: &'static str, text: Option<&str>);
}

/// The name of the reason for which a flow ended.
pub(crate) const fn end_name(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Fin => "fin",
        EndReason::Rst => "rst",
        EndReason::IdleTimeout => "idle",
        EndReason::Evicted => "evicted",
        EndReason::CaptureEnded => "capture-ended",
        EndReason::Replaced => "replaced",
        EndReason::ActiveTimeout => "interim",
        _ => "other",
    }
}

/// Passes a record on, column by column.
pub(crate) fn visit(flow: &Flow<'_>, to: &mut impl Columns) {
    let (initiator, responder) = (&flow.initiator, &flow.responder);
    let nanos = |duration: std::time::Duration| duration.as_nanos() as u64;
    let both = |one: u64, other: u64| one.saturating_add(other);
    to.time("start", flow.started);
    to.seconds("duration", Some(nanos(flow.duration())));
    to.optional_number("protocol", 8, Some(u64::from(flow.protocol)));
    to.endpoint("initiator", initiator.endpoint);
    to.endpoint("responder", responder.endpoint);
    scope(to, "scope", Some(flow.scope).filter(|scope| *scope != Scope::NONE));
    // Of a connection whose directions are in different VLANs or tunnels.
    let differ = initiator.scope != responder.scope;
    scope(to, "initiator_scope", differ.then_some(initiator.scope));
    scope(to, "responder_scope", differ.then_some(responder.scope));
    to.number("initiator_packets", initiator.packets);
    to.number("initiator_bytes", initiator.stream_bytes);
    to.number("responder_packets", responder.packets);
    to.number("responder_bytes", responder.stream_bytes);
    to.number("missing_bytes", both(initiator.gap_bytes, responder.gap_bytes));
    to.number("unplaced_bytes", both(initiator.unplaced_bytes, responder.unplaced_bytes));
    to.number("conflicts", flow.conflicts);
    to.truth("midway", flow.is_midway());
    to.seconds("handshake_rtt", flow.handshake_rtt.map(nanos));
    to.text("end", Some(end_name(flow.end)));
    to.text("history", Some(flow.history));
    let id = flow.community_id(0).map(|id| id.to_string());
    to.text("community_id", id.as_deref());
    to.number("initiator_wire_bytes", initiator.wire_bytes);
    to.number("responder_wire_bytes", responder.wire_bytes);
    to.optional_number("initiator_ip_bytes", 64, initiator.ip_octets);
    to.optional_number("responder_ip_bytes", 64, responder.ip_octets);
    to.number("initiator_payload_bytes", initiator.payload_bytes);
    to.number("responder_payload_bytes", responder.payload_bytes);
    to.number("initiator_retransmitted", initiator.retransmitted);
    to.number("responder_retransmitted", responder.retransmitted);
    to.number("initiator_reordered", initiator.reordered);
    to.number("responder_reordered", responder.reordered);
    to.number("initiator_zero_windows", initiator.zero_windows);
    to.number("responder_zero_windows", responder.zero_windows);
    let flags = |side| {
        let is_tcp = flow.protocol == protocol::TCP;
        is_tcp.then(|| u64::from(flow.tcp_flags(side).0))
    };
    to.optional_number("initiator_tcp_flags", 8, flags(FlowSide::Initiator));
    to.optional_number("responder_tcp_flags", 8, flags(FlowSide::Responder));
    let wide = |field: Option<u8>| field.map(u64::from);
    to.optional_number("initiator_tos", 8, wide(initiator.tos));
    to.optional_number("responder_tos", 8, wide(responder.tos));
    to.optional_number("initiator_ttl", 8, wide(initiator.ttl));
    to.optional_number("responder_ttl", 8, wide(responder.ttl));
    to.text("initiator_mac", initiator.mac.map(|mac| mac.to_string()).as_deref());
    to.text("responder_mac", responder.mac.map(|mac| mac.to_string()).as_deref());
    to.optional_number("icmp_type", 8, flow.icmp.map(|icmp| u64::from(icmp.message_type)));
    to.optional_number("icmp_code", 8, flow.icmp.map(|icmp| u64::from(icmp.code)));
    to.text("application", flow.application);
    uid::with(flow, |uid| to.text("uid", Some(uid)));
}

fn scope(to: &mut impl Columns, name: &'static str, scope: Option<Scope>) {
    to.text(name, scope.map(|scope| scope.to_string()).as_deref());
}
