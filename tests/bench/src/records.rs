//! Encoding flow records, beside `serde_json` of the same record.

use std::time::Duration;

use flow::{EndReason, Endpoint, Scope, Timestamp};
use record::ipfix::{Exporter, Transport};
use record::{Flow, csv, eve, json, parquet, zeek};
use serde::Serialize;

use crate::measure::{Spread, in_turns, time};
use crate::report::{Bar, Row};

const GROUP: &str = "record";
/// Records in a run.
const COUNT: usize = 50_000;
const RUNS: usize = 9;

/// The fields of a line of JSON, with their names.
#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    start: String,
    duration: f64,
    protocol: u8,
    initiator: String,
    responder: String,
    initiator_packets: u64,
    initiator_bytes: u64,
    responder_packets: u64,
    responder_bytes: u64,
    missing_bytes: u64,
    unplaced_bytes: u64,
    conflicts: u64,
    handshake_rtt: Option<f64>,
    end: &'a str,
    history: &'a str,
    community_id: Option<String>,
    initiator_wire_bytes: u64,
    responder_wire_bytes: u64,
    initiator_payload_bytes: u64,
    responder_payload_bytes: u64,
    initiator_retransmitted: u64,
    responder_retransmitted: u64,
    initiator_reordered: u64,
    responder_reordered: u64,
    initiator_zero_windows: u64,
    responder_zero_windows: u64,
    initiator_tcp_flags: u8,
    responder_tcp_flags: u8,
    uid: &'a str,
}

impl<'a> From<&'a Flow<'_>> for Line<'a> {
    fn from(flow: &'a Flow<'_>) -> Self {
        let (initiator, responder) = (&flow.initiator, &flow.responder);
        Self {
            schema: json::SCHEMA,
            start: flow.started.to_string(),
            duration: flow.duration().as_secs_f64(),
            protocol: flow.protocol,
            initiator: initiator.endpoint.to_string(),
            responder: responder.endpoint.to_string(),
            initiator_packets: initiator.packets,
            initiator_bytes: initiator.stream_bytes,
            responder_packets: responder.packets,
            responder_bytes: responder.stream_bytes,
            missing_bytes: initiator.gap_bytes + responder.gap_bytes,
            unplaced_bytes: initiator.unplaced_bytes + responder.unplaced_bytes,
            conflicts: flow.conflicts,
            handshake_rtt: flow.handshake_rtt.map(|rtt| rtt.as_secs_f64()),
            end: "fin",
            history: flow.history,
            community_id: flow.community_id(0).map(|id| id.to_string()),
            initiator_wire_bytes: initiator.wire_bytes,
            responder_wire_bytes: responder.wire_bytes,
            initiator_payload_bytes: initiator.payload_bytes,
            responder_payload_bytes: responder.payload_bytes,
            initiator_retransmitted: initiator.retransmitted,
            responder_retransmitted: responder.retransmitted,
            initiator_reordered: initiator.reordered,
            responder_reordered: responder.reordered,
            initiator_zero_windows: initiator.zero_windows,
            responder_zero_windows: responder.zero_windows,
            initiator_tcp_flags: flow.tcp_flags(flow::FlowSide::Initiator).0,
            responder_tcp_flags: flow.tcp_flags(flow::FlowSide::Responder).0,
            uid: flow.uid.unwrap_or(""),
        }
    }
}

fn flows() -> Vec<Flow<'static>> {
    let flow = |number: u32| {
        let client = Endpoint {
            address: std::net::Ipv4Addr::from_bits(0x0a00_0000 | number & 0xff_ffff).into(),
            port: 1024 + (number % 60_000) as u16,
        };
        let server = Endpoint { address: [192, 0, 2, 1].into(), port: 443 };
        let mut flow = Flow::new(client, server, 6);
        flow.started =
            Timestamp::from_nanos(1_700_000_000_000_000_000 + u64::from(number) * 12_345);
        flow.ended = flow.started + Duration::from_micros(u64::from(number) + 500);
        flow.handshake_rtt = Some(Duration::from_micros(300));
        (flow.end, flow.history, flow.scope) = (EndReason::Fin, "ShADadFf", Scope::NONE);
        flow.uid = Some("CmES5u32sYpV7JYN");
        for side in [&mut flow.initiator, &mut flow.responder] {
            side.packets = 5 + u64::from(number % 50);
            side.wire_bytes = side.packets * 700;
            (side.payload_bytes, side.stream_bytes) = (side.packets * 640, side.packets * 640);
        }
        flow
    };
    (0..COUNT as u32).map(flow).collect()
}

pub(crate) fn rows() -> Vec<Row> {
    let flows = &flows();
    let each = |encode: fn(&Flow<'_>, &mut Vec<u8>)| {
        move || {
            let mut out = Vec::with_capacity(COUNT * 1200);
            time(|| flows.iter().for_each(|flow| encode(flow, &mut out)))
        }
    };
    let mut serde = each(|flow, out| {
        // A vector takes everything.
        let _ = serde_json::to_writer(&mut *out, &Line::from(flow));
        out.push(b'\n');
    });
    let mut json = each(json::encode);
    let mut csv = each(csv::encode);
    let mut zeek = each(zeek::encode_tsv);
    let mut zeek_json = each(zeek::encode_json);
    let mut eve = each(eve::encode);
    let ipfix = |biflow| {
        move || {
            let mut exporter = Exporter::builder(Transport::Datagrams).biflow(biflow).build();
            let mut out = Vec::with_capacity(COUNT * 200);
            let now = Timestamp::from_parts(1_700_000_000, 0);
            time(|| flows.iter().for_each(|flow| exporter.encode(flow, now, &mut out)))
        }
    };
    let (mut uniflow, mut biflow) = (ipfix(false), ipfix(true));
    let mut file = || {
        let mut out = Vec::with_capacity(COUNT * 200);
        time(|| {
            let mut encoder = parquet::Encoder::new();
            let encoded: Result<(), _> =
                flows.iter().try_for_each(|flow| encoder.encode(flow, &mut out));
            let finished = encoded.and_then(|()| encoder.finish(&mut out));
            assert!(finished.is_ok(), "a vector takes everything");
        })
    };
    let times = in_turns(
        RUNS,
        &mut [
            &mut serde,
            &mut uniflow,
            &mut biflow,
            &mut zeek,
            &mut zeek_json,
            &mut eve,
            &mut json,
            &mut csv,
            &mut file,
        ],
    );
    let names = [
        "IPFIX, a record for each direction",
        "IPFIX, a record for both directions",
        "Zeek, tab-separated",
        "Zeek, JSON",
        "EVE",
        "JSON lines",
        "CSV",
        "Parquet",
    ];
    let serde = Spread::millions(&times[0], COUNT);
    let rows = names.into_iter().zip(&times[1..]).map(|(name, times)| Row {
        group: GROUP,
        case: format!("{name}, of a TCP flow"),
        unit: "M flows/s",
        subject: Spread::millions(times, COUNT),
        peer: Some(("serde_json, derived".to_owned(), serde)),
        // Parquet sorts values into columns and builds dictionaries: its speed is stated.
        bar: (name != "Parquet").then_some(Bar::RatioAtLeast(1.0)),
    });
    rows.collect()
}
