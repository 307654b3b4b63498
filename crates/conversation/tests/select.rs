//! Conversations chosen by conditions, over packets made by hand.
#![allow(missing_docs)]

use conversation::select::{Condition, OnUndecided, Selection};
use conversation::{Chunk, ChunkEvent, FlowEvent, FlowStreamExt as _, Statistics};
use flow::{FiveTuple, FiveTupleKey};
use futures::StreamExt as _;
use source_testkit::{Connection, interleave, pattern};

fn condition(text: &str) -> Condition {
    text.parse().unwrap()
}

/// Three connections from the ports 1 to 3: the second says a word, the third is reset.
fn connections() -> Vec<Connection> {
    let mut connections: Vec<_> = (1..=3).map(Connection::open).collect();
    for (connection, seed) in connections.iter_mut().zip(1..) {
        connection.send(0, &pattern(seed, 700));
        connection.send(1, &pattern(seed + 10, 1500));
    }
    connections[1].send(0, b"...the pass");
    connections[1].send(0, b"word is ...");
    connections[1].send(1, b"thanks");
    connections[2].rst(0);
    for connection in &mut connections[..2] {
        connection.fin(0);
        connection.fin(1);
    }
    connections
}

/// A conversation as it was delivered: the client's port, the bytes of both sides, the names of
/// conditions, and the mark.
type Delivered = (u16, [Vec<u8>; 2], Vec<String>, bool);

/// The conversations of a selection, each read to its end.
async fn delivered(selection: Selection) -> (Vec<Delivered>, Statistics) {
    let source = interleave(&mut connections());
    let mut conversations =
        source.flow_stream(FiveTuple::bidirectional()).select(selection).into_conversations();
    let handle = conversations.handle();
    let mut all = Vec::new();
    while let Some(conversation) = conversations.next().await {
        let mut conversation = conversation.unwrap();
        let port = conversation.initiator().port;
        let mut bytes = [Vec::new(), Vec::new()];
        let mut is_closed = false;
        while let Some(chunk) = conversation.next_chunk().await {
            match chunk {
                Chunk::Initiator(data) => bytes[0].extend_from_slice(&data),
                Chunk::Responder(data) => bytes[1].extend_from_slice(&data),
                Chunk::Closed { .. } => is_closed = true,
                _ => {}
            }
        }
        assert!(is_closed);
        let selected = conversation.selected().expect("there is a selection");
        let names = selected.names().map(str::to_owned).collect();
        all.push((port, bytes, names, selected.is_undecided()));
    }
    handle.finished().await;
    all.sort();
    (all, handle.statistics())
}

#[tokio::test]
async fn what_came_before_the_decision_is_delivered_with_the_rest() {
    let (all, statistics) = delivered(condition("payload contains \"password\"").into()).await;
    let expected = connections()[1].sent.clone();
    let name = "payload contains \"password\"".to_owned();
    assert_eq!(all, [(2, expected, vec![name], false)]);
    assert_eq!((statistics.conversations, statistics.unselected), (1, 2));
    assert_eq!((statistics.held_bytes, statistics.undecided_accepted), (0, 0));
}

#[tokio::test]
async fn the_end_decides_about_a_whole_conversation() {
    let (all, statistics) = delivered(condition("end == rst and bytes == 2200").into()).await;
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].0, &all[0].1), (3, &connections()[2].sent));
    assert_eq!(statistics.unselected, 2);
}

#[tokio::test]
async fn a_conversation_has_the_names_of_all_conditions_that_it_meets() {
    let selection = Selection::new()
        .add("second", condition("port == 2"))
        .add("word", condition("payload contains \"password\""))
        .add("small", condition("bytes < 2210"))
        .add("nothing", condition("port == 9"));
    let (all, _) = delivered(selection).await;
    let names: Vec<_> = all.iter().map(|(port, _, names, _)| (*port, names.join(" "))).collect();
    let expected = [(1, "small"), (2, "second word"), (3, "small")];
    assert_eq!(names, expected.map(|(port, names)| (port, names.to_owned())));
    assert_eq!((&all[1].1, &all[2].1), (&connections()[1].sent, &connections()[2].sent));
}

#[tokio::test]
async fn an_empty_selection_delivers_nothing() {
    let (all, statistics) = delivered(Selection::new()).await;
    assert_eq!((all, statistics.unselected), (Vec::new(), 3));
    assert_eq!(statistics.bytes, 0, "nothing was passed on");
}

#[tokio::test]
async fn beyond_a_limit_conversations_are_accepted_with_a_mark_or_dropped() {
    let undecided = || Selection::from(condition("payload contains \"password\""));
    for limited in [undecided().conversation_limit(1500), undecided().total_limit(1500)] {
        let (all, statistics) = delivered(limited.clone()).await;
        let marked = all.iter().filter(|(.., marked)| *marked).count();
        assert_eq!((all.len(), marked, statistics.undecided_accepted), (3, 3, 3));
        let expected: Vec<_> = connections().into_iter().map(|one| one.sent).collect();
        assert!(all.iter().zip(&expected).all(|((_, bytes, ..), sent)| bytes == sent));

        let (all, statistics) = delivered(limited.on_undecided(OnUndecided::Drop)).await;
        assert_eq!((all.len(), statistics.undecided_dropped), (0, 3));
        assert_eq!((statistics.unselected, statistics.held_bytes), (0, 0));
    }
}

#[tokio::test]
async fn all_streams_select_the_same() {
    for (text, ports) in [
        ("payload contains \"password\"", &[2_u16][..]),
        ("not port == 2", &[1, 3]),
        ("bytes > 2k and end != rst", &[1, 2]),
        ("retransmitted == 0 and rtt < 1s", &[1, 2, 3]),
        ("udp", &[]),
    ] {
        let stream = || {
            let source = interleave(&mut connections());
            source.flow_stream(FiveTuple::bidirectional()).select(condition(text))
        };
        let port = |key: &FiveTupleKey| key.a.port.min(key.b.port);
        let (mut chunks, mut merged) = (stream().into_chunk_stream(), Vec::new());
        let mut bytes = 0;
        while let Some(event) = chunks.next().await {
            match event.unwrap() {
                ChunkEvent::Started { key, selected, .. } => {
                    assert_eq!(selected.unwrap().names().count(), 1);
                    merged.push(port(&key));
                }
                ChunkEvent::Chunk { chunk: Chunk::Initiator(d) | Chunk::Responder(d), .. } => {
                    bytes += d.len() as u64;
                }
                _ => {}
            }
        }
        assert_eq!(bytes, chunks.handle().statistics().bytes, "{text}");
        let (mut events, mut ended) = (stream().events(), Vec::new());
        let mut started = Vec::new();
        while let Some(event) = events.next().await {
            match event.unwrap() {
                FlowEvent::Started { key, .. } => started.push(port(&key)),
                FlowEvent::Ended { record, .. } => ended.push(port(&record.key)),
                _ => {}
            }
        }
        assert_eq!(bytes, events.handle().statistics().bytes, "{text}");
        for found in [&mut merged, &mut started, &mut ended] {
            found.sort_unstable();
            assert_eq!(found, ports, "{text}");
        }
    }
}

#[test]
fn the_filters_of_several_conditions_pass_what_one_of_them_passes() {
    let selection = Selection::new().add("a", condition("tcp.port == 1"));
    let both = selection.clone().add("b", condition("tcp.port == 2"));
    assert!(selection.packet_filter().is_some() && both.packet_filter().is_some());
    let all = both.add("c", condition("bytes > 1"));
    assert_eq!(all.packet_filter(), None);
    assert_eq!(Selection::new().packet_filter(), None);
}
