//! IPFIX, read by the crate `netflow_parser`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use flow::{FlowSide, Timestamp, protocol};
use netflow_parser::variable_versions::field_value::DurationValue;
use netflow_parser::variable_versions::ipfix::FlowSetBody;
use netflow_parser::{FieldValue, NetflowPacket, NetflowParser};
use record::Flow;
use record::ipfix::{self, Exporter, Metering, Precision, Transport};

const NOW: Timestamp = Timestamp::from_parts(1_700_000_000, 0);

/// The fields of a record, by the names that the reader gives them.
type Record = HashMap<String, FieldValue>;

pub(super) fn judge(flows: &[Flow<'_>], variant: u8) {
    let transport = if variant & 1 == 0 { Transport::Datagrams } else { Transport::Stream };
    let precision = if variant & 2 == 0 { Precision::Milliseconds } else { Precision::Nanoseconds };
    let biflow = variant & 4 != 0;
    let limit = 512 + usize::from(variant) * 16;
    let builder = Exporter::builder(transport).precision(precision).biflow(biflow);
    let builder = builder.message_limit(limit).template_refresh(Duration::from_secs(60), 3);
    let mut exporter = builder.build();
    let mut out = Vec::new();
    for flow in flows {
        exporter.encode(flow, NOW, &mut out);
    }
    exporter.encode_statistics(&Metering::default(), NOW, &mut out);
    exporter.flush(NOW, &mut out);
    let (records, statistics) = read(&out, limit);
    let expected: Vec<_> = flows.iter().flat_map(|flow| senders(flow, biflow)).collect();
    assert_eq!(records.len(), expected.len());
    for ((flow, sender), record) in expected.iter().zip(&records) {
        compare(flow, *sender, record, precision, biflow);
    }
    assert_eq!(statistics.len(), 1);
    let total = statistics[0]["exportedflowrecordtotalcount"].as_u64().unwrap();
    assert!(total <= records.len() as u64);
}

/// The records that a flow has.
fn senders<'f, 'a>(flow: &'f Flow<'a>, biflow: bool) -> Vec<(&'f Flow<'a>, FlowSide)> {
    let has = |side: FlowSide| flow.side(side).packets > 0;
    if biflow {
        let reversed = !has(FlowSide::Initiator) && has(FlowSide::Responder);
        return vec![(flow, if reversed { FlowSide::Responder } else { FlowSide::Initiator })];
    }
    let sides = [FlowSide::Initiator, FlowSide::Responder].into_iter();
    sides.filter(|side| has(*side)).map(|side| (flow, side)).collect()
}

/// Reads messages one after another, and checks their lengths and numbers.
fn read(buffer: &[u8], limit: usize) -> (Vec<Record>, Vec<Record>) {
    let mut parser = NetflowParser::default();
    let (mut records, mut statistics) = (Vec::new(), Vec::new());
    let mut len = 0;
    for message in ipfix::messages(buffer) {
        assert!(message.len() <= limit);
        len += message.len();
        let before = (records.len() + statistics.len()) as u32;
        let result = parser.parse_bytes(message);
        assert!(result.error.is_none(), "{:?}", result.error);
        assert_eq!(result.packets.len(), 1);
        let Some(NetflowPacket::IPFix(packet)) = result.packets.into_iter().next() else {
            panic!("no message of IPFIX");
        };
        assert_eq!(packet.header.sequence_number, before);
        for set in packet.flowsets {
            match set.body {
                FlowSetBody::Data(data) => records.extend(data.fields.into_iter().map(named)),
                FlowSetBody::OptionsData(data) => {
                    statistics.extend(data.fields.into_iter().map(named));
                }
                FlowSetBody::Template(_)
                | FlowSetBody::Templates(_)
                | FlowSetBody::OptionsTemplate(_)
                | FlowSetBody::OptionsTemplates(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(len, buffer.len());
    (records, statistics)
}

/// `IANA(SourceTransportPort)` is `sourcetransportport`.
fn named(fields: Vec<(netflow_parser::IpfixField, FieldValue)>) -> Record {
    let name = |field: &netflow_parser::IpfixField| {
        let text = format!("{field:?}");
        let inner = text.split_once('(').map_or(&text[..], |(_, rest)| rest);
        inner.trim_end_matches(')').to_lowercase()
    };
    fields.into_iter().map(|(field, value)| (name(&field), value)).collect()
}

fn compare(flow: &Flow<'_>, sender: FlowSide, record: &Record, precision: Precision, biflow: bool) {
    let (source, destination) = (flow.side(sender), flow.side(sender.opposite()));
    let field = |name: &str| record.get(name).unwrap_or_else(|| panic!("no {name}: {record:?}"));
    let number = |name: &str| match field(name) {
        FieldValue::ProtocolType(value) => u64::from(u8::from(*value)),
        FieldValue::TcpControlBits(..) => {
            let mut bytes = Vec::new();
            record[name].write_be_bytes(&mut bytes).unwrap();
            bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
        }
        value => value.as_u64().unwrap_or_else(|| panic!("{name}: {value:?}")),
    };
    let family = if source.endpoint.address.is_ipv6() { "ipv6" } else { "ipv4" };
    for (side, name) in [(source, "source"), (destination, "destination")] {
        let value = &record[&format!("{name}{family}address")];
        assert_eq!(IpAddr::try_from(value).unwrap(), side.endpoint.address);
    }
    assert_eq!(number("protocolidentifier"), u64::from(flow.protocol));
    assert_eq!(number("packetdeltacount"), source.packets);
    assert_eq!(number("octetdeltacount"), flow.octets(sender).value());
    assert_eq!(number("layer2octetdeltacount"), source.wire_bytes);
    if flow.protocol == protocol::TCP {
        assert_eq!(number("sourcetransportport"), u64::from(source.endpoint.port));
        assert_eq!(number("destinationtransportport"), u64::from(destination.endpoint.port));
        assert_eq!(number("tcpcontrolbits"), u64::from(flow.tcp_flags(sender).0));
    }
    assert_eq!(record.contains_key("vlanid"), source.scope.vlans().next().is_some());
    if let Some(vlan) = source.scope.vlans().next() {
        assert_eq!(number("vlanid"), u64::from(vlan));
    }
    for (name, value) in [
        ("flowid", flow.number),
        ("ingressinterface", flow.interface.map(u64::from)),
        ("ipclassofservice", source.tos.map(u64::from)),
        ("ipttl", source.ttl.map(u64::from)),
    ] {
        assert_eq!(record.contains_key(name), value.is_some(), "{name}");
        if let Some(value) = value {
            assert_eq!(number(name), value, "{name}");
        }
    }
    if biflow {
        assert_eq!(number("reversepacketdeltacount"), destination.packets);
        let octets = flow.octets(sender.opposite()).value();
        assert_eq!(number("reverseoctetdeltacount"), octets);
        let expected = if sender == FlowSide::Initiator { 1 } else { 2 };
        assert_eq!(number("biflowdirection"), expected);
    }
    for (name, time) in [("flowstart", flow.started), ("flowend", flow.ended)] {
        match precision {
            Precision::Milliseconds => {
                let FieldValue::Duration(DurationValue::Millis { value, .. }) =
                    record[&format!("{name}milliseconds")]
                else {
                    panic!("{record:?}");
                };
                assert_eq!(value, time.as_nanos() / 1_000_000);
            }
            _ => {
                let FieldValue::Duration(DurationValue::NanosNtp { seconds, fraction }) =
                    record[&format!("{name}nanoseconds")]
                else {
                    panic!("{record:?}");
                };
                // The era of NTP ends in 2036.
                let expected = (time.seconds() + 2_208_988_800) as u32;
                let nanos = (u64::from(fraction) * 1_000_000_000) >> 32;
                assert_eq!((seconds, nanos), (expected, u64::from(time.subsec_nanos())));
            }
        }
    }
}

/// Exports flows with a refresh of templates every fifth message, and reads with collectors that
/// miss the first messages.
#[allow(dead_code, reason = "the fuzz target has no use for it")]
pub(crate) fn judge_late() {
    const EVERY: usize = 5;
    let builder = Exporter::builder(Transport::Datagrams).message_limit(512);
    let refresh = (Duration::from_secs(60), EVERY as u32);
    let mut exporter = builder.template_refresh(refresh.0, refresh.1).build();
    let mut out = Vec::new();
    for port in 0..300 {
        let address = IpAddr::from([192, 0, 2, 1]);
        let initiator = flow::Endpoint { address, port };
        let mut flow = Flow::new(initiator, initiator, if port % 3 == 0 { 17 } else { 6 });
        flow.initiator.packets = 1;
        exporter.encode(&flow, NOW, &mut out);
    }
    exporter.flush(NOW, &mut out);
    let messages: Vec<_> = ipfix::messages(&out).collect();
    assert!(messages.len() > 4 * EVERY);
    for missed in 1..2 * EVERY {
        let mut parser = NetflowParser::default();
        for (at, message) in messages.iter().enumerate().skip(missed) {
            let result = parser.parse_bytes(message);
            let unread = result.packets.iter().any(|packet| match packet {
                NetflowPacket::IPFix(packet) => {
                    let is_unread = |set: &FlowSetBody| matches!(set, FlowSetBody::NoTemplate(_));
                    packet.flowsets.iter().any(|set| is_unread(&set.body))
                }
                _ => true,
            });
            let is_known = at >= missed.next_multiple_of(EVERY);
            assert_eq!(unread || result.error.is_some(), !is_known, "{missed} {at}");
        }
    }
}
