//! All conversations as one stream.

use std::collections::HashMap;
use std::time::Duration;

use conversation::{Chunk, ChunkEvent, ChunkStream, FlowStreamExt as _, GapCause, Overflow};
use flow::{EndReason, FiveTuple};
use futures::StreamExt as _;
use source_testkit::{Connection, Fake, interleave, pattern, source};

use super::exchange;
use crate::Begin as _;

/// A conversation as it was read.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    port: u16,
    bytes: [Vec<u8>; 2],
    /// The length of each side's stream, gaps counted.
    len: [u64; 2],
    dropped: u64,
    finished: usize,
    overrun: bool,
}

/// Reads to the end, and checks for each conversation that it begins, goes on without a hole, and
/// ends once.
async fn read(mut events: ChunkStream, pause: Duration) -> Vec<(Heard, Option<EndReason>)> {
    let (mut open, mut ended) = (HashMap::new(), Vec::new());
    while let Some(event) = events.next().await {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let (id, chunk) = match event.unwrap() {
            ChunkEvent::Started { id, key, .. } => {
                let port = if key.a.port == 80 { key.b.port } else { key.a.port };
                let slot = (id.source(), id.id().slot());
                assert!(open.insert(slot, Heard { port, ..Heard::default() }).is_none());
                continue;
            }
            ChunkEvent::Chunk { id, chunk, .. } => (id, chunk),
            event => panic!("{event:?}"),
        };
        let slot = (id.source(), id.id().slot());
        let heard = open.get_mut(&slot).unwrap();
        match chunk {
            Chunk::Initiator(_) | Chunk::Responder(_) => {
                let side = usize::from(matches!(chunk, Chunk::Responder(_)));
                let (Chunk::Initiator(data) | Chunk::Responder(data)) = chunk else { continue };
                assert_eq!(data.offset(), heard.len[side]);
                heard.len[side] += data.len() as u64;
                heard.bytes[side].extend_from_slice(&data);
            }
            Chunk::Gap { side, offset, len, cause, .. } => {
                assert_eq!(offset, heard.len[side as usize]);
                heard.len[side as usize] += len;
                if cause == GapCause::SlowReader {
                    heard.dropped += len;
                }
            }
            Chunk::Finished { side, len, .. } => {
                assert_eq!(len, heard.len[side as usize]);
                heard.finished += 1;
            }
            Chunk::Closed { reason, .. } => ended.push((open.remove(&slot).unwrap(), Some(reason))),
            Chunk::Overrun { .. } => {
                heard.overrun = true;
                ended.push((open.remove(&slot).unwrap(), None));
            }
            chunk => panic!("{chunk:?}"),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    ended
}

#[tokio::test]
async fn one_stream_has_all_that_the_conversations_have() {
    for live in [false, true] {
        let mut connections: Vec<_> = (1..=40).map(|port| exchange(port, 3000, 20_000)).collect();
        let mut lossy = Connection::open(41);
        lossy.send(1, &pattern(1, 100));
        lossy.lose(1, 700);
        lossy.send(1, &pattern(2, 100));
        connections.push(lossy);
        let source = interleave(&mut connections);
        let events = if live {
            Fake::live(source).flow_stream(FiveTuple::bidirectional()).begin_chunks()
        } else {
            source.flow_stream(FiveTuple::bidirectional()).begin_chunks()
        };
        let handle = events.handle();
        let heard = read(events, Duration::ZERO).await;
        assert_eq!(heard.len(), 41);
        for (heard, reason) in heard {
            let connection = &connections[usize::from(heard.port) - 1];
            assert_eq!(heard.bytes, connection.sent);
            let lossy = heard.port == 41;
            assert_eq!(heard.len[1] - heard.bytes[1].len() as u64, if lossy { 700 } else { 0 });
            assert_eq!(heard.finished, if lossy { 0 } else { 2 });
            let end = if lossy { EndReason::CaptureEnded } else { EndReason::Fin };
            assert_eq!(reason, Some(end));
        }
        let statistics = handle.statistics();
        assert_eq!((statistics.queued_bytes, statistics.waiting), (0, 0));
        assert_eq!((statistics.conversations, statistics.dropped_bytes), (41, 0));
    }
}

#[tokio::test]
async fn a_file_waits_for_a_reader_of_all_however_slow_and_its_queue_stays_small() {
    let mut connections: Vec<_> = (1..=4).map(|port| exchange(port, 1000, 400_000)).collect();
    let events = interleave(&mut connections)
        .flow_stream(FiveTuple::bidirectional())
        .memory(200_000)
        .begin_chunks();
    let handle = events.handle();
    let watch = tokio::spawn(async move {
        let mut most = 0;
        while !handle.is_finished() {
            most = most.max(handle.statistics().queued_bytes);
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        most
    });
    let heard = read(events, Duration::from_millis(1)).await;
    assert!(heard.iter().all(|(heard, _)| heard.len == [1000, 400_000] && heard.dropped == 0));
    let most = watch.await.unwrap();
    // A batch of sixteen packets comes on top.
    assert!((1..100_000 + 16 * 1200).contains(&most), "{most}");
}

#[tokio::test]
async fn the_ends_of_many_flows_wait_for_their_reader() {
    const FLOWS: usize = 30_000;
    let packets = (0..FLOWS).map(|i| Connection::between(i).packets.remove(0).unwrap()).collect();
    let events =
        source(packets).flow_stream(FiveTuple::bidirectional()).memory(2_000_000).begin_chunks();
    let handle = events.handle();
    let mut events = events.enumerate();
    let (mut started, mut ended) = (0, 0);
    while let Some((number, event)) = events.next().await {
        match event.unwrap() {
            ChunkEvent::Started { .. } => started += 1,
            ChunkEvent::Chunk { chunk: Chunk::Closed { .. }, .. } => ended += 1,
            _ => {}
        }
        if number % 500 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let queued = handle.statistics().queued_bytes;
            // The ends of 4,096 flows come at once.
            assert!(queued < 1_000_000 + 4096 * 700, "{queued} at {number}");
        }
    }
    assert_eq!((started, ended), (FLOWS, FLOWS));
}

#[tokio::test]
async fn a_reader_of_all_that_is_too_slow_for_a_wire_gets_gaps_and_every_end() {
    let mut connections: Vec<_> = (1..=10).map(|port| exchange(port, 1000, 100_000)).collect();
    let events = Fake::live(interleave(&mut connections))
        .flow_stream(FiveTuple::bidirectional())
        .total_limit(100_000)
        .begin_chunks();
    let handle = events.handle();
    // Nobody reads while the wire lasts.
    while !handle.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
        // The beginnings and ends of ten conversations, and what is missing between, come on top.
        assert!(handle.statistics().queued_bytes < 100_000 + 10 * 1500);
    }
    let heard = read(events, Duration::ZERO).await;
    assert_eq!(heard.len(), 10);
    let dropped: u64 = heard.iter().map(|(heard, _)| heard.dropped).sum();
    assert!(dropped > 500_000);
    for (heard, reason) in &heard {
        assert_eq!((heard.len, *reason), ([1000, 100_000], Some(EndReason::Fin)));
        assert_eq!(heard.finished, 2);
    }
    let statistics = handle.statistics();
    assert_eq!((statistics.dropped_bytes, statistics.queued_bytes), (dropped, 0));
}

#[tokio::test]
async fn a_reader_of_all_may_rather_lose_conversations_than_bytes_of_them() {
    let mut connections: Vec<_> = (1..=10).map(|port| exchange(port, 1000, 100_000)).collect();
    let events = Fake::live(interleave(&mut connections))
        .flow_stream(FiveTuple::bidirectional())
        .total_limit(100_000)
        .overflow(Overflow::Close)
        .begin_chunks();
    let handle = events.handle();
    while !handle.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let heard = read(events, Duration::ZERO).await;
    assert_eq!(heard.len(), 10);
    assert!(
        heard.iter().all(|(heard, reason)| heard.dropped == 0 && heard.overrun == reason.is_none())
    );
    assert_eq!(
        handle.statistics().overruns,
        heard.iter().filter(|(heard, _)| heard.overrun).count() as u64
    );
    assert!(handle.statistics().overruns > 5);
}

#[tokio::test]
async fn a_stream_of_all_that_is_dropped_stops_the_engine() {
    let mut connections: Vec<_> = (1..=40).map(|port| exchange(port, 3000, 20_000)).collect();
    let mut events = interleave(&mut connections)
        .flow_stream(FiveTuple::bidirectional())
        .memory(100_000)
        .begin_chunks();
    let handle = events.handle();
    events.next().await.unwrap().unwrap();
    drop(events);
    tokio::time::timeout(Duration::from_secs(10), handle.finished()).await.unwrap();
}

#[tokio::test]
async fn the_end_of_a_conversation_comes_before_the_next_one_in_its_place() {
    let mut connections: Vec<_> = (1..=300).map(|port| exchange(port, 100, 100)).collect();
    let events = interleave(&mut connections)
        .flow_stream(FiveTuple::bidirectional())
        .table(|table| table.max_flows(20))
        .begin_chunks();
    let handle = events.handle();
    let heard = read(events, Duration::ZERO).await;
    let statistics = handle.statistics();
    assert_eq!(heard.len() as u64, statistics.conversations);
    assert!(heard.len() > 300 && statistics.table.ended_evicted > 250, "{statistics:?}");
}

#[tokio::test]
async fn nothing_counts_as_queued_when_the_stream_is_gone() {
    for live in [false, true] {
        for taken in [0, 1, 50] {
            let mut connections: Vec<_> =
                (1..=40).map(|port| exchange(port, 3000, 20_000)).collect();
            let source = interleave(&mut connections);
            let mut events = if live {
                Fake::live(source).flow_stream(FiveTuple::bidirectional()).begin_chunks()
            } else {
                source.flow_stream(FiveTuple::bidirectional()).total_limit(50_000).begin_chunks()
            };
            let handle = events.handle();
            for _ in 0..taken {
                events.next().await.unwrap().unwrap();
            }
            drop(events);
            handle.finished().await;
            let statistics = handle.statistics();
            assert_eq!((statistics.queued_bytes, statistics.waiting), (0, 0), "{live} {taken}");
        }
    }
}
