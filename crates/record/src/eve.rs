//! Suricata's EVE: a JSON object in a line for each record, with `event_type` `flow`.
//!
//! Bytes are those of the frames, as Suricata counts them. If TCP flags were not counted, they are
//! those that the history proves, without PSH.

use flow::{EndReason, FlowSide, Timestamp, protocol};

use crate::text::{self, Calendar};
use crate::{Flow, uid};

/// Appends a record.
pub fn encode(flow: &Flow<'_>, out: &mut Vec<u8>) {
    let (initiator, responder) = (&flow.initiator, &flow.responder);
    out.extend_from_slice(b"{\"timestamp\":");
    time(out, flow.ended);
    field(out, "flow_id", flow.number.unwrap_or_else(|| (uid::hash(flow) >> 77) as u64));
    out.extend_from_slice(b",\"event_type\":\"flow\"");
    let mut tags = initiator.scope.vlans();
    if let Some(outer) = tags.next() {
        out.extend_from_slice(b",\"vlan\":[");
        text::number(out, u64::from(outer));
        for tag in tags {
            out.push(b',');
            text::number(out, u64::from(tag));
        }
        out.push(b']');
    }
    let has_ports = !matches!(flow.protocol, protocol::ICMP | protocol::ICMPV6);
    for (side, address, port) in
        [(initiator, "src_ip", "src_port"), (responder, "dest_ip", "dest_port")]
    {
        name(out, address);
        out.push(b'"');
        text::address(out, side.endpoint.address);
        out.push(b'"');
        if has_ports {
            field(out, port, u64::from(side.endpoint.port));
        }
    }
    protocol_name(out, flow.protocol);
    if let Some(icmp) = flow.icmp {
        field(out, "icmp_type", u64::from(icmp.message_type));
        field(out, "icmp_code", u64::from(icmp.code));
    }
    if let Some(application) = flow.application {
        name(out, "app_proto");
        text::json_string(out, application);
    }
    out.extend_from_slice(b",\"flow\":{\"pkts_toserver\":");
    text::number(out, initiator.packets);
    field(out, "pkts_toclient", responder.packets);
    field(out, "bytes_toserver", initiator.wire_bytes);
    field(out, "bytes_toclient", responder.wire_bytes);
    out.extend_from_slice(b",\"start\":");
    time(out, flow.started);
    out.extend_from_slice(b",\"end\":");
    time(out, flow.ended);
    // Whole seconds between the seconds of start and end, as Suricata computes it.
    field(out, "age", flow.ended.seconds().saturating_sub(flow.started.seconds()));
    string(out, "state", state(flow));
    string(out, "reason", reason(flow.end));
    out.extend_from_slice(b",\"alerted\":false}");
    if let Some(id) = flow.community_id(0) {
        name(out, "community_id");
        out.push(b'"');
        text::display(out, id);
        out.push(b'"');
    }
    if flow.protocol == protocol::TCP {
        tcp(flow, out);
    }
    out.extend_from_slice(b"}\n");
}

fn tcp(flow: &Flow<'_>, out: &mut Vec<u8>) {
    let (to_server, to_client) =
        (flow.tcp_flags(FlowSide::Initiator).0, flow.tcp_flags(FlowSide::Responder).0);
    let all = to_server | to_client;
    out.extend_from_slice(b",\"tcp\":{\"tcp_flags\":");
    hexadecimal(out, all);
    for (flags, key) in [(to_server, "tcp_flags_ts"), (to_client, "tcp_flags_tc")] {
        name(out, key);
        hexadecimal(out, flags);
    }
    let names = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"];
    for (bit, key) in names.into_iter().enumerate() {
        if all >> bit & 1 == 1 {
            name(out, key);
            out.extend_from_slice(b"true");
        }
    }
    string(out, "state", tcp_state(flow));
    out.push(b'}');
}

/// The state of the connection, in Suricata's words.
fn tcp_state(flow: &Flow<'_>) -> &'static str {
    let has = |letter| flow.history.contains(letter);
    match flow.end {
        EndReason::Fin | EndReason::Rst => "closed",
        _ if has('F') || has('f') => "fin_wait1",
        _ if has('d') || has('D') || has('A') || has('a') => "established",
        _ if has('h') => "syn_recv",
        _ if has('S') => "syn_sent",
        _ => "none",
    }
}

fn state(flow: &Flow<'_>) -> &'static str {
    match flow.protocol {
        protocol::TCP => match tcp_state(flow) {
            "closed" | "fin_wait1" => "closed",
            "established" => "established",
            _ => "new",
        },
        _ if flow.initiator.packets > 0 && flow.responder.packets > 0 => "established",
        _ => "new",
    }
}

const fn reason(end: EndReason) -> &'static str {
    match end {
        EndReason::CaptureEnded => "shutdown",
        EndReason::Evicted | EndReason::Replaced => "forced",
        _ => "timeout",
    }
}

/// Writes the protocol: its name, or its number with three digits.
fn protocol_name(out: &mut Vec<u8>, number: u8) {
    let known = match number {
        protocol::ICMP => "ICMP",
        2 => "IGMP",
        protocol::TCP => "TCP",
        protocol::UDP => "UDP",
        47 => "GRE",
        50 => "ESP",
        51 => "AH",
        protocol::ICMPV6 => "IPv6-ICMP",
        protocol::SCTP => "SCTP",
        _ => {
            name(out, "proto");
            out.push(b'"');
            text::padded(out, u32::from(number), 3);
            out.push(b'"');
            return;
        }
    };
    string(out, "proto", known);
}

fn name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn field(out: &mut Vec<u8>, key: &str, value: u64) {
    name(out, key);
    text::number(out, value);
}

/// Writes text that needs no escapes.
fn string(out: &mut Vec<u8>, key: &str, value: &str) {
    name(out, key);
    out.push(b'"');
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

fn hexadecimal(out: &mut Vec<u8>, flags: u8) {
    let digits = [flags >> 4, flags & 15].map(|digit| text::HEX[usize::from(digit)]);
    out.extend_from_slice(&[b'"', digits[0], digits[1], b'"']);
}

fn time(out: &mut Vec<u8>, time: Timestamp) {
    let calendar = Calendar::new(time);
    out.push(b'"');
    calendar.write(out, b'-', b'T', b':');
    calendar.write_micros(out);
    out.extend_from_slice(b"+0000\"");
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn encoded(flow: &Flow<'_>) -> Value {
        let mut out = Vec::new();
        encode(flow, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn an_event_has_the_fields_of_suricata() {
        let mut flow =
            Flow::new("192.0.2.1:4000".parse().unwrap(), "192.0.2.2:80".parse().unwrap(), 6);
        flow.started = Timestamp::from_parts(1_700_000_000, 999_999_999);
        flow.ended = Timestamp::from_parts(1_700_000_002, 1);
        (flow.initiator.packets, flow.initiator.wire_bytes) = (3, 180);
        (flow.history, flow.end, flow.number) = ("ShADadFf", EndReason::Fin, Some(7));
        let event = encoded(&flow);
        assert_eq!(event["timestamp"], "2023-11-14T22:13:22.000000+0000");
        assert_eq!(event["flow_id"], 7);
        assert_eq!(event["flow"]["start"], "2023-11-14T22:13:20.999999+0000");
        assert_eq!(event["flow"]["age"], 2);
        assert_eq!(event["flow"]["bytes_toserver"], 180);
        assert_eq!(event["flow"]["state"], "closed");
        assert_eq!(event["proto"], "TCP");
        // Suricata's schema of version 7 allows no other fields.
        assert_eq!(event.get("ip_v"), None);
        assert_eq!(event["tcp"]["tcp_flags"], "13");
        assert_eq!(event["tcp"]["syn"], true);
        assert_eq!(event["tcp"].get("psh"), None);
        flow.protocol = 132;
        assert_eq!(encoded(&flow)["proto"], "SCTP");
        flow.protocol = 7;
        assert_eq!(encoded(&flow)["proto"], "007");
    }

    #[test]
    fn a_flow_id_without_a_number_is_exact_in_every_json_reader() {
        let flow = Flow::new("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap(), 17);
        let id = encoded(&flow)["flow_id"].as_u64().unwrap();
        assert!(id > 0 && id < 1 << 53);
    }

    #[test]
    fn vlans_are_a_list_and_icmp_has_no_ports() {
        let mut flow = Flow::new("[::1]:1".parse().unwrap(), "[::2]:2".parse().unwrap(), 58);
        flow.initiator.scope = flow::Scope((1 << 12 | 5) << 13 | 1 << 12 | 6);
        flow.icmp = Some(flow::IcmpMessage { message_type: 128, code: 0 });
        let event = encoded(&flow);
        assert_eq!(event["vlan"], serde_json::json!([5, 6]));
        assert_eq!(event.get("src_port"), None);
        assert_eq!(event["icmp_type"], 128);
    }
}
