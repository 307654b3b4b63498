//! Slow readers, and who is let in.

use std::time::Duration;

use conversation::{Chunk, FlowStreamExt as _, GapCause, OnLimit, Overflow};
use flow::{EndReason, FiveTuple, FlowSide};
use futures::StreamExt as _;
use source_testkit::{Connection, Fake, Fed, interleave, pattern, source, udp};

use super::{exchange, hear};
use crate::Begin as _;

#[tokio::test]
async fn a_conversation_is_given_up_where_that_is_asked_for() {
    let mut connections = [exchange(1, 10, 200_000), exchange(2, 10, 20_000)];
    let mut conversations = Fake::live(interleave(&mut connections))
        .flow_stream(FiveTuple::bidirectional())
        .conversation_limit(50_000)
        .overflow(Overflow::Close)
        .begin();
    let handle = conversations.handle();
    let mut taken = Vec::new();
    while let Some(conversation) = conversations.next().await {
        taken.push(conversation.unwrap());
    }
    let mut heard = 0;
    let mut chunks = Vec::new();
    while let Some(chunk) = taken[0].next_chunk().await {
        if let Chunk::Responder(data) = &chunk {
            assert_eq!(data.offset(), heard);
            assert_eq!(data[..], connections[0].sent[1][heard as usize..][..data.len()]);
            heard += data.len() as u64;
        }
        chunks.push(chunk);
    }
    assert!(heard > 30_000 && heard <= 50_000, "{heard}");
    let Some(Chunk::Overrun { side: FlowSide::Responder, offset, .. }) = chunks.last() else {
        panic!("{:?}", chunks.last())
    };
    assert_eq!(*offset, heard);
    assert!(taken[0].next_chunk().await.is_none());
    assert_eq!(taken[0].info().responder.bytes, heard);
    let other = hear(&mut taken[1]).await;
    assert_eq!(other.bytes, connections[1].sent);
    let statistics = handle.statistics();
    assert_eq!((statistics.overruns, statistics.queued_bytes), (1, 0));
}

#[tokio::test]
async fn what_is_not_admitted_is_not_kept() {
    let mut connections: Vec<_> = (1..=20).map(|i| exchange(i, 1000, 10_000)).collect();
    let mut packets: Vec<_> = (0..5).map(|_| udp(0, 3, b"question")).collect();
    packets.extend((0..5).map(|_| udp(0, 4, b"question")));
    let mut memory = interleave(&mut connections);
    for packet in packets {
        memory.push(ring_core::Timestamp::from_nanos(2_000_000_000_000), &packet);
    }
    let conversations = memory
        .flow_stream(FiveTuple::bidirectional())
        .datagrams(true)
        .admit(|flow, opening| {
            assert!(opening.flags.contains(flow::TcpFlags::SYN) || opening.payload == b"question");
            flow.key.a.port.is_multiple_of(2)
        })
        .begin();
    let handle = conversations.handle();
    let mut ports = Vec::new();
    let mut all: Vec<_> = conversations.collect().await;
    for conversation in &mut all {
        let conversation = conversation.as_mut().unwrap();
        let port = conversation.initiator().port;
        let heard = hear(conversation).await;
        if conversation.info().protocol == 6 {
            assert_eq!(heard.bytes, connections[usize::from(port - 1)].sent);
            ports.push(port);
        } else {
            assert_eq!((port, heard.bytes[0].len()), (4, 40));
        }
    }
    assert_eq!(ports, (1..=10).map(|i| i * 2).collect::<Vec<_>>());
    let statistics = handle.statistics();
    assert_eq!((statistics.conversations, statistics.rejected), (11, 11));
    // Nobody reassembled what was not admitted.
    assert_eq!(statistics.bytes, 10 * 11_000);
}

#[tokio::test]
async fn beyond_the_most_conversations_new_ones_are_refused() {
    let mut connections: Vec<_> = (1..=20).map(|i| exchange(i, 100, 1000)).collect();
    let conversations = interleave(&mut connections)
        .flow_stream(FiveTuple::bidirectional())
        .max_conversations(5, OnLimit::Refuse)
        .begin();
    let handle = conversations.handle();
    let mut all: Vec<_> = conversations.collect().await;
    assert_eq!(all.len(), 5);
    for (conversation, connection) in all.iter_mut().zip(&connections) {
        assert_eq!(hear(conversation.as_mut().unwrap()).await.bytes, connection.sent);
    }
    assert_eq!(handle.statistics().refused, 15);

    // As many as one likes, one after another.
    let mut connections: Vec<_> = (1..=20).map(|i| exchange(i, 100, 1000)).collect();
    let packets: Vec<_> = connections.iter_mut().flat_map(|c| c.packets.drain(..)).collect();
    let conversations = source(packets)
        .flow_stream(FiveTuple::bidirectional())
        .max_conversations(1, OnLimit::Refuse)
        .begin();
    assert_eq!(conversations.count().await, 20);
}

#[tokio::test]
async fn a_conversation_that_was_dropped_makes_room_for_another() {
    for (on_limit, seen) in [(OnLimit::Refuse, 6), (OnLimit::EvictIdlest, 10)] {
        let (feed, source) = Fed::new();
        let mut conversations =
            source.flow_stream(FiveTuple::bidirectional()).max_conversations(2, on_limit).begin();
        let handle = conversations.handle();
        let mut kept = Vec::new();
        // None of their flows ends. Two of the first six are kept: then there is no room.
        for port in 1..=10 {
            let mut connection = Connection::open(port);
            connection.send(0, b"hello");
            feed.all(&mut connection);
            if u64::from(port) > seen {
                continue;
            }
            let conversation = conversations.next().await.unwrap().unwrap();
            match port {
                3 => drop(conversation.split()),
                4 | 6.. => kept.push(conversation),
                _ => drop(conversation),
            }
        }
        drop(feed);
        handle.finished().await;
        let statistics = handle.statistics();
        assert_eq!((statistics.conversations, statistics.refused), (seen, 10 - seen));
        assert_eq!(statistics.evicted, if on_limit == OnLimit::Refuse { 0 } else { 4 });
        assert!(conversations.next().await.is_none());
    }
}

#[tokio::test]
async fn what_is_refused_is_counted_once_however_it_goes_on() {
    let mut packets: Vec<_> = exchange(1, 100, 1000).packets.into();
    let mut connection = exchange(2, 1000, 5000);
    connection.rst(0);
    packets.extend(connection.packets);
    // Picked up midway, every packet twice, answers before questions, and a SYN that was missed.
    packets.extend(exchange(3, 1000, 1000).packets.into_iter().skip(3));
    packets.extend(exchange(4, 1000, 1000).packets.into_iter().flat_map(|p| [p.clone(), p]));
    packets.extend((0..4).flat_map(|_| [udp(1, 5, b"answer"), udp(0, 5, b"question")]));
    packets.extend(exchange(6, 1000, 1000).packets.into_iter().skip(1));
    let mut conversations = Fake::live(source(packets))
        .flow_stream(FiveTuple::bidirectional())
        .datagrams(true)
        .capacity(1)
        .begin();
    let handle = conversations.handle();
    // Nobody takes one while the wire lasts.
    handle.finished().await;
    let heard = hear(&mut conversations.next().await.unwrap().unwrap()).await;
    assert_eq!(heard.reason, Some(EndReason::Fin));
    assert!(conversations.next().await.is_none());
    let statistics = handle.statistics();
    assert_eq!((statistics.conversations, statistics.refused), (1, 5));
    assert_eq!(statistics.table.flows_refused, 5);
}

#[tokio::test]
async fn or_the_most_silent_make_room() {
    let mut connections: Vec<_> = (1..=40).map(|i| exchange(i, 10, 30_000)).collect();
    // The first speaks all the time; the others say a little, one after another, and stay open.
    let mut packets = Vec::new();
    let (first, others) = connections.split_first_mut().unwrap();
    packets.extend(first.packets.drain(..5));
    for other in others.iter_mut() {
        packets.extend(other.packets.drain(..4));
        packets.extend(first.packets.pop_front());
        packets.extend((0..16).map(|_| udp(0, 9, b"tick")));
    }
    packets.extend(first.packets.drain(..));
    let conversations = source(packets)
        .flow_stream(FiveTuple::bidirectional())
        .max_conversations(4, OnLimit::EvictIdlest)
        .begin();
    let handle = conversations.handle();
    let all: Vec<_> = conversations.collect().await;
    assert_eq!(all.len(), 40);
    let mut evicted = 0;
    for conversation in all {
        let mut conversation = conversation.unwrap();
        let heard = hear(&mut conversation).await;
        if conversation.initiator().port == 1 {
            assert_eq!(heard.bytes, connections[0].sent);
            assert_eq!(heard.reason, Some(EndReason::Fin));
        } else {
            evicted += u64::from(heard.reason == Some(EndReason::Evicted));
        }
    }
    assert_eq!(handle.statistics().evicted, evicted);
    assert!((36..=38).contains(&evicted), "{evicted}");
}

#[tokio::test]
async fn a_slow_reader_of_a_wire_gets_a_gap_and_holds_up_nobody() {
    let mut connections = [exchange(1, 10, 200_000), exchange(2, 10, 200_000)];
    let mut conversations = Fake::live(interleave(&mut connections))
        .flow_stream(FiveTuple::bidirectional())
        .conversation_limit(50_000)
        .overflow(Overflow::Drop)
        .begin();
    let handle = conversations.handle();
    let mut taken = Vec::new();
    // Nobody reads before the stream of conversations is over.
    while let Some(conversation) = conversations.next().await {
        taken.push(conversation.unwrap());
    }
    for (conversation, connection) in taken.iter_mut().zip(&connections) {
        let heard = hear(conversation).await;
        let [(FlowSide::Responder, offset, len, GapCause::SlowReader)] = heard.gaps[..] else {
            panic!("{:?}", heard.gaps)
        };
        // About the limit was kept; a short piece may have found room behind the gap.
        assert!(offset > 30_000 && offset < 50_000, "{offset}");
        assert!(len > 140_000, "{len}");
        let sent = &connection.sent[1];
        let (before, after) = (&sent[..offset as usize], &sent[(offset + len) as usize..]);
        assert_eq!(heard.bytes[1], [before, after].concat());
        assert_eq!(heard.reason, Some(EndReason::Fin));
        assert_eq!(conversation.info().responder.dropped_bytes, len);
    }
    let statistics = handle.statistics();
    assert_eq!(statistics.queued_bytes, 0);
    assert!(statistics.dropped_bytes > 300_000);
}

#[tokio::test]
async fn what_was_read_takes_none_of_a_small_limit() {
    let (feed, source) = Fed::new();
    let mut conversations =
        source.flow_stream(FiveTuple::bidirectional()).conversation_limit(10_000).begin();
    let handle = conversations.handle();
    let mut connection = Connection::open(1);
    for round in 0..7 {
        connection.send(0, &pattern(round, 1000));
        connection.send(1, &pattern(round, 1000));
    }
    feed.all(&mut connection);
    let mut conversation = conversations.next().await.unwrap().unwrap();
    // All but the last of what one batch brought.
    for _ in 0..13 {
        let chunk = conversation.next_chunk().await.unwrap();
        assert!(matches!(chunk, Chunk::Initiator(_) | Chunk::Responder(_)), "{chunk:?}");
    }
    connection.send(1, &pattern(7, 7000));
    feed.all(&mut connection);
    drop(feed);
    handle.finished().await;
    assert_eq!(handle.statistics().dropped_bytes, 0);
    let heard = hear(&mut conversation).await;
    assert_eq!((heard.bytes[1].len(), heard.gaps), (8000, Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_waits_for_slow_readers_and_loses_nothing() {
    let mut connections: Vec<_> = (0..4).map(|i| exchange(i + 1, 10, 300_000)).collect();
    let mut conversations = interleave(&mut connections)
        .flow_stream(FiveTuple::bidirectional())
        .conversation_limit(20_000)
        .total_limit(60_000)
        .begin();
    let handle = conversations.handle();
    let mut tasks = Vec::new();
    while let Some(conversation) = conversations.next().await {
        let mut conversation = conversation.unwrap();
        tasks.push(tokio::spawn(async move {
            let mut bytes: [Vec<u8>; 2] = Default::default();
            while let Some(chunk) = conversation.next_chunk().await {
                match chunk {
                    Chunk::Initiator(data) => bytes[0].extend_from_slice(&data),
                    Chunk::Responder(data) => bytes[1].extend_from_slice(&data),
                    Chunk::Gap { .. } => panic!("{chunk:?}"),
                    _ => {}
                }
                std::thread::sleep(Duration::from_micros(50));
            }
            (conversation.initiator().port, bytes)
        }));
    }
    for task in tasks {
        let (port, bytes) = task.await.unwrap();
        assert_eq!(bytes, connections[usize::from(port - 1)].sent);
    }
    assert_eq!(handle.statistics().dropped_bytes, 0);
    assert_eq!(handle.statistics().queued_bytes, 0);
}

#[tokio::test]
async fn a_file_waits_for_readers_that_are_independent_though_others_wait() {
    for independent in [true, false] {
        let mut connections: Vec<_> = (1..=3).map(|i| exchange(i, 10, 300_000)).collect();
        let mut conversations = interleave(&mut connections)
            .flow_stream(FiveTuple::bidirectional())
            .conversation_limit(10_000)
            .independent_readers(independent)
            .begin();
        let handle = conversations.handle();
        let (mut readers, mut most) = (tokio::task::JoinSet::new(), 0);
        // The task that takes conversations waits here nearly all the time.
        let taking = async {
            while let Some(conversation) = conversations.next().await {
                let (mut conversation, handle) = (conversation.unwrap(), handle.clone());
                readers.spawn(async move {
                    let (mut bytes, mut most) = (0, 0);
                    while let Some(chunk) = conversation.next_chunk().await {
                        if let Chunk::Initiator(data) | Chunk::Responder(data) = chunk {
                            bytes += data.len();
                        }
                        most = most.max(handle.statistics().queued_bytes);
                        tokio::time::sleep(Duration::from_micros(100)).await;
                    }
                    assert_eq!(bytes, 300_010);
                    most
                });
            }
        };
        taking.await;
        for queued in readers.join_all().await {
            most = most.max(queued);
        }
        // What one flush brings goes beyond the limits.
        assert_eq!(most < 200_000, independent, "{most} bytes waited");
    }
}

#[tokio::test]
async fn readers_that_call_themselves_independent_get_causal_order() {
    let mut connection = Connection::open(1);
    for round in 0..50 {
        connection.lose(0, 300);
        connection.send(1, &pattern(round, 5000));
    }
    let mut conversations = interleave(&mut [connection])
        .flow_stream(FiveTuple::bidirectional())
        .causal_order(true)
        .independent_readers(true)
        .total_limit(20_000)
        .begin();
    let heard = hear(&mut conversations.next().await.unwrap().unwrap()).await;
    assert_eq!(heard.bytes[1].len(), 250_000);
}
