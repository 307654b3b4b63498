//! The two directions by themselves.

use std::marker::PhantomPinned;

use conversation::{Chunk, FlowStreamExt as _, GapError, Overflow, OverrunError};
use flow::{FiveTuple, FiveTupleKey, FlowExtractor, FlowSide, Headers, Orientation, Packet};
use futures::StreamExt as _;
use source_testkit::{Connection, Fake, interleave, pattern};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::exchange;
use crate::Begin as _;

#[tokio::test]
async fn a_half_of_a_conversation_that_was_given_up_says_so() {
    let mut connections = [exchange(1, 10, 200_000)];
    let conversations = Fake::live(interleave(&mut connections))
        .flow_stream(FiveTuple::bidirectional())
        .conversation_limit(50_000)
        .overflow(Overflow::Close)
        .begin();
    let (mut initiator, mut responder) =
        conversations.collect::<Vec<_>>().await.remove(0).unwrap().split();
    for (half, sent) in [(&mut initiator, 10), (&mut responder, 30_000)] {
        let mut bytes = Vec::new();
        let error = half.read_to_end(&mut bytes).await.unwrap_err();
        let overrun = OverrunError::from_io(&error).unwrap();
        assert!(overrun.side == FlowSide::Responder && bytes.len() >= sent);
        assert_eq!(half.read(&mut [0; 10]).await.unwrap(), 0);
    }
}

/// Keys that must not be moved once they are pinned, which nobody does.
#[derive(Clone, Copy)]
struct Pinned;

impl FlowExtractor for Pinned {
    type Key = (FiveTupleKey, PhantomPinned);

    fn extract(&self, packet: &Packet<'_>, headers: &Headers) -> Option<(Self::Key, Orientation)> {
        let (key, orientation) = FiveTuple::bidirectional().extract(packet, headers)?;
        Some(((key, PhantomPinned), orientation))
    }
}

#[tokio::test]
async fn keys_of_any_kind_have_streams() {
    let mut connections = [exchange(1, 3000, 500), exchange(2, 3000, 500)];
    let mut conversations = interleave(&mut connections).flow_stream(Pinned).begin();
    let (mut initiator, mut responder) = conversations.next().await.unwrap().unwrap().split();
    let mut bytes = Vec::new();
    initiator.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, connections[0].sent[0]);
    let Some(Ok(Chunk::Responder(data))) = responder.next().await else { panic!("no data") };
    assert_eq!(data[..], connections[0].sent[1]);
    let mut conversation = conversations.next().await.unwrap().unwrap();
    let Some(Ok(Chunk::Initiator(data))) = conversation.next().await else { panic!("no data") };
    assert!(!data.is_empty() && connections[1].sent[0].starts_with(&data));
}

#[tokio::test]
async fn a_half_as_a_stream_tells_what_a_read_left_over() {
    let mut connections = [exchange(1, 3000, 10)];
    let mut conversations =
        interleave(&mut connections).flow_stream(FiveTuple::bidirectional()).begin();
    let (mut initiator, _responder) = conversations.next().await.unwrap().unwrap().split();
    let mut first = [0; 100];
    initiator.read_exact(&mut first).await.unwrap();
    let Some(Chunk::Initiator(rest)) = initiator.next_chunk().await else { panic!("no rest") };
    assert_eq!(rest.offset(), 100);
    assert!(connections[0].sent[0][100..].starts_with(&rest));
}

#[tokio::test]
async fn halves_read_as_streams_of_bytes_and_say_where_some_are_missing() {
    let mut connection = Connection::open(1);
    connection.send(0, &pattern(1, 5000));
    connection.send(1, &pattern(2, 100));
    connection.lose(1, 50);
    connection.send(1, &pattern(3, 100));
    connection.fin(0);
    connection.fin(1);
    let mut connections = [connection];
    let mut conversations =
        interleave(&mut connections).flow_stream(FiveTuple::bidirectional()).begin();
    let (mut initiator, mut responder) = conversations.next().await.unwrap().unwrap().split();
    let mut bytes = Vec::new();
    initiator.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, connections[0].sent[0]);

    let mut before = Vec::new();
    let error = responder.read_to_end(&mut before).await.unwrap_err();
    let gap = GapError::from_io(&error).unwrap();
    assert_eq!((before.len(), gap.offset, gap.len), (100, 100, 50));
    assert_eq!(responder.skip_gap(), Some(gap));
    let mut after = Vec::new();
    responder.read_to_end(&mut after).await.unwrap();
    assert_eq!([before, after].concat(), connections[0].sent[1]);
}

#[tokio::test]
async fn no_reader_gets_past_a_gap_without_saying_so() {
    let mut connection = Connection::open(1);
    connection.send(0, b"one\ntwo\nthr");
    connection.lose(0, 6);
    connection.send(0, b"r\nfive\n");
    connection.lose(0, 7);
    connection.send(0, b"six\n");
    connection.fin(0);
    connection.fin(1);
    let mut conversations =
        interleave(&mut [connection]).flow_stream(FiveTuple::bidirectional()).begin();
    let (mut half, _responder) = conversations.next().await.unwrap().unwrap().split();
    assert_eq!(half.skip_gap(), None, "nothing was read yet");
    let mut parts = Vec::new();
    loop {
        let mut part = Vec::new();
        let mut lines = BufReader::new(&mut half).lines();
        // Some decoders try again after an error.
        for _ in 0..3 {
            while let Ok(Some(line)) = lines.next_line().await {
                part.push(line);
            }
        }
        parts.push((part, half.skip_gap().map(|gap| (gap.offset, gap.len))));
        if let (_, None) = parts.last().unwrap() {
            break;
        }
        assert_eq!(half.skip_gap(), None, "a gap is skipped once");
    }
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        parts,
        [
            (lines("one\ntwo"), Some((11, 6))),
            (lines("r\nfive"), Some((24, 7))),
            (lines("six"), None)
        ]
    );
    // The end is no gap.
    assert_eq!(half.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_gap_that_a_read_has_reported_is_no_chunk_as_well() {
    let mut connection = Connection::open(1);
    connection.send(0, b"before");
    connection.lose(0, 6);
    connection.send(0, b"behind");
    let mut conversations =
        interleave(&mut [connection]).flow_stream(FiveTuple::bidirectional()).begin();
    let (mut half, _responder) = conversations.next().await.unwrap().unwrap().split();
    let mut before = Vec::new();
    half.read_to_end(&mut before).await.unwrap_err();
    assert_eq!(before, b"before");
    let Some(Chunk::Initiator(data)) = half.next_chunk().await else { panic!("no data") };
    assert_eq!((data.offset(), &data[..]), (12, &b"behind"[..]));
    assert_eq!(half.skip_gap(), None);
}

#[tokio::test]
async fn a_half_tells_time_and_place_of_what_was_read() {
    for live in [false, true] {
        let mut connection = Connection::open(1);
        // Messages five milliseconds apart, as packets of the other side's acknowledgements lie
        // between.
        (0..10).for_each(|round| connection.send(1, &pattern(round, 8)));
        connection.lose(1, 50);
        connection.send(1, &pattern(11, 8));
        connection.fin(0);
        connection.fin(1);
        let source = interleave(&mut [connection]);
        let mut conversations = if live {
            Fake::live(source).flow_stream(FiveTuple::bidirectional()).begin()
        } else {
            source.flow_stream(FiveTuple::bidirectional()).begin()
        };
        let (_, mut half) = conversations.next().await.unwrap().unwrap().split();
        assert_eq!((half.timestamp(), half.offset(), half.packet_number()), (None, None, None));
        let mut times = Vec::new();
        let mut buffer = [0; 5];
        loop {
            match half.read(&mut buffer).await {
                Ok(0) => break,
                Ok(_) => {
                    let time = half.timestamp().unwrap().as_nanos() - 1_000_000_000_000;
                    times.push((half.offset().unwrap(), time / 1_000_000));
                    assert_eq!(half.packet_number(), Some(time / 1_000_000 + 1));
                }
                Err(error) => assert_eq!(half.skip_gap(), GapError::from_io(&error)),
            }
        }
        // The handshake is three packets; of each message, five bytes are read, then three.
        let expected: Vec<_> = (0..10)
            .map(|round| (8 * round, 3 + 2 * round))
            .chain([(130, 24)])
            .flat_map(|(offset, time)| [(offset, time), (offset + 5, time)])
            .collect();
        assert_eq!(times, expected, "live {live}");
    }
}

#[tokio::test]
async fn a_half_that_is_dropped_releases_what_waits_and_leaves_the_other() {
    let mut connections = [exchange(1, 40_000, 30_000)];
    let conversations =
        interleave(&mut connections).flow_stream(FiveTuple::bidirectional()).begin();
    let handle = conversations.handle();
    let mut all: Vec<_> = conversations.collect().await;
    let (initiator, mut responder) = all.pop().unwrap().unwrap().split();
    let before = handle.statistics().queued_bytes;
    drop(initiator);
    assert!(handle.statistics().queued_bytes + 40_000 <= before);
    let mut bytes = Vec::new();
    responder.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, connections[0].sent[1]);
    assert_eq!(handle.statistics().queued_bytes, 0);
}
