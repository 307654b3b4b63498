use flow::{EndReason, Scope, protocol};

use super::*;

const NOW: Timestamp = Timestamp::from_parts(1_700_000_000, 0);

fn tcp() -> Flow<'static> {
    let (client, server) = ("192.0.2.1:40000".parse().unwrap(), "192.0.2.2:80".parse().unwrap());
    let mut flow = Flow::new(client, server, protocol::TCP);
    (flow.started, flow.ended) = (NOW, Timestamp::from_parts(1_700_000_001, 5_000_000));
    (flow.initiator.packets, flow.initiator.wire_bytes) = (3, 200);
    (flow.responder.packets, flow.responder.wire_bytes) = (2, 3000);
    (flow.history, flow.end) = ("ShADadFf", EndReason::Fin);
    flow
}

fn word(message: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(*message[at..].first_chunk().unwrap())
}

/// The sets of a message: number and content.
fn sets(message: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let (mut rest, mut sets) = (&message[16..], Vec::new());
    while let Some([high, low, upper, lower]) = rest.first_chunk() {
        let len = usize::from(u16::from_be_bytes([*upper, *lower]));
        sets.push((u16::from_be_bytes([*high, *low]), rest[4..len].to_vec()));
        rest = &rest[len..];
    }
    assert!(rest.is_empty());
    sets
}

#[test]
fn a_message_has_a_template_and_a_record_for_each_direction() {
    let mut exporter = Exporter::builder(Transport::Datagrams).domain(7).build();
    let mut out = Vec::new();
    exporter.encode(&tcp(), NOW, &mut out);
    assert!(out.is_empty());
    exporter.flush(NOW, &mut out);
    let all: Vec<_> = messages(&out).collect();
    assert_eq!(all.len(), 1);
    assert_eq!((word(all[0], 4), word(all[0], 8), word(all[0], 12)), (1_700_000_000, 0, 7));
    let sets = sets(all[0]);
    assert_eq!(sets.len(), 2);
    assert_eq!(sets[0].0, 2);
    let id = u16::from_be_bytes([sets[0].1[0], sets[0].1[1]]);
    assert_eq!(sets[1].0, id);
    // 12 fields: 2 times of 8, 2 addresses, 2 ports, protocol, 3 counters, flags, reason.
    let len = 16 + 8 + 4 + 1 + 24 + 2 + 1;
    assert_eq!(sets[1].1.len(), 2 * len);
    assert_eq!(sets[1].1[16..20], [192, 0, 2, 1]);
    assert_eq!(sets[1].1[len + 16..len + 20], [192, 0, 2, 2]);
    // Nothing is left.
    let before = out.len();
    exporter.flush(NOW, &mut out);
    assert_eq!(out.len(), before);
}

#[test]
fn the_sequence_number_counts_data_records() {
    let mut exporter = Exporter::builder(Transport::Datagrams).build();
    let mut out = Vec::new();
    for _ in 0..3 {
        exporter.encode(&tcp(), NOW, &mut out);
        exporter.encode_statistics(&Metering::default(), NOW, &mut out);
        exporter.flush(NOW, &mut out);
    }
    let sequences: Vec<_> = messages(&out).map(|message| word(message, 8)).collect();
    assert_eq!(sequences, [0, 3, 6]);
    exporter.restart();
    out.clear();
    exporter.encode(&tcp(), NOW, &mut out);
    exporter.flush(NOW, &mut out);
    assert_eq!((word(&out, 8), sets(&out)[0].0), (0, 2));
}

#[test]
fn messages_keep_within_their_limit_and_templates_are_sent_again() {
    let refresh = (Duration::from_secs(10), 5);
    let builder = Exporter::builder(Transport::Datagrams).message_limit(512);
    let mut exporter = builder.template_refresh(refresh.0, refresh.1).build();
    let mut out = Vec::new();
    let mut udp = tcp();
    udp.protocol = protocol::UDP;
    for _ in 0..40 {
        exporter.encode(&tcp(), NOW, &mut out);
        exporter.encode(&udp, NOW, &mut out);
    }
    exporter.flush(NOW, &mut out);
    let all: Vec<_> = messages(&out).collect();
    assert_eq!(all.iter().map(|message| message.len()).sum::<usize>(), out.len());
    assert!(all.iter().all(|message| message.len() <= 512));
    let with_templates: Vec<_> =
        (0..all.len()).filter(|&at| sets(all[at]).iter().any(|(id, _)| *id == 2)).collect();
    assert_eq!(with_templates[..3], [0, 5, 10]);
    // Both templates are in the message that repeats them, and in front of records.
    let ids: Vec<_> = sets(all[5]).iter().map(|(id, _)| *id).collect();
    assert_eq!(ids[0], 2);
    let fields = 12 + 11;
    assert_eq!(sets(all[5])[0].1.len(), 2 * 4 + 4 * fields);
    // After a time, too.
    out.clear();
    exporter.encode(&tcp(), NOW + refresh.0, &mut out);
    exporter.flush(NOW, &mut out);
    assert_eq!(sets(&out)[0].0, 2);
}

/// Templates that take more messages than may pass between two refreshes, or as many.
#[test]
fn a_refresh_of_many_templates_ends() {
    let builder = Exporter::builder(Transport::Datagrams).message_limit(512);
    let mut exporter = builder.template_refresh(Duration::ZERO, 1).build();
    let mut out = Vec::new();
    for layout in 0..64 {
        let mut flow = tcp();
        flow.number = (layout & 1 != 0).then_some(1);
        flow.interface = (layout & 2 != 0).then_some(1);
        flow.application = (layout & 4 != 0).then_some("http");
        flow.initiator.tos = (layout & 8 != 0).then_some(1);
        flow.initiator.ttl = (layout & 16 != 0).then_some(1);
        flow.protocol = if layout & 32 == 0 { protocol::TCP } else { protocol::UDP };
        exporter.encode(&flow, NOW, &mut out);
        exporter.flush(NOW, &mut out);
    }
    assert!(messages(&out).all(|message| message.len() <= 512));
    let records = |(id, _): &(u16, Vec<u8>)| *id >= 256;
    assert!(messages(&out).flat_map(sets).filter(records).count() >= 64);
}

#[test]
fn a_stream_has_each_template_once() {
    let mut exporter = Exporter::builder(Transport::Stream).build();
    let mut out = Vec::new();
    for minute in 0..5000 {
        exporter.encode(&tcp(), NOW + Duration::from_secs(60 * minute), &mut out);
    }
    exporter.flush(NOW, &mut out);
    let templates = messages(&out).flat_map(sets).filter(|(id, _)| *id == 2).count();
    assert_eq!(templates, 1);
    assert!(messages(&out).count() > 5);
}

#[test]
fn the_longest_record_fits_with_its_template_into_the_shortest_message() {
    let mut flow = Flow::new("[::1]:1".parse().unwrap(), "[::2]:2".parse().unwrap(), 6);
    (flow.number, flow.interface) = (Some(1), Some(2));
    let name = "é".repeat(100);
    flow.application = Some(&name);
    let scope = Scope((1 << 12 | 5) << 13 | 1 << 12 | 6);
    for side in [&mut flow.initiator, &mut flow.responder] {
        (side.packets, side.tos, side.ttl, side.scope) = (1, Some(1), Some(2), scope);
        side.mac = Some(flow::MacAddress([2; 6]));
    }
    let builder = Exporter::builder(Transport::Datagrams).message_limit(0).biflow(true);
    let mut exporter = builder.precision(Precision::Nanoseconds).build();
    let mut out = Vec::new();
    exporter.encode(&flow, NOW, &mut out);
    exporter.flush(NOW, &mut out);
    assert!(out.len() <= LEAST_LIMIT, "{}", out.len());
    assert_eq!(messages(&out).count(), 1);
    // The name was cut between two letters.
    let record = sets(&out).pop().unwrap().1;
    let at = record.windows(2).position(|pair| pair == "é".as_bytes()).unwrap();
    assert_eq!(record[at - 1], 64);
}

#[test]
fn messages_of_a_damaged_buffer_end() {
    assert_eq!(messages(&[0, 10, 0, 0]).count(), 0);
    assert_eq!(messages(&[0; 16]).count(), 1);
    assert_eq!(messages(&[255; 40]).count(), 0);
}
