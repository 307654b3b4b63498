//! Messages of the crate `protocol`'s parsers, over packets made by hand.
#![cfg(feature = "protocol")]
#![allow(missing_docs)]

use std::fmt;
use std::sync::Arc;

use conversation::{FlowStreamExt as _, MessageEvent};
use flow::{FiveTuple, FlowSide};
use futures::StreamExt as _;
use protocol::{
    Content, CustomMessage, DatagramParser, DatagramProtocol, Message, MessageSink, Protocol,
    Registry, Side, Span, Times, Timestamp, Value,
};
use ring_core::MemorySource;
use source_testkit::{Connection, Fake, interleave, source, udp};

/// A request and its response, in pieces.
fn exchange(port: u16) -> Connection {
    let mut connection = Connection::open(port);
    let request = format!("GET /{port} HTTP/1.1\r\nHost: x\r\n\r\n");
    request.as_bytes().chunks(7).for_each(|part| connection.send(0, part));
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";
    response.chunks(11).for_each(|part| connection.send(1, part));
    connection.fin(0);
    connection.fin(1);
    connection
}

fn text(message: &Message, name: &str) -> String {
    message.get(name).map_or("-".into(), |value| value.to_string())
}

/// Questions and answers of one byte each: a protocol that is not part of the crate.
#[derive(Debug, Default)]
struct Echo {
    asked: Option<(u8, Timestamp)>,
}

#[derive(Debug)]
struct Echoed(u8);

impl CustomMessage for Echoed {
    fn protocol(&self) -> Protocol {
        Protocol::custom("echo")
    }

    fn read(&self, each: &mut dyn FnMut(&str, Value<'_>)) {
        each("echo.byte", self.0.into());
    }
}

impl DatagramParser for Echo {
    fn datagram(
        &mut self,
        side: Side,
        time: Timestamp,
        bytes: &[u8],
        wire_len: usize,
        sink: &mut dyn MessageSink,
    ) {
        assert_eq!(bytes.len(), wire_len);
        match (side, self.asked.take()) {
            (Side::Initiator, _) => self.asked = Some((bytes[0], time)),
            (Side::Responder, Some((byte, asked))) => {
                let [initiator, responder] = [asked, time].map(|time| Some(Span::at(time)));
                let content = Content::Custom(Arc::new(Echoed(byte)));
                sink.message(Message::new(side.other(), Times { initiator, responder }, content));
            }
            (Side::Responder, None) => {}
        }
    }

    fn end(&mut self, _: &mut dyn MessageSink) {}

    fn tick(&mut self, now: Timestamp, sink: &mut dyn MessageSink) {
        // A question that nobody answers.
        if let Some((byte, asked)) = self.asked
            && now.saturating_duration_since(asked).as_secs() >= 5
        {
            self.asked = None;
            let content = Content::Custom(Arc::new(Echoed(byte)));
            let times = Times::of(Side::Initiator, Span::at(asked));
            sink.message(Message::new(Side::Initiator, times, content));
        }
    }

    fn memory(&self) -> usize {
        size_of::<Self>()
    }
}

fn registry() -> Arc<Registry> {
    let echo = DatagramProtocol::new(
        Protocol::custom("echo"),
        &[7],
        |bytes| bytes.len() == 1,
        || Box::<Echo>::default(),
    );
    Arc::new(Registry::default().datagram(echo))
}

async fn messages(source: MemorySource) -> Vec<Message> {
    let stream = source.flow_stream(FiveTuple::bidirectional()).messages(registry());
    let found = stream.filter_map(async |event| match event.unwrap() {
        MessageEvent::Message { message, .. } => Some(message),
        _ => None,
    });
    found.collect().await
}

#[tokio::test]
async fn several_protocols_are_found_in_one_capture() {
    let mut connections: Vec<_> = (1..=20).map(exchange).collect();
    let mut packets = interleave(&mut connections);
    let late = |millis: u64| Timestamp::from_nanos(2_000_000_000_000 + millis * 1_000_000);
    packets.push(late(0), &udp(0, 7, b"q"));
    packets.push(late(3), &udp(1, 7, b"q"));
    let mut stream = packets.flow_stream(FiveTuple::bidirectional()).messages(registry());
    let (mut started, mut ended, mut found) = (0, 0, Vec::new());
    while let Some(event) = stream.next().await {
        match event.unwrap() {
            MessageEvent::Started { .. } => started += 1,
            MessageEvent::Message { key, side, message, .. } => {
                assert_eq!(side, FlowSide::Initiator);
                match message.protocol() {
                    Protocol::HTTP => {
                        assert_eq!(text(&message, "http.path"), format!("/{}", key.a.port));
                        assert_eq!(text(&message, "http.response_bytes"), "10");
                        // The first packet of the response is one after the last of the request.
                        assert!(message.latency().unwrap() > std::time::Duration::ZERO);
                    }
                    other => assert_eq!(other, Protocol::custom("echo")),
                }
                found.push(message);
            }
            MessageEvent::Ended { .. } => ended += 1,
            event => panic!("{event:?}"),
        }
    }
    assert_eq!((started, ended, found.len()), (21, 21, 21));
    let echo = found.last().unwrap();
    assert_eq!((text(echo, "echo.byte"), echo.latency().unwrap().as_millis()), ("113".into(), 3));
    let statistics = stream.handle().statistics();
    assert_eq!((statistics.messages, statistics.queued_bytes), (21, 0));
}

#[tokio::test]
async fn times_are_those_of_the_packets() {
    let mut connection = Connection::open(1);
    connection.send(0, b"GET / HTTP/1.1\r\n\r\n");
    connection.send(1, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    connection.send(1, b"hi");
    let [message] = &messages(interleave(&mut [connection])).await[..] else { panic!("one") };
    // A packet each millisecond: three of the handshake, then data and acknowledgements in turn.
    let start = 1_000_000_000_000;
    let [asked, answered] = [message.times.initiator.unwrap(), message.times.responder.unwrap()];
    let millis = |time: Timestamp| (time.as_nanos() - start) / 1_000_000;
    assert_eq!([asked.first, asked.last, answered.first, answered.last].map(millis), [3, 3, 5, 7]);
}

#[tokio::test]
async fn a_gap_in_a_body_is_skipped() {
    let mut connection = Connection::open(1);
    connection.send(0, b"GET / HTTP/1.1\r\n\r\n");
    connection.send(1, b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
    connection.lose(1, 5000);
    connection.send(0, b"GET /b HTTP/1.1\r\n\r\n");
    connection.send(1, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let found = messages(interleave(&mut [connection])).await;
    let lines: Vec<_> = found
        .iter()
        .map(|m| ["http.path", "http.status", "http.missing_bytes"].map(|name| text(m, name)))
        .collect();
    assert_eq!(lines, [["/", "200", "5000"], ["/b", "404", "0"]]);
}

#[tokio::test]
async fn a_connection_that_is_picked_up_midway_begins_at_its_next_message() {
    let mut connection = Connection::open(1);
    connection.send(1, b"the end of a body");
    connection.send(0, b"GET /b HTTP/1.1\r\n\r\n");
    connection.send(1, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let packets: Vec<_> = connection.packets.drain(..).skip(3).collect();
    let mut found = messages(source(packets.clone())).await;
    // The end of the body is no message.
    assert!(matches!(found.remove(0).content, Content::Lost(_)));
    assert_eq!(found.iter().map(|m| text(m, "http.path")).collect::<Vec<_>>(), ["/b"]);

    // The same for a reader of one conversation.
    let stream = source(packets).flow_stream(FiveTuple::bidirectional()).causal_order(true);
    let mut conversations = stream.into_conversations();
    let conversation = conversations.next().await.unwrap().unwrap();
    assert!(conversation.info().midway);
    let mut messages = conversation.messages(registry());
    assert!(matches!(messages.next_message().await.unwrap().content, Content::Lost(_)));
    assert_eq!(text(&messages.next_message().await.unwrap(), "http.path"), "/b");
    assert!(messages.next_message().await.is_none());
}

#[tokio::test]
async fn messages_of_one_conversation() {
    let stream = interleave(&mut [exchange(5)]).flow_stream(FiveTuple::bidirectional());
    let mut conversations = stream.into_conversations();
    let mut messages = conversations.next().await.unwrap().unwrap().messages(registry());
    assert_eq!(messages.conversation().key().a.port, 5);
    let message = messages.next_message().await.unwrap();
    assert_eq!(text(&message, "http.path"), "/5");
    assert!(messages.next().await.is_none());
}

#[tokio::test]
async fn time_alone_reports_questions_without_an_answer() {
    let mut packets = MemorySource::new(ring_core::LinkType::ETHERNET).batch_size(1);
    let at = |seconds: u64| Timestamp::from_nanos((1_000 + seconds) * 1_000_000_000);
    packets.push(at(0), &udp(0, 7, b"q"));
    // Another flow, while the first one is silent.
    for seconds in 1..10 {
        packets.push(at(seconds), &udp(0, 9, b"other"));
    }
    let stream = packets.flow_stream(FiveTuple::bidirectional()).messages(registry());
    let events: Vec<_> = stream.map(Result::unwrap).collect().await;
    let is_message = |event: &_| matches!(event, MessageEvent::Message { .. });
    let message = events.iter().position(is_message).expect("a message");
    let ended = events.iter().position(|event| matches!(event, MessageEvent::Ended { .. }));
    assert!(message < ended.unwrap(), "{events:?}");
}

#[tokio::test]
async fn two_readers_receive_the_same() {
    let broadcast = interleave(&mut [exchange(1), exchange(2)])
        .flow_stream(FiveTuple::bidirectional())
        .messages_broadcast(registry(), 100);
    let readers = [broadcast.subscribe(), broadcast.subscribe()].map(|events| {
        events.filter_map(async |event| match event {
            Ok(MessageEvent::Message { message, .. }) => Some(text(&message, "http.path")),
            _ => None,
        })
    });
    let [first, second] = readers.map(|reader| reader.collect::<Vec<_>>());
    let (first, second) = futures::join!(first, second);
    assert_eq!(first.len(), 2);
    assert_eq!(first, second);
}

#[tokio::test]
async fn a_wire_reports_how_many_messages_found_no_room() {
    let mut connections: Vec<_> = (1..=50).map(exchange).collect();
    let mut messages = Fake::live(interleave(&mut connections))
        .flow_stream(FiveTuple::bidirectional())
        .capacity(60)
        .messages(registry());
    messages.next().await.unwrap().unwrap();
    while messages.handle().statistics().messages < 50 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let (mut started, mut ended, mut found, mut missed) = (1, 0, 0, 0);
    while let Some(event) = messages.next().await {
        match event.unwrap() {
            MessageEvent::Started { .. } => started += 1,
            MessageEvent::Message { .. } => found += 1,
            MessageEvent::Ended { .. } => ended += 1,
            MessageEvent::Lagged { count, .. } => missed += count,
            event => panic!("{event:?}"),
        }
    }
    assert_eq!((started, ended, found + missed), (50, 50, 50));
    assert!(missed >= 30, "{missed}");
}

/// A registry is shared by all threads.
const _: () = {
    const fn shared<T: Send + Sync + fmt::Debug>() {}
    shared::<Registry>();
    const fn sent<T: Send>() {}
    sent::<Message>();
};
