//! Formats of lines, read by `serde_json` and `csv`.

use flow::{FlowSide, Timestamp, protocol};
use record::{Flow, Octets, csv as ours, eve, json, zeek};
use serde_json::Value;

use super::both;

/// The objects of lines that one flow each was encoded into.
fn objects(flows: &[Flow<'_>], encode: fn(&Flow<'_>, &mut Vec<u8>)) -> Vec<Value> {
    let mut out = Vec::new();
    flows.iter().for_each(|flow| encode(flow, &mut out));
    let text = String::from_utf8(out).expect("text");
    let objects: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    assert_eq!(objects.len(), flows.len());
    objects
}

fn name(side: FlowSide) -> &'static str {
    if side == FlowSide::Initiator { "initiator" } else { "responder" }
}

fn time(time: Timestamp) -> String {
    format!("{}.{:09}", time.seconds(), time.subsec_nanos())
}

pub(super) fn judge_json(flows: &[Flow<'_>]) {
    for (flow, object) in flows.iter().zip(objects(flows, json::encode)) {
        assert_eq!(object["schema"], json::SCHEMA);
        assert_eq!(object["start"], time(flow.started));
        let duration = object["duration"].as_f64().unwrap();
        assert!((duration - flow.duration().as_secs_f64()).abs() <= duration * 1e-9);
        assert_eq!(object["protocol"], flow.protocol);
        assert_eq!(object["conflicts"], flow.conflicts);
        for (side, counters) in both(flow) {
            let field = |field: &str| &object[format!("{}{field}", name(side))];
            assert_eq!(*field(""), counters.endpoint.to_string());
            assert_eq!(*field("_packets"), counters.packets);
            assert_eq!(*field("_bytes"), counters.stream_bytes);
            assert_eq!(*field("_wire_bytes"), counters.wire_bytes);
            assert_eq!(field("_ip_bytes").as_u64(), counters.ip_octets);
            assert_eq!(*field("_payload_bytes"), counters.payload_bytes);
            assert_eq!(*field("_retransmitted"), counters.retransmitted);
            assert_eq!(*field("_reordered"), counters.reordered);
            assert_eq!(*field("_zero_windows"), counters.zero_windows);
            let flags = (flow.protocol == protocol::TCP).then(|| flow.tcp_flags(side).0);
            assert_eq!(field("_tcp_flags").as_u64(), flags.map(u64::from));
        }
        assert_eq!(object["application"].as_str(), flow.application);
        assert_eq!(object["icmp_type"].as_u64(), flow.icmp.map(|icmp| icmp.message_type.into()));
        assert_eq!(object["midway"].as_bool().unwrap_or(false), flow.is_midway());
        assert_eq!(object["history"], flow.history);
    }
}

pub(super) fn judge_csv(flows: &[Flow<'_>]) {
    let mut out = Vec::new();
    ours::header(&mut out);
    flows.iter().for_each(|flow| ours::encode(flow, &mut out));
    let mut reader = csv::Reader::from_reader(&out[..]);
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.unwrap()).collect();
    assert_eq!(rows.len(), flows.len());
    for (flow, row) in flows.iter().zip(rows) {
        let value = |name: &str| {
            let at = names.iter().position(|other| other == name);
            &row[at.unwrap_or_else(|| panic!("no column {name}"))]
        };
        let nanos = format!(".{:09}", flow.started.subsec_nanos());
        assert!(value("start").ends_with(&nanos));
        assert_eq!(value("protocol"), flow.protocol.to_string());
        for (side, counters) in both(flow) {
            let field = |field: &str| value(&format!("{}_{field}", name(side)));
            assert_eq!(field("address"), counters.endpoint.address.to_string());
            assert_eq!(field("port"), counters.endpoint.port.to_string());
            assert_eq!(field("packets"), counters.packets.to_string());
            assert_eq!(field("wire_bytes"), counters.wire_bytes.to_string());
            let octets = counters.ip_octets.map_or(String::new(), |octets| octets.to_string());
            assert_eq!(field("ip_bytes"), octets);
        }
        assert_eq!(value("application"), flow.application.unwrap_or(""));
        assert_eq!(value("midway"), flow.is_midway().to_string());
        assert_eq!(value("history"), flow.history);
    }
}

pub(super) fn judge_zeek(flows: &[Flow<'_>]) {
    let mut out = Vec::new();
    zeek::header(Timestamp::default(), &mut out);
    flows.iter().for_each(|flow| zeek::encode_tsv(flow, &mut out));
    zeek::footer(Timestamp::default(), &mut out);
    assert!(out.is_ascii());
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<_> = text.split_terminator('\n').collect();
    let fields: Vec<_> = lines[6].split('\t').skip(1).collect();
    let (rows, last) = lines[8..].split_at(lines.len() - 9);
    assert!(last[0].starts_with("#close\t"));
    assert_eq!(rows.len(), flows.len());
    let objects = objects(flows, zeek::encode_json);
    for ((flow, row), object) in flows.iter().zip(rows).zip(objects) {
        let values: Vec<_> = row.split('\t').collect();
        assert_eq!(values.len(), fields.len());
        let set = values.iter().filter(|value| **value != "-").count();
        assert_eq!(object.as_object().unwrap().len(), set);
        for (field, value) in fields.iter().zip(values) {
            let same = match &object[field] {
                Value::Null => value == "-",
                Value::String(text) => unescaped(value) == text.as_bytes(),
                // Of times a 64-bit number keeps less than the text.
                Value::Number(number) if value.contains('.') => {
                    let seconds: f64 = value.parse().unwrap();
                    number.as_f64() == Some(seconds)
                }
                Value::Number(number) => number.to_string() == value,
                _ => false,
            };
            assert!(same, "{field}: {value} and {}", object[field]);
        }
        assert_eq!(object["orig_pkts"], flow.initiator.packets);
        assert_eq!(object["resp_pkts"], flow.responder.packets);
        assert_eq!(object["service"].as_str(), flow.application);
        for (side, key) in
            [(FlowSide::Initiator, "orig_ip_bytes"), (FlowSide::Responder, "resp_ip_bytes")]
        {
            let counted = match flow.octets(side) {
                Octets::Counted(octets) => Some(octets),
                Octets::Estimated(_) => None,
            };
            assert_eq!(object[key].as_u64(), counted);
        }
    }
}

/// The bytes that a text in a log of Zeek stands for.
fn unescaped(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        rest = match after {
            [b'\\', after @ ..] if first == b'\\' => {
                bytes.push(b'\\');
                after
            }
            [b'x', high, low, after @ ..] if first == b'\\' => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                after
            }
            _ => {
                bytes.push(first);
                after
            }
        };
    }
    bytes
}

pub(super) fn judge_eve(flows: &[Flow<'_>]) {
    for (flow, event) in flows.iter().zip(objects(flows, eve::encode)) {
        assert_eq!(event["event_type"], "flow");
        assert_eq!(event["src_ip"], flow.initiator.endpoint.address.to_string());
        assert_eq!(event["dest_ip"], flow.responder.endpoint.address.to_string());
        assert_eq!(event["flow"]["pkts_toserver"], flow.initiator.packets);
        assert_eq!(event["flow"]["pkts_toclient"], flow.responder.packets);
        assert_eq!(event["flow"]["bytes_toserver"], flow.initiator.wire_bytes);
        assert_eq!(event["flow"]["bytes_toclient"], flow.responder.wire_bytes);
        assert_eq!(event["app_proto"].as_str(), flow.application);
        assert_eq!(event.get("tcp").is_some(), flow.protocol == protocol::TCP);
        let vlans: Vec<_> = flow.initiator.scope.vlans().collect();
        let found = event.get("vlan").map_or(0, |vlans| vlans.as_array().unwrap().len());
        assert_eq!(found, vlans.len());
    }
}
