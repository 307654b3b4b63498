//! Promises to a reader of conversations, over packets made by hand: the same whether engines are
//! threads or tasks.

mod cancel;
mod end;
mod halves;
mod limits;
mod merged;
mod order;
mod sources;
mod stopping;
mod turns;

use std::time::Duration;

use conversation::{Chunk, Conversation, FlowStreamExt as _, GapCause, Retention};
use flow::{EndReason, FiveTuple, FlowSide};
use futures::StreamExt as _;
use ring_core::{LinkType, MemorySource, PacketMeta, PacketSource, Timestamp};
use source_testkit::{ACK, Connection, FIN, Fake, SYN, interleave, pattern, segment, source, udp};
use tokio::io::AsyncReadExt as _;

use crate::Begin as _;

/// A conversation, whole.
#[derive(Debug, Default)]
struct Heard {
    bytes: [Vec<u8>; 2],
    gaps: Vec<(FlowSide, u64, u64, GapCause)>,
    finished: Vec<FlowSide>,
    reason: Option<EndReason>,
}

async fn hear(conversation: &mut Conversation) -> Heard {
    let mut heard = Heard::default();
    while let Some(chunk) = conversation.next_chunk().await {
        assert_eq!(heard.reason, None, "nothing follows the end");
        match chunk {
            Chunk::Initiator(data) => heard.bytes[0].extend_from_slice(&data),
            Chunk::Responder(data) => heard.bytes[1].extend_from_slice(&data),
            Chunk::Gap { side, offset, len, cause, .. } => {
                heard.gaps.push((side, offset, len, cause));
            }
            Chunk::Finished { side, .. } => heard.finished.push(side),
            Chunk::Closed { reason, .. } => heard.reason = Some(reason),
            _ => {}
        }
    }
    heard
}

/// A request and a response, both sides closed.
fn exchange(port: u16, request: usize, response: usize) -> Connection {
    let mut connection = Connection::open(port);
    for part in pattern(u64::from(port), request).chunks(1000) {
        connection.send(0, part);
    }
    for part in pattern(u64::from(port) + 1, response).chunks(1000) {
        connection.send(1, part);
    }
    connection.fin(0);
    connection.fin(1);
    connection
}

#[tokio::test]
async fn one_conversation_after_another_in_one_task_while_all_go_on_at_once() {
    let mut connections: Vec<_> = (0..100).map(|i| exchange(1000 + i, 3000, 20_000)).collect();
    let mut conversations = interleave(&mut connections)
        .flow_stream(FiveTuple::bidirectional())
        .conversation_limit(10_000)
        .total_limit(50_000)
        .capacity(8)
        .begin();
    let mut count = 0;
    while let Some(conversation) = conversations.next().await {
        let mut conversation = conversation.unwrap();
        let connection = &connections[usize::from(conversation.initiator().port - 1000)];
        let heard = hear(&mut conversation).await;
        assert_eq!(heard.bytes, connection.sent);
        assert_eq!(heard.gaps, []);
        assert_eq!(heard.finished, [FlowSide::Initiator, FlowSide::Responder]);
        assert_eq!(heard.reason, Some(EndReason::Fin));
        assert!(conversation.next_chunk().await.is_none());
        count += 1;
    }
    assert_eq!(count, 100);
}

#[tokio::test]
async fn every_retention_gives_the_same_bytes() {
    for retention in [Retention::Adaptive, Retention::Copy] {
        let mut connections = [exchange(1000, 100, 50_000)];
        let conversations = interleave(&mut connections)
            .flow_stream(FiveTuple::bidirectional())
            .retention(retention)
            .begin();
        let mut all: Vec<_> = conversations.collect().await;
        let heard = hear(all[0].as_mut().unwrap()).await;
        assert_eq!(heard.bytes, connections[0].sent);
    }
}

#[tokio::test]
async fn of_a_conversation_picked_up_midway_the_first_packet_shows_the_initiator() {
    for (ports, flags, expected) in [
        // The sender's port and the receiver's.
        ([80, 40_000], ACK, 40_000),
        ([40_000, 80], ACK, 40_000),
        ([8080, 443], ACK, 8080),
        ([40_000, 50_000], ACK, 50_000),
        ([50_000, 40_000], ACK, 50_000),
        ([80, 40_000], FIN | ACK, 40_000),
        // A handshake shows more than ports do.
        ([40_000, 80], SYN | ACK, 80),
        ([80, 40_000], SYN | ACK, 40_000),
        ([80, 40_000], SYN, 80),
    ] {
        let payload: &[u8] = if flags & SYN != 0 { b"" } else { b"data" };
        let packet = segment(0, ports, [7, 9], flags, payload);
        let mut conversations =
            source(vec![packet]).flow_stream(FiveTuple::bidirectional()).begin();
        let conversation = conversations.next().await.unwrap().unwrap();
        assert_eq!(conversation.initiator().port, expected, "{ports:?} {flags:#x}");
        let responder = if ports[0] == expected { ports[1] } else { ports[0] };
        assert_eq!(conversation.responder().port, responder, "{ports:?} {flags:#x}");
    }
    // Two equal ports, and datagrams: the sender.
    for side in [0, 1] {
        let addresses = ["10.0.0.1", "10.0.0.2"];
        let equal = segment(side, [4000, 4000], [7, 9], ACK, b"data");
        for packet in [equal, udp(side, 7, b"data")] {
            let mut conversations = source(vec![packet])
                .flow_stream(FiveTuple::bidirectional())
                .datagrams(true)
                .begin();
            let conversation = conversations.next().await.unwrap().unwrap();
            assert_eq!(conversation.initiator().address.to_string(), addresses[side]);
        }
    }
}

#[tokio::test]
async fn ends_are_told_as_they_were() {
    let mut reset = Connection::open(1);
    reset.send(0, b"question");
    reset.rst(1);
    let mut open = Connection::open(2);
    open.send(1, b"banner");
    let mut half_closed = Connection::open(3);
    half_closed.send(0, b"last words");
    half_closed.fin(0);
    half_closed.send(1, b"still here");
    let mut connections = [reset, open, half_closed, exchange(4, 10, 0)];
    let mut conversations =
        interleave(&mut connections).flow_stream(FiveTuple::bidirectional()).begin();
    let mut reasons = Vec::new();
    while let Some(conversation) = conversations.next().await {
        let mut conversation = conversation.unwrap();
        let heard = hear(&mut conversation).await;
        assert_eq!(heard.bytes, connections[usize::from(conversation.initiator().port - 1)].sent);
        reasons.push((conversation.initiator().port, heard.reason.unwrap()));
    }
    let ends = [EndReason::Rst, EndReason::CaptureEnded, EndReason::CaptureEnded, EndReason::Fin];
    assert_eq!(reasons, (1..).zip(ends).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_evicted_flow_says_so() {
    let mut connections: Vec<_> = (0..5).map(Connection::open).collect();
    let mut conversations = interleave(&mut connections)
        .flow_stream(FiveTuple::bidirectional())
        .table(|table| table.max_flows(2))
        .begin();
    let mut reasons = Vec::new();
    while let Some(conversation) = conversations.next().await {
        reasons.push(hear(&mut conversation.unwrap()).await.reason.unwrap());
    }
    assert!(
        reasons.iter().filter(|reason| **reason == EndReason::Evicted).count() >= 3,
        "{reasons:?}"
    );
    assert!(reasons.contains(&EndReason::CaptureEnded), "{reasons:?}");
}

#[tokio::test]
async fn an_idle_flow_of_a_wire_says_so() {
    let mut connection = Connection::open(9);
    connection.send(0, b"hello");
    let packets: Vec<_> = connection.packets.drain(..).collect();
    let mut source = source(packets);
    // An hour later somebody else speaks.
    let other = udp(0, 5, b"tick");
    source.push(Timestamp::from_nanos(5_000_000_000_000), &other);
    let mut conversations = Fake::live(source).flow_stream(FiveTuple::bidirectional()).begin();
    let heard = hear(&mut conversations.next().await.unwrap().unwrap()).await;
    assert_eq!(heard.reason, Some(EndReason::IdleTimeout));
    assert_eq!(heard.bytes[0], b"hello");
}

#[tokio::test]
async fn a_hole_in_the_capture_is_an_exact_gap() {
    let mut connection = Connection::open(1);
    connection.send(1, &pattern(1, 500));
    connection.lose(1, 700);
    connection.send(1, &pattern(2, 500));
    connection.fin(0);
    connection.fin(1);
    let mut connections = [connection];
    let mut conversations =
        interleave(&mut connections).flow_stream(FiveTuple::bidirectional()).begin();
    let heard = hear(&mut conversations.next().await.unwrap().unwrap()).await;
    assert_eq!(heard.bytes, connections[0].sent);
    let [(FlowSide::Responder, 500, 700, _)] = heard.gaps[..] else { panic!("{:?}", heard.gaps) };
    assert_eq!(heard.reason, Some(EndReason::Fin));
}

#[tokio::test]
async fn a_cancelled_read_loses_nothing() {
    let mut connections = [exchange(1, 20_000, 20_000)];
    let mut conversations =
        interleave(&mut connections).flow_stream(FiveTuple::bidirectional()).begin();
    let mut conversation = conversations.next().await.unwrap().unwrap();
    let mut bytes: [Vec<u8>; 2] = Default::default();
    loop {
        // Every other read is given up at once, ready or not.
        tokio::select! {
            biased;
            () = std::future::ready(()) => {}
            _ = std::future::pending::<()>() => {}
        }
        let read = tokio::time::timeout(Duration::from_micros(1), conversation.next_chunk()).await;
        match read {
            Ok(Some(Chunk::Initiator(data))) => bytes[0].extend_from_slice(&data),
            Ok(Some(Chunk::Responder(data))) => bytes[1].extend_from_slice(&data),
            Ok(None) => break,
            Ok(Some(_)) | Err(_) => {}
        }
    }
    assert_eq!(bytes, connections[0].sent);
}

#[tokio::test]
async fn dropping_the_stream_leaves_conversations_that_were_taken() {
    let mut connections: Vec<_> = (0..50).map(|i| exchange(i + 1, 10, 100_000)).collect();
    let mut conversations = interleave(&mut connections)
        .flow_stream(FiveTuple::bidirectional())
        .total_limit(100_000)
        .begin();
    let handle = conversations.handle();
    let mut first = conversations.next().await.unwrap().unwrap();
    drop(conversations);
    let heard = hear(&mut first).await;
    assert_eq!(heard.bytes, connections[0].sent);
    drop(first);
    assert_eq!(handle.statistics().queued_bytes, 0);
}

#[tokio::test]
async fn datagrams_are_conversations_when_asked_for() {
    let packets = vec![udp(0, 7, b"who?"), udp(1, 7, b"me"), udp(0, 7, b"again?")];
    let mut without = source(packets.clone()).flow_stream(FiveTuple::bidirectional()).begin();
    assert!(without.next().await.is_none());
    let mut with = source(packets).flow_stream(FiveTuple::bidirectional()).datagrams(true).begin();
    let mut conversation = with.next().await.unwrap().unwrap();
    assert_eq!(conversation.info().protocol, 17);
    let mut chunks = Vec::new();
    while let Some(chunk) = conversation.next_chunk().await {
        if let Chunk::Initiator(data) | Chunk::Responder(data) = chunk {
            chunks.push((data.packet_number(), data.to_vec()));
        }
    }
    assert_eq!(chunks, [(1, b"who?".to_vec()), (2, b"me".to_vec()), (3, b"again?".to_vec())]);
}

#[tokio::test]
async fn a_datagram_that_was_cut_short_has_a_gap_behind_it() {
    let mut memory = MemorySource::new(LinkType::ETHERNET);
    let packet = udp(0, 7, &pattern(1, 500));
    let mut meta = PacketMeta::new(1, Timestamp::from_nanos(1), LinkType::ETHERNET);
    meta.wire_len = packet.len() as u32;
    memory.push_with(meta, &packet[..200]);
    memory.push(Timestamp::from_nanos(2), &udp(0, 7, b"whole"));
    let mut conversations = memory.flow_stream(FiveTuple::bidirectional()).datagrams(true).begin();
    let handle = conversations.handle();
    let mut conversation = conversations.next().await.unwrap().unwrap();
    let heard = hear(&mut conversation).await;
    let captured = 200 - (packet.len() as u64 - 500);
    assert_eq!(heard.gaps, [(FlowSide::Initiator, captured, 500 - captured, GapCause::Truncated)]);
    assert_eq!(heard.bytes[0], [&pattern(1, 500)[..captured as usize], b"whole"].concat());
    let said = conversation.info().initiator;
    assert_eq!((said.bytes, said.gap_bytes), (captured + 5, 500 - captured));
    assert_eq!(handle.statistics().gaps.truncated.bytes, 500 - captured);
}

#[tokio::test]
async fn flows_are_told_by_their_beginnings_and_ends() {
    let mut connections = [exchange(1, 10, 10), exchange(2, 10, 10)];
    let events: Vec<_> = interleave(&mut connections)
        .flow_stream(FiveTuple::bidirectional())
        .events()
        .collect()
        .await;
    let (mut started, mut ended) = (0, 0);
    for event in events {
        match event.unwrap() {
            conversation::FlowEvent::Started { .. } => started += 1,
            conversation::FlowEvent::Ended { record, .. } => {
                assert_eq!(record.reason, EndReason::Fin);
                ended += 1;
            }
            _ => {}
        }
    }
    assert_eq!((started, ended), (2, 2));
}

#[tokio::test]
async fn two_versions_of_bytes_are_shown_both_and_a_half_reads_the_one_that_was_kept() {
    for halves in [false, true] {
        let mut connection = Connection::open(1);
        connection.send(0, b"first");
        connection.send(0, b"second");
        connection.send(0, b"third");
        connection.fin(0);
        connection.fin(1);
        // "third" comes in two versions while "second" is not there yet.
        let mut packets: Vec<_> = connection.packets.drain(..).collect();
        let mut forged = packets[7].clone();
        let len = forged.len();
        forged[len - 5..].copy_from_slice(b"THIRD");
        let (second, third) = (packets.remove(5), packets.remove(6));
        packets.splice(5..5, [third, forged, second]);
        let conversations = source(packets).flow_stream(FiveTuple::bidirectional()).begin();
        let handle = conversations.handle();
        let mut all: Vec<_> = conversations.collect().await;
        let mut conversation = all.pop().unwrap().unwrap();
        if halves {
            let mut bytes = String::new();
            conversation.split().0.read_to_string(&mut bytes).await.unwrap();
            assert_eq!(bytes, "firstsecondthird");
        } else {
            let mut conflicts = Vec::new();
            while let Some(chunk) = conversation.next_chunk().await {
                if let Chunk::Conflict { side, conflict, .. } = chunk {
                    conflicts.push((side, conflict.offset, conflict.packet_number));
                    assert_eq!(conflict.kept[..], b"third"[..]);
                    assert_eq!(conflict.discarded[..], b"THIRD"[..]);
                    let packets = (conflict.kept_packet_number, conflict.discarded_packet_number);
                    assert_eq!(packets, (6, 7));
                }
            }
            assert_eq!(conflicts, [(FlowSide::Initiator, 11, 7)]);
        }
        assert_eq!(handle.statistics().conflicts, 1);
    }
}

/// Packets of one side only, so that nothing of the other lies between, at these times in
/// microseconds.
fn one_way(times: &[u64]) -> MemorySource {
    let mut connection = Connection::open(1);
    for (round, _) in times.iter().enumerate() {
        connection.send(1, &pattern(round as u64, 8));
    }
    let mut source = MemorySource::new(LinkType::ETHERNET).batch_size(64);
    let said = connection.packets.iter().filter(|packet| packet.len() > 54);
    for (time, packet) in times.iter().zip(said) {
        source.push(Timestamp::from_nanos(1_000_000_000_000 + time * 1000), packet);
    }
    source
}

#[tokio::test]
async fn a_chunk_has_no_packets_that_lie_further_apart_than_was_asked_for() {
    // The last has a time stamp before that of the one before it.
    let times = [0, 400, 1000, 1001, 1900, 5000, 7_000_000, 7_000_100, 9_000_000, 8_000_000];
    let every = [8; 10];
    for retention in [Retention::Adaptive, Retention::Copy] {
        for (span, lens) in [
            (None, &[24, 16, 8, 16, 8, 8][..]),
            (Some(Duration::ZERO), &every),
            (Some(Duration::from_micros(500)), &[16, 16, 8, 8, 16, 8, 8]),
            (Some(Duration::from_secs(7)), &[56, 24]),
        ] {
            for live in [false, true] {
                let source = one_way(&times);
                let mut heard = Vec::new();
                let mut conversation = match live {
                    true => spanned(Fake::live(source), retention, span).await,
                    false => spanned(source, retention, span).await,
                };
                let mut bytes = 0;
                while let Some(chunk) = conversation.next_chunk().await {
                    if let Chunk::Initiator(data) | Chunk::Responder(data) = chunk {
                        let first = times[bytes / 8] * 1000 + 1_000_000_000_000;
                        bytes += data.len();
                        assert_eq!(data.timestamp().as_nanos(), first);
                        heard.push(data.len());
                    }
                }
                assert_eq!(heard, lens, "{retention:?}, {span:?}, live {live}");
            }
        }
    }
}

async fn spanned<S: PacketSource + Send + 'static>(
    source: S,
    retention: Retention,
    span: Option<Duration>,
) -> Conversation {
    let mut stream = source.flow_stream(FiveTuple::bidirectional()).retention(retention);
    if let Some(span) = span {
        stream = stream.chunk_span(span);
    }
    stream.begin().next().await.unwrap().unwrap()
}
