use std::time::Duration;

use packet::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::{Ports, Prefix, Registry, Session, Verdict};

const CLIENT: Side = Side::Initiator;
const SERVER: Side = Side::Responder;
const QUERY: u16 = 0x0100;
const RESPONSE: u16 = 0x8180;

fn wire_name(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// A message with one question, and answers of a type and its data for the same name.
fn message(id: u16, flags: u16, name: &str, qtype: u16, answers: &[(u16, &[u8])]) -> Vec<u8> {
    let mut wire = Vec::new();
    for number in [id, flags, 1, answers.len() as u16, 0, 0] {
        wire.extend(number.to_be_bytes());
    }
    wire.extend(wire_name(name));
    wire.extend([qtype.to_be_bytes(), [0, 1]].concat());
    for (rtype, data) in answers {
        wire.extend([0xc0, 12]);
        wire.extend([rtype.to_be_bytes(), [0, 1], [0, 0], [1, 44]].concat());
        wire.extend((data.len() as u16).to_be_bytes());
        wire.extend(*data);
    }
    wire
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_nanos(milliseconds * 1_000_000)
}

/// Runs datagrams through a parser.
fn datagrams(transport: Transport, packets: &[(Side, u64, Vec<u8>)]) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut parser = datagram_parser(transport);
    let sink = &mut |message| messages.push(message);
    for (side, time, bytes) in packets {
        parser.datagram(*side, at(*time), bytes, bytes.len(), sink);
    }
    parser.end(sink);
    messages
}

fn text(message: &Message, field: &str) -> String {
    message.get(field).map(|value| value.to_string()).unwrap_or_default()
}

#[test]
fn query_and_response_are_one_message() {
    let found = datagrams(
        Transport::Udp,
        &[
            (CLIENT, 10, message(7, QUERY, "www.example.org", 1, &[])),
            (SERVER, 35, message(7, RESPONSE, "WWW.example.org", 1, &[(1, &[192, 0, 2, 1])])),
        ],
    );
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].latency(), Some(Duration::from_millis(25)));
    for (field, value) in [
        ("dns.qname", "www.example.org"),
        ("dns.qry.name", "www.example.org"),
        ("dns.qtype", "A"),
        ("dns.qry.type", "1"),
        ("dns.rcode", "NOERROR"),
        ("dns.answer", "192.0.2.1"),
        ("dns.a", "192.0.2.1"),
        ("dns.ttl", "300"),
        ("dns.transport", "udp"),
        ("dns.latency", "0.025000000"),
    ] {
        assert_eq!(text(&found[0], field), value, "{field}");
    }
}

#[test]
fn retransmitted_queries_are_counted() {
    let query = || message(7, QUERY, "a.test", 28, &[]);
    let found = datagrams(
        Transport::Udp,
        &[
            (CLIENT, 0, query()),
            (CLIENT, 1000, query()),
            (CLIENT, 3000, query()),
            (SERVER, 3010, message(7, RESPONSE | 3, "a.test", 28, &[])),
        ],
    );
    assert_eq!(found.len(), 1);
    assert_eq!(text(&found[0], "dns.retransmissions"), "2");
    assert_eq!(text(&found[0], "dns.rcode"), "NXDOMAIN");
    assert_eq!(found[0].latency(), Some(Duration::from_millis(3010)));
}

#[test]
fn other_names_and_identifications_are_not_paired() {
    let found = datagrams(
        Transport::Udp,
        &[
            (CLIENT, 0, message(7, QUERY, "a.test", 1, &[])),
            (SERVER, 1, message(7, RESPONSE, "b.test", 1, &[])),
            (SERVER, 2, message(8, RESPONSE, "a.test", 1, &[])),
            (SERVER, 3, message(7, RESPONSE, "a.test", 1, &[])),
        ],
    );
    let paired = |message: &Message| text(message, "dns.query") == "true";
    assert_eq!(found.iter().map(paired).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn multicast_messages_stand_alone() {
    let mut query = message(0, 0, "tv.local", 12, &[]);
    let class = query.len() - 2;
    query[class] |= 0x80;
    let found = datagrams(
        Transport::Multicast,
        &[(CLIENT, 0, query), (CLIENT, 5, message(0, 0x8400, "tv.local", 12, &[]))],
    );
    assert_eq!(found.len(), 2);
    assert_eq!(text(&found[0], "dns.qclass"), "IN");
    let Content::Dns(dns) = &found[0].content else { panic!("not DNS") };
    assert!(dns.question().unwrap().unicast_response);
}

#[test]
fn waiting_queries_are_limited_and_reported() {
    let queries: Vec<_> =
        (0..200).map(|id| (CLIENT, 0, message(id, QUERY, "a.test", 1, &[]))).collect();
    let mut parser = datagram_parser(Transport::Udp);
    let mut count = 0;
    for (side, _, bytes) in &queries {
        parser.datagram(*side, at(0), bytes, bytes.len(), &mut |_| count += 1);
    }
    assert_eq!(count, 200 - 128);
    parser.tick(at(29_999), &mut |_| count += 1);
    assert_eq!(count, 200 - 128);
    parser.tick(at(30_000), &mut |_| count += 1);
    assert_eq!(count, 200);
    assert!(parser.memory() < 128 << 10);
}

#[test]
fn extended_codes_and_parameters_come_from_edns() {
    let mut bytes = message(1, RESPONSE, "a.test", 1, &[]);
    bytes[11] = 1;
    bytes.extend([0, 0, 41, 0x10, 0, 1, 0, 0x80, 0, 0, 0]);
    let parsed = DnsMessage::parse(&bytes, false).unwrap();
    assert_eq!(rcode_name(parsed.rcode), Some("BADVERS"));
    assert_eq!(parsed.edns, Some(Edns { udp_size: 4096, version: 0, dnssec_ok: true }));
    assert!(!parsed.malformed);
}

#[test]
fn data_is_shown_in_presentation_form() {
    let target = wire_name("b.test");
    let soa = [target.clone(), target.clone(), [0, 0, 0, 5].repeat(5)].concat();
    let https =
        [&[0, 1][..], &[0], &[0, 1, 0, 6, 2, b'h', b'3', 2, b'h', b'2'], &[0, 3, 0, 2, 1, 187]]
            .concat();
    for (rtype, data, expected) in [
        (28, vec![0; 16], "::"),
        (15, [vec![0, 10], target.clone()].concat(), "10 b.test"),
        (33, [vec![0, 1, 0, 2, 0, 80], target].concat(), "1 2 80 b.test"),
        (6, soa, "b.test b.test 5 5 5 5 5"),
        (16, b"\x03a\"b\x01\x07".to_vec(), r#""a\"b" "\007""#),
        (257, b"\x00\x05issueca.test".to_vec(), r#"0 issue "ca.test""#),
        (65, https, "1 . alpn=h3,h2 port=443"),
        (1, vec![1, 2, 3], r"\# 3 010203"),
        (60000, vec![], ""),
    ] {
        let bytes = message(1, RESPONSE, "a.test", rtype, &[(rtype, &data)]);
        let parsed = DnsMessage::parse(&bytes, false).unwrap();
        assert_eq!(parsed.answers[0].data, expected);
        assert!(!parsed.malformed);
    }
}

#[test]
fn damaged_messages_are_read_as_far_as_possible() {
    let whole = message(1, RESPONSE, "a.test", 1, &[(1, &[1, 2, 3, 4]), (1, &[5, 6, 7, 8])]);
    let cut = DnsMessage::parse(&whole[..whole.len() - 3], false).unwrap();
    assert!(cut.malformed);
    assert_eq!((cut.answers.len(), cut.answer_count), (1, 2));
    assert_eq!(DnsMessage::parse(&whole[..15], false), None);
}

#[test]
fn other_protocols_are_not_taken_for_dns() {
    // The name service of NetBIOS: a registration of a name of 32 letters.
    let netbios = message(1, 0x2910, "CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 32, &[]);
    assert!(!is_plausible(&netbios));
    assert!(!is_plausible(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(!is_plausible(&[0; 64]));
    assert!(!is_plausible(&[0xff; 64]));
    assert!(is_plausible(&message(1, QUERY, "a.test", 255, &[])));
    assert!(!is_plausible(&message(1, QUERY, "a.test", 0, &[])));
}

/// Runs bytes of both sides through a parser of streams, in pieces.
fn stream(pieces: &[(Side, &[u8])]) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut parser = stream_parser();
    let sink = &mut |message| messages.push(message);
    for (side, bytes) in pieces {
        parser.data(*side, at(0), bytes, sink);
    }
    parser.end(sink);
    messages
}

fn lost(message: &Message) -> Option<(u64, LostCause)> {
    match &message.content {
        Content::Lost(lost) => Some((lost.offset, lost.cause)),
        _ => None,
    }
}

#[test]
fn bytes_that_are_no_message_lose_the_place_until_the_next_one() {
    let good = framed(&message(1, QUERY, "a.test", 1, &[]));
    let bytes = [&good[..], b"\x00\x00garbage \x00\x20more", &good].concat();
    let found = stream(&[(CLIENT, &bytes)]);
    assert_eq!(lost(&found[0]), Some((good.len() as u64, LostCause::Syntax)));
    assert_eq!(text(&found[1], "dns.retransmissions"), "1");
    assert_eq!(found.len(), 2);
}

#[test]
fn a_gap_within_a_message_costs_that_message() {
    let messages = [1, 2].map(|id| framed(&message(id, QUERY, "a.test", 1, &[])));
    let mut found = Vec::new();
    let mut parser = stream_parser();
    let sink = &mut |message| found.push(message);
    parser.data(CLIENT, at(0), &messages[0][..9], sink);
    parser.gap(CLIENT, at(0), 5, sink);
    parser.data(CLIENT, at(0), &[&messages[0][14..], &messages[1]].concat(), sink);
    parser.end(sink);
    assert_eq!(lost(&found[0]), Some((9, LostCause::Gap)));
    assert_eq!(text(&found[1], "dns.id"), "2");
    assert_eq!(found.len(), 2);
}

#[test]
fn a_gap_past_a_message_is_survived() {
    let good = framed(&message(1, QUERY, "a.test", 1, &[]));
    let mut found = Vec::new();
    let mut parser = stream_parser();
    let sink = &mut |message| found.push(message);
    parser.data(CLIENT, at(0), &good[..9], sink);
    parser.gap(CLIENT, at(0), 500, sink);
    parser.data(CLIENT, at(0), &[b"abcdefgh", &good[..]].concat(), sink);
    parser.end(sink);
    assert_eq!(lost(&found[0]), Some((9, LostCause::Gap)));
    assert_eq!(text(&found[1], "dns.qname"), "a.test");
    assert_eq!(found.len(), 2);
}

#[test]
fn sessions_recognize_dns_over_tcp() {
    let query = framed(&message(1, QUERY, "a.test", 1, &[]));
    let ports = Ports { initiator: 40000, responder: 5300 };
    let mut session = Session::new(std::sync::Arc::new(Registry::default()), ports);
    let mut count = 0;
    for byte in query {
        session.data(CLIENT, at(0), &[byte], &mut |_| count += 1);
    }
    assert_eq!(session.protocol(), Some(Protocol::DNS));
    session.end(&mut |_| count += 1);
    assert_eq!(count, 1);
}

#[test]
fn the_probe_decides_by_either_side() {
    let query = framed(&message(1, QUERY, "a.test", 1, &[]));
    assert_eq!(stream::probe(&Prefix::new(&query, &[])), Verdict::Yes);
    assert_eq!(stream::probe(&Prefix::new(&[], &query)), Verdict::Yes);
    assert_eq!(stream::probe(&Prefix::new(&query[..20], &[])), Verdict::More);
    assert_eq!(
        stream::probe(&Prefix::new(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abc", &[])),
        Verdict::No
    );
    assert_eq!(stream::probe(&Prefix::new(b"SSH-2.0-OpenSSH_9.6\r\n", &[])), Verdict::No);
}

proptest! {
    #[test]
    fn division_does_not_change_the_messages(
        parts in prop::collection::vec((any::<u8>(), any::<bool>()), 1..8),
        noise in prop::collection::vec(any::<u8>(), 0..40),
        cuts in prop::collection::vec(1..60_usize, 1..20),
    ) {
        let mut bytes = Vec::new();
        for (id, noisy) in parts {
            if noisy {
                bytes.extend(&noise);
            }
            bytes.extend(framed(&message(id.into(), QUERY, "a.b.test", 1, &[(1, &[1, 2, 3, 4])])));
        }
        let whole = stream(&[(CLIENT, &bytes)]);
        let mut rest = &bytes[..];
        let mut pieces = Vec::new();
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            pieces.push((CLIENT, piece));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        let divided = stream(&pieces);
        prop_assert_eq!(format!("{whole:?}"), format!("{divided:?}"));
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2000), gap in any::<u16>()) {
        let sink = &mut |_| {};
        let mut parser = stream_parser();
        parser.data(CLIENT, at(0), &bytes, sink);
        parser.gap(CLIENT, at(0), gap.into(), sink);
        parser.data(CLIENT, at(0), &bytes, sink);
        parser.end(sink);
        let mut parser = datagram_parser(Transport::Multicast);
        parser.datagram(SERVER, at(0), &bytes, bytes.len(), sink);
        let _ = is_plausible(&bytes);
    }
}
