//! flowscope's parsers on streams of flows, over packets made by hand.
#![cfg(feature = "flowscope")]
#![allow(missing_docs)]

use std::collections::HashMap;

use conversation::{FlowGroupExt, FlowStreamExt as _, Gap, MessageEvent};
use flow::{EndReason, FiveTuple, FlowSide};
use flowscope::dns::{DnsMessage, DnsUdpParser};
use flowscope::http::{HttpMessage, HttpParser};
use flowscope::{SessionParser, Timestamp};
use futures::StreamExt as _;
use ring_core::{LinkType, MemorySource};
use source_testkit::{Connection, Fake, interleave, source, udp};

const REQUEST: &[u8] = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";

/// A request and its response, in pieces.
fn exchange(port: u16) -> Connection {
    let mut connection = Connection::open(port);
    REQUEST.chunks(7).for_each(|part| connection.send(0, part));
    RESPONSE.chunks(11).for_each(|part| connection.send(1, part));
    connection.fin(0);
    connection.fin(1);
    connection
}

fn describe(message: &HttpMessage) -> String {
    match message {
        HttpMessage::Request(request) => String::from_utf8_lossy(&request.path).into_owned(),
        HttpMessage::Response(response) => format!("{} {}", response.status, response.body.len()),
        _ => String::new(),
    }
}

#[tokio::test]
async fn http_messages_come_with_their_flows() {
    let mut connections: Vec<_> = (1..=20).map(exchange).collect();
    let mut packets = interleave(&mut connections);
    // No part of any stream.
    packets.push(ring_core::Timestamp::from_nanos(2_000_000_000_000), &udp(0, 7, b"question"));
    let mut messages =
        packets.flow_stream(FiveTuple::bidirectional()).session_stream(HttpParser::default());
    let (mut started, mut ended, mut heard) = (0, 0, Vec::new());
    while let Some(event) = messages.next().await {
        match event.unwrap() {
            MessageEvent::Started { .. } => started += 1,
            MessageEvent::Message { key, side, message, .. } => {
                heard.push((key.a.port, side, describe(&message)));
            }
            MessageEvent::Ended { record, .. } => {
                assert_eq!(record.reason, EndReason::Fin);
                ended += 1;
            }
            event => panic!("{event:?}"),
        }
    }
    assert_eq!((started, ended), (20, 20));
    heard.sort_by_key(|(port, side, _)| (*port, *side == FlowSide::Responder));
    let expected: Vec<_> = (1..=20)
        .flat_map(|port| {
            let request = (port, FlowSide::Initiator, "/a".to_owned());
            [request, (port, FlowSide::Responder, "200 10".to_owned())]
        })
        .collect();
    assert_eq!(heard, expected);
    let statistics = messages.handle().statistics();
    assert_eq!((statistics.messages, statistics.poisoned_parsers), (40, 0));
    assert_eq!(statistics.bytes, 20 * (REQUEST.len() + RESPONSE.len()) as u64);
    assert_eq!(statistics.queued_bytes, 0);
}

#[tokio::test]
async fn a_gap_is_told_and_a_fresh_parser_goes_on_behind_it() {
    let mut connection = Connection::open(1);
    connection.send(1, b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
    connection.lose(1, 5000);
    connection.send(1, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let messages = interleave(&mut [connection])
        .flow_stream(FiveTuple::bidirectional())
        .session_stream(HttpParser::default());
    let events: Vec<_> = messages.map(Result::unwrap).collect().await;
    let [
        MessageEvent::Started { .. },
        MessageEvent::Gap {
            side: FlowSide::Responder, gap: Gap { offset: 41, len: 5000, .. }, ..
        },
        MessageEvent::Message { message, .. },
        MessageEvent::Ended { record, .. },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(describe(message), "404 0");
    assert_eq!(record.reason, EndReason::CaptureEnded);
}

/// Makes a message of each byte, and gives up at the first that is no letter.
#[derive(Clone, Debug, Default)]
struct Letters {
    poisoned: bool,
}

impl SessionParser for Letters {
    type Message = char;

    fn feed_initiator(&mut self, bytes: &[u8], _: Timestamp, messages: &mut Vec<char>) {
        let letters = bytes.iter().take_while(|byte| byte.is_ascii_alphabetic());
        messages.extend(letters.map(|byte| char::from(*byte)));
        self.poisoned = !bytes.iter().all(u8::is_ascii_alphabetic);
    }

    fn feed_responder(&mut self, _: &[u8], _: Timestamp, _: &mut Vec<char>) {}

    fn is_poisoned(&self) -> bool {
        self.poisoned
    }
}

#[tokio::test]
async fn a_parser_that_gives_up_is_counted_and_two_readers_hear_the_same() {
    let mut connection = Connection::open(1);
    connection.send(0, b"ab");
    connection.send(0, b"c!");
    connection.send(0, b"d");
    let broadcast = interleave(&mut [connection])
        .flow_stream(FiveTuple::bidirectional())
        .session_broadcast(Letters::default(), 10);
    let readers = [broadcast.subscribe(), broadcast.subscribe()].map(|events| {
        events.filter_map(async |event| match event {
            Ok(MessageEvent::Message { message, .. }) => Some(message),
            _ => None,
        })
    });
    let [first, second] = readers.map(|reader| reader.collect::<String>());
    assert_eq!(futures::join!(first, second), ("abc".to_owned(), "abc".to_owned()));
    let statistics = broadcast.handle().statistics();
    assert_eq!((statistics.messages, statistics.poisoned_parsers), (3, 1));
}

/// A question about a name, and an answer.
fn dns(response: bool) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, if response { 0x81 } else { 0x01 }, 0];
    message.extend([0, 1, 0, u8::from(response), 0, 0, 0, 0]);
    message.extend(b"\x03www\x07example\x00\x00\x01\x00\x01");
    if response {
        message.extend(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01");
    }
    message
}

#[tokio::test]
async fn dns_messages_come_out_of_datagrams() {
    let mut tcp = exchange(7);
    let mut packets: Vec<_> = tcp.packets.drain(..).collect();
    packets.insert(4, udp(0, 4000, &dns(false)));
    packets.insert(9, udp(1, 4000, &dns(true)));
    let mut messages = source(packets)
        .flow_stream(FiveTuple::bidirectional())
        .datagram_stream(DnsUdpParser::default());
    let mut heard = Vec::new();
    let mut flows = 0;
    while let Some(event) = messages.next().await {
        match event.unwrap() {
            MessageEvent::Message { side, message: DnsMessage::Query(query), .. } => {
                heard.push((side, query.transaction_id));
            }
            MessageEvent::Message { side, message: DnsMessage::Response(response), .. } => {
                assert_eq!(response.answers.len(), 1);
                heard.push((side, response.transaction_id));
            }
            MessageEvent::Started { .. } => flows += 1,
            _ => {}
        }
    }
    assert_eq!(heard, [(FlowSide::Initiator, 0x1234), (FlowSide::Responder, 0x1234)]);
    assert_eq!(flows, 1, "what is not UDP is none of its business");
}

/// Seconds after the first packet, and the packet.
fn at(packets: impl IntoIterator<Item = (u64, Vec<u8>)>) -> MemorySource {
    let mut source = MemorySource::new(LinkType::ETHERNET).batch_size(4);
    for (second, packet) in packets {
        source.push(ring_core::Timestamp::from_nanos((1000 + second) * 1_000_000_000), &packet);
    }
    source
}

#[tokio::test]
async fn a_query_without_an_answer_is_told_of_in_time() {
    let tcp: Vec<_> = exchange(7).packets.into();
    let packets = |last: u64| {
        let mut packets = vec![(0, udp(0, 4000, &dns(false))), (0, udp(0, 4001, &dns(false)))];
        packets.push((2, udp(1, 4001, &dns(true))));
        packets.extend((3..=last).map(|second| (second, tcp[second as usize % tcp.len()].clone())));
        packets
    };
    // The packets' time decides: on a wire as in a file, by other packets or at the end of the
    // flow.
    for (last, live) in [(40, false), (40, true), (70, false), (20, false)] {
        let memory = at(packets(last));
        let parser = DnsUdpParser::with_correlation();
        let key = FiveTuple::bidirectional();
        let events: Vec<_> = if live {
            Fake::live(memory).flow_stream(key).datagram_stream(parser).collect().await
        } else {
            memory.flow_stream(key).datagram_stream(parser).collect().await
        };
        let mut unanswered = Vec::new();
        for event in events {
            if let MessageEvent::Message { key, side, message, timestamp, .. } = event.unwrap()
                && let DnsMessage::Unanswered(query) = message
            {
                assert_eq!((side, query.transaction_id), (FlowSide::Initiator, 0x1234));
                unanswered.push((key.a.port.max(key.b.port), timestamp.as_nanos() / 1_000_000_000));
            }
        }
        if last == 20 {
            assert_eq!(unanswered, [], "it may be answered yet");
            continue;
        }
        // After its thirty seconds, at the end of a batch.
        let [(4000, second)] = unanswered[..] else { panic!("{unanswered:?}") };
        assert!((1030..=1035).contains(&second), "{second}");
    }
}

#[tokio::test]
async fn messages_of_several_sources_are_one_stream() {
    let mut connections: Vec<_> = (1..=40).map(exchange).collect();
    let (first, second) = connections.split_at_mut(15);
    let sources = vec![interleave(first), interleave(second)];
    let mut messages = FlowGroupExt::flow_stream(sources, FiveTuple::bidirectional())
        .capacity(4)
        .session_stream(HttpParser::default());
    let (mut open, mut ports, mut ends) = (HashMap::new(), Vec::new(), 0);
    while let Some(event) = messages.next().await {
        match event.unwrap() {
            MessageEvent::Started { id, key, .. } => {
                assert_eq!(open.insert(id, key), None, "two flows have one number");
            }
            MessageEvent::Message { id, key, message, .. } => {
                assert_eq!(open.get(&id), Some(&key));
                ports.push((key.a.port, describe(&message)));
            }
            MessageEvent::Ended { id, record, .. } => {
                assert_eq!((open.remove(&id), record.reason), (Some(record.key), EndReason::Fin));
                ends += 1;
            }
            event => panic!("{event:?}"),
        }
    }
    ports.sort();
    let expected: Vec<_> =
        (1..=40).flat_map(|port| ["/a", "200 10"].map(|text| (port, text.to_owned()))).collect();
    assert_eq!((ports, ends), (expected, 40));
    let handle = messages.handle();
    handle.finished().await;
    let members = handle.member_statistics();
    assert_eq!(members.iter().map(|member| member.messages).collect::<Vec<_>>(), [30, 50]);

    // Datagrams, and a source that fails after the other's last word.
    let sources = [(4000, false), (5000, true)]
        .map(|(port, fails)| {
            let source = at([(0, udp(0, port, &dns(false))), (1, udp(1, port, &dns(true)))]);
            Fake::file(source).failing(fails)
        })
        .into_iter()
        .collect::<Vec<_>>();
    let events: Vec<_> = FlowGroupExt::flow_stream(sources, FiveTuple::bidirectional())
        .datagram_stream(DnsUdpParser::default())
        .collect()
        .await;
    assert!(matches!(events.last(), Some(Err(conversation::Error::Source(_)))), "{events:?}");
    let count = |wanted: fn(&MessageEvent<DnsMessage>) -> bool| {
        events.iter().flatten().filter(|event| wanted(event)).count()
    };
    assert_eq!(count(|event| matches!(event, MessageEvent::Message { .. })), 4);
    assert_eq!(count(|event| matches!(event, MessageEvent::Ended { .. })), 2);
}

#[tokio::test]
async fn a_wire_says_how_many_messages_found_no_room() {
    let mut connections: Vec<_> = (1..=50).map(exchange).collect();
    let mut messages = Fake::live(interleave(&mut connections))
        .flow_stream(FiveTuple::bidirectional())
        .capacity(60)
        .session_stream(HttpParser::default());
    messages.next().await.unwrap().unwrap();
    while messages.handle().statistics().messages < 100 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let (mut started, mut ended, mut told, mut missed) = (1, 0, 0, 0);
    while let Some(event) = messages.next().await {
        match event.unwrap() {
            MessageEvent::Started { .. } => started += 1,
            MessageEvent::Message { .. } => told += 1,
            MessageEvent::Ended { .. } => ended += 1,
            MessageEvent::Lagged { count, .. } => missed += count,
            event => panic!("{event:?}"),
        }
    }
    assert_eq!((started, ended), (50, 50));
    assert_eq!(told + missed, 100);
    assert!(missed >= 80, "{missed}");
}
