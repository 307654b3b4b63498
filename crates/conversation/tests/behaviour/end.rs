//! The end of conversations and streams.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use conversation::{Chunk, Error, FlowStreamExt as _};
use flow::{EndReason, FiveTuple};
use futures::StreamExt as _;
use source_testkit::{Connection, Fake, Fed, interleave};

use super::stopping::Stopping;
use super::{exchange, hear};
use crate::Begin as _;

#[tokio::test]
async fn an_end_can_be_waited_for_and_the_wait_be_given_up() {
    let (feed, source) = Fed::new();
    let mut conversations = source.flow_stream(FiveTuple::bidirectional()).begin();
    let handle = conversations.handle();
    let mut connection = Connection::open(1);
    connection.send(0, b"hello");
    feed.all(&mut connection);
    let mut conversation = conversations.next().await.unwrap().unwrap();
    for _ in 0..100 {
        // Polled once, or never, and let go.
        assert!(futures::poll!(pin!(handle.finished())).is_pending());
        drop(handle.finished());
    }
    let other = handle.clone();
    let waiting = tokio::spawn(async move { other.finished().await });
    let mut cancelled = pin!(handle.finished());
    tokio::select! {
        biased;
        () = &mut cancelled => panic!("it goes on"),
        chunk = conversation.next_chunk() => {
            let Some(Chunk::Initiator(data)) = chunk else { panic!("{chunk:?}") };
            assert_eq!(data[..], *b"hello");
        }
    }
    assert!(!handle.is_finished() && !waiting.is_finished());

    handle.shutdown();
    cancelled.await;
    waiting.await.unwrap();
    assert!(handle.is_finished());
    assert!(feed.is_dropped(), "the source is still open");
    let statistics = handle.statistics();
    assert_eq!((statistics.flows, statistics.bytes), (0, 5));
    assert_eq!((statistics.table.flows_started, statistics.table.ended_capture), (1, 1));
    // Nobody needs to wait, for a queue or for anything else.
    assert!(futures::poll!(pin!(handle.finished())).is_ready());
    let closed = futures::poll!(pin!(conversation.next_chunk()));
    assert!(
        matches!(
            closed,
            std::task::Poll::Ready(Some(Chunk::Closed { reason: EndReason::CaptureEnded, .. }))
        ),
        "{closed:?}"
    );
    assert!(futures::poll!(conversations.next()).is_ready());
}

#[tokio::test]
async fn a_file_ends_when_it_was_read_and_an_error_is_an_end() {
    let mut connections = [exchange(1, 10, 300_000), exchange(2, 10, 300_000)];
    let source = Fake::file(interleave(&mut connections)).failing(true);
    let mut conversations =
        source.flow_stream(FiveTuple::bidirectional()).conversation_limit(10_000).begin();
    let handle = conversations.handle();
    // Nobody has read: the file waits.
    let early = tokio::time::timeout(Duration::from_millis(50), handle.finished()).await;
    assert!(early.is_err() && !handle.is_finished());
    let reading = async {
        let mut errors = 0;
        while let Some(conversation) = conversations.next().await {
            match conversation {
                Ok(mut conversation) => drop(hear(&mut conversation).await),
                Err(_) => errors += 1,
            }
        }
        errors
    };
    let (errors, ()) = futures::join!(reading, handle.finished());
    assert_eq!(errors, 1);
    assert_eq!(handle.statistics().table.ended_fin, 2);
}

#[tokio::test]
async fn what_nobody_wants_ends() {
    let (feed, source) = Fed::new();
    let conversations = source.flow_stream(FiveTuple::bidirectional()).begin();
    let handle = conversations.handle();
    drop(conversations);
    handle.finished().await;
    assert!(feed.is_dropped());
}

/// A file with one exchange that is slow to close, and whether it has been closed.
fn closing(panics: bool) -> (Arc<AtomicBool>, Fake) {
    let closed = Arc::new(AtomicBool::new(false));
    let source = interleave(&mut [exchange(1, 10, 10)]);
    let is_closed = Arc::clone(&closed);
    let close = move || {
        thread::sleep(Duration::from_millis(30));
        is_closed.store(true, Ordering::SeqCst);
        assert!(!panics, "the disk is full");
    };
    (closed, Fake::file(source).on_close(close))
}

#[tokio::test]
async fn a_stream_ends_when_its_source_is_closed() {
    // A program returns from `main` then, and its threads are gone.
    let (closed, source) = closing(false);
    let conversations = source.flow_stream(FiveTuple::bidirectional()).begin();
    assert_eq!(conversations.count().await, 1);
    assert!(closed.load(Ordering::SeqCst), "conversations");

    let (closed, source) = closing(false);
    let chunks = source.flow_stream(FiveTuple::bidirectional()).begin_chunks();
    assert!(chunks.count().await > 2);
    assert!(closed.load(Ordering::SeqCst), "chunks");

    let (closed, source) = closing(false);
    let events = source.flow_stream(FiveTuple::bidirectional()).events();
    assert_eq!(events.count().await, 2);
    assert!(closed.load(Ordering::SeqCst), "events");

    let (closed, source) = closing(false);
    let events = source.flow_stream(FiveTuple::bidirectional()).broadcast(10);
    assert_eq!(events.subscribe().count().await, 2);
    assert!(closed.load(Ordering::SeqCst), "subscribers");
}

#[tokio::test]
async fn a_source_that_panics_when_it_is_closed_is_an_error_of_the_stream() {
    let (closed, source) = closing(true);
    let mut conversations = source.flow_stream(FiveTuple::bidirectional()).begin();
    let handle = conversations.handle();
    let mut conversation = conversations.next().await.unwrap().unwrap();
    assert_eq!(hear(&mut conversation).await.reason, Some(EndReason::Fin));
    let error = conversations.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::EnginePanicked), "{error:?}");
    assert!(conversations.next().await.is_none());
    handle.finished().await;
    assert!(closed.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_stream_that_is_drained_stops_and_leaves_conversations_that_were_taken() {
    let (feed, source) = Fed::new();
    let mut conversations = source.flow_stream(FiveTuple::bidirectional()).begin();
    let mut connections: Vec<_> = (1..=3).map(Connection::open).collect();
    for connection in &mut connections {
        connection.send(0, b"hello");
        feed.all(connection);
    }
    let mut taken = conversations.next().await.unwrap().unwrap();
    let statistics = conversations.drain().await.unwrap();
    assert!(feed.is_dropped(), "the source is still open");
    assert_eq!((statistics.conversations, statistics.flows, statistics.bytes), (3, 0, 15));
    let heard = hear(&mut taken).await;
    assert_eq!((&heard.bytes[0][..], heard.reason), (&b"hello"[..], Some(EndReason::CaptureEnded)));

    // A file that waits for its readers does not have to be read first.
    let mut connections = [exchange(1, 10, 300_000), exchange(2, 10, 300_000)];
    let conversations = interleave(&mut connections)
        .flow_stream(FiveTuple::bidirectional())
        .conversation_limit(10_000)
        .begin();
    conversations.drain().await.unwrap();
    let chunks = interleave(&mut [exchange(1, 10, 300_000)])
        .flow_stream(FiveTuple::bidirectional())
        .total_limit(10_000)
        .begin_chunks();
    chunks.drain().await.unwrap();

    // What ended it comes out of it.
    let source = Fake::file(interleave(&mut [exchange(1, 10, 10)])).failing(true);
    let conversations = source.flow_stream(FiveTuple::bidirectional()).begin();
    let handle = conversations.handle();
    while !handle.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(matches!(conversations.drain().await, Err(Error::Source(_))));
}

#[tokio::test]
async fn a_file_that_is_stopped_is_read_no_further() {
    let mut connections: Vec<_> = (1..=500).map(|port| exchange(port, 1000, 100_000)).collect();
    let packets: u64 = connections.iter().map(|connection| connection.packets.len() as u64).sum();
    let conversations = interleave(&mut connections)
        .flow_stream(FiveTuple::bidirectional())
        .conversation_limit(10_000)
        .begin();
    let handle = conversations.handle();
    // Nobody reads, so it waits somewhere at the beginning.
    while handle.statistics().packets == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let before = handle.statistics().packets;
    assert!(before < packets / 2, "{before} of {packets}");
    let mut all: Vec<_> = {
        handle.shutdown();
        conversations.collect().await
    };
    // Only the batch that it was about to take.
    let after = handle.statistics().packets;
    assert!(after <= before + 16, "{before}, then {after} of {packets}");
    for conversation in &mut all {
        let heard = hear(conversation.as_mut().unwrap()).await;
        assert_eq!(heard.reason, Some(EndReason::CaptureEnded));
    }
}

#[tokio::test]
async fn what_a_pipe_holds_when_it_is_stopped_is_taken() {
    let mut connection = Connection::open(1);
    connection.send(0, b"hello");
    let packets: Vec<_> = connection.packets.drain(..).collect();
    let expected = packets.len() as u64;
    let (source, handle) = Stopping::new(packets);
    let conversations = source.flow_stream(FiveTuple::bidirectional()).begin();
    let own = conversations.handle();
    handle.set(own.clone()).expect("once");
    let all: Vec<_> = conversations.collect().await;
    assert_eq!((all.len(), own.statistics().packets), (1, expected));
}
