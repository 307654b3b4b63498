//! Keys and parsers of flowscope on reassembled flows.
#![cfg(feature = "flowscope")]
#![allow(missing_docs)]

use flow::flowscope::{Datagrams, Key, MessageHandler, Pair, Sessions};
use flow::{EndReason, Flow, FlowRecord, FlowSide, FlowTable, Gap, LinkType, Packet, Timestamp};
use flowscope::dns::{DnsMessage, DnsUdpParser};
use flowscope::extract::{FiveTuple, IpPair};
use flowscope::http::{HttpMessage, HttpParser};

/// An IPv4 packet of a host 10.0.0.`from`, port `ports[0]`, to the other one.
fn ipv4(from: u8, protocol: u8, transport: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((20 + transport.len() as u16).to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, from, 10, 0, 0, 3 - from]);
    packet.extend(transport);
    packet
}

fn tcp(from: u8, sequence: u32, acknowledgement: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let ports: [u16; 2] = if from == 1 { [40_000, 80] } else { [80, 40_000] };
    let mut segment = ports.map(u16::to_be_bytes).concat();
    segment.extend(sequence.to_be_bytes());
    segment.extend(acknowledgement.to_be_bytes());
    segment.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    ipv4(from, 6, &segment)
}

fn packets(frames: &[Vec<u8>], link_type: LinkType) -> impl Iterator<Item = Packet<'_>> {
    frames.iter().enumerate().map(move |(i, frame)| {
        Packet::new(frame, Timestamp::from_nanos(1_000_000_000 + i as u64 * 1_000_000), link_type)
    })
}

#[derive(Debug, Default)]
struct Heard {
    messages: Vec<(FlowSide, String)>,
    gaps: Vec<u64>,
    ends: Vec<EndReason>,
}

impl<K> MessageHandler<K, HttpMessage> for Heard {
    fn on_message(&mut self, _: &Flow<'_, K>, side: FlowSide, message: HttpMessage, _: Timestamp) {
        let text = match message {
            HttpMessage::Request(request) => String::from_utf8_lossy(&request.path).into_owned(),
            HttpMessage::Response(response) => {
                format!("{} {}", response.status, response.body.len())
            }
            _ => String::new(),
        };
        self.messages.push((side, text));
    }

    fn on_gap(&mut self, _: &Flow<'_, K>, _: FlowSide, gap: Gap) {
        self.gaps.push(gap.len);
    }

    fn on_end(&mut self, _: &Flow<'_, K>, record: &FlowRecord<K>) {
        self.ends.push(record.reason);
    }
}

impl<K> MessageHandler<K, DnsMessage> for Heard {
    fn on_message(&mut self, _: &Flow<'_, K>, side: FlowSide, message: DnsMessage, _: Timestamp) {
        let kind = match message {
            DnsMessage::Query(_) => "query",
            DnsMessage::Unanswered(_) => "unanswered",
            _ => "other",
        };
        self.messages.push((side, kind.to_owned()));
    }
}

/// A request and its response, with segments out of order.
fn exchange() -> Vec<Vec<u8>> {
    let request = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    let sent = 101 + request.len() as u32;
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";
    let (first, second) = response.split_at(20);
    let received = 501 + response.len() as u32;
    vec![
        tcp(1, 100, 0, 0x02, b""),
        tcp(2, 500, 101, 0x12, b""),
        tcp(1, 101, 501, 0x10, b""),
        tcp(1, 101, 501, 0x18, request),
        tcp(2, 521, sent, 0x18, second),
        tcp(2, 501, sent, 0x18, first),
        tcp(1, sent, received, 0x11, b""),
        tcp(2, received, sent + 1, 0x11, b""),
        tcp(1, sent + 1, received + 1, 0x10, b""),
    ]
}

#[test]
fn http_messages_come_out_of_segments_in_any_order() {
    let mut sessions = Sessions::new(HttpParser::default(), Heard::default());
    let mut table = FlowTable::builder(flow::FiveTuple::bidirectional()).build();
    table.process(packets(&exchange(), LinkType::IPV4), &mut sessions);
    table.finish(&mut sessions);
    let expected =
        [(FlowSide::Initiator, "/a".to_owned()), (FlowSide::Responder, "200 10".to_owned())];
    assert_eq!(sessions.handler().messages, expected);
    assert_eq!(sessions.handler().ends, [EndReason::Fin]);
    assert_eq!(sessions.statistics().messages, 2);
}

#[test]
fn behind_a_gap_a_fresh_parser_begins() {
    let first = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n";
    let second = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    // The body of the first response was not captured; the client acknowledges it.
    let after = 501 + first.len() as u32 + 5000;
    let frames = [
        tcp(1, 100, 0, 0x02, b""),
        tcp(2, 500, 101, 0x12, b""),
        tcp(1, 101, 501, 0x10, b""),
        tcp(2, 501, 101, 0x18, first),
        tcp(2, after, 101, 0x18, second),
        tcp(1, 101, after + second.len() as u32, 0x10, b""),
    ];
    let mut sessions = Sessions::new(HttpParser::default(), Heard::default());
    let mut table = FlowTable::builder(flow::FiveTuple::bidirectional()).build();
    table.process(packets(&frames, LinkType::IPV4), &mut sessions);
    table.finish(&mut sessions);
    assert_eq!(sessions.handler().gaps, [5000]);
    assert_eq!(sessions.handler().messages, [(FlowSide::Responder, "404 0".to_owned())]);
    assert_eq!(sessions.statistics().restarted, 1);
}

#[test]
fn time_alone_makes_messages_too() {
    let dns = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01x\x00\x00\x01\x00\x01";
    let query = |port: u16| {
        let header = [port, 53, 8 + dns.len() as u16, 0].map(u16::to_be_bytes).concat();
        ipv4(1, 17, &[&header, &dns[..]].concat())
    };
    let at = |second: u64| Timestamp::from_nanos(second * 1_000_000_000);
    let mut datagrams = Datagrams::new(DnsUdpParser::with_correlation(), Heard::default());
    let mut table = FlowTable::builder(flow::FiveTuple::bidirectional()).build();
    let said = |datagrams: &mut Datagrams<_, _, Heard>| {
        let messages = std::mem::take(&mut datagrams.handler_mut().messages);
        messages.into_iter().map(|(_, text)| text).collect::<Vec<_>>()
    };
    for (second, port) in [(1, 1000), (20, 1001)] {
        let packet = query(port);
        table.process([Packet::new(&packet, at(second), LinkType::IPV4)], &mut datagrams);
    }
    assert_eq!(said(&mut datagrams), ["query", "query"]);
    // One of the two has been idle for long enough. It is reported once.
    for second in [30, 31, 32, 33] {
        datagrams.tick(at(second), &table);
    }
    assert_eq!(said(&mut datagrams), ["unanswered"]);
    assert_eq!(datagrams.statistics().messages, 3);
    datagrams.tick(at(100), &table);
    table.advance(at(100), &mut datagrams);
    assert!(table.is_empty());
    assert_eq!(said(&mut datagrams), ["unanswered"]);

    // Without ticks, an idle flow is reported before it gets its next packet, and the others when
    // their flows end.
    let mut table = FlowTable::builder(flow::FiveTuple::bidirectional()).build();
    for (second, port) in [(200, 1002), (240, 1002), (241, 1003), (280, 1004)] {
        let packet = query(port);
        table.process([Packet::new(&packet, at(second), LinkType::IPV4)], &mut datagrams);
    }
    assert_eq!(said(&mut datagrams), ["query", "unanswered", "query", "query", "query"]);
    table.finish(&mut datagrams);
    assert_eq!(said(&mut datagrams), ["unanswered", "unanswered"]);
}

#[test]
fn its_extractors_are_keys_for_every_link_type() {
    let ethernet: Vec<_> =
        exchange().iter().map(|ip| [&[0; 12][..], &[0x08, 0x00], ip].concat()).collect();
    for (frames, link_type) in [(exchange(), LinkType::IPV4), (ethernet, LinkType::ETHERNET)] {
        let mut sessions = Sessions::new(HttpParser::default(), Heard::default());
        let mut table = FlowTable::builder(Key(FiveTuple::bidirectional())).build();
        table.process(packets(&frames, link_type), &mut sessions);
        table.finish(&mut sessions);
        assert_eq!(sessions.handler().messages.len(), 2, "{link_type:?}");
    }
    // A pair of hosts is one flow for all protocols.
    let dns = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01x\x00\x00\x01\x00\x01";
    let udp = |port: u16| {
        let header = [port, 53, 8 + dns.len() as u16, 0].map(u16::to_be_bytes).concat();
        ipv4(1, 17, &[&header, &dns[..]].concat())
    };
    let frames = [udp(1000), udp(2000)];
    let mut datagrams = Datagrams::new(DnsUdpParser::default(), Heard::default());
    let mut table = FlowTable::builder(Pair(IpPair)).build();
    table.process(packets(&frames, LinkType::IPV4), &mut datagrams);
    assert_eq!(table.len(), 1);
    let query = (FlowSide::Initiator, "query".to_owned());
    assert_eq!(datagrams.handler().messages, [query.clone(), query]);
}
