//! Readers that always find something, and the other tasks of their runtime.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use conversation::FlowStreamExt as _;
use flow::FiveTuple;
use futures::StreamExt as _;
use ring_core::MemorySource;
use source_testkit::{Connection, interleave};
use tokio::io::AsyncReadExt as _;

use super::exchange;
use crate::Begin as _;

/// Counts how often another task runs while this one reads what is there already.
async fn turns_of_another(read: impl Future) -> usize {
    let turns = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&turns);
    let other = tokio::spawn(async move {
        loop {
            counter.fetch_add(1, Relaxed);
            tokio::task::yield_now().await;
        }
    });
    read.await;
    other.abort();
    turns.load(Relaxed)
}

fn file(connections: usize) -> MemorySource {
    let mut connections: Vec<_> = (1..=connections as u16).map(|i| exchange(i, 10, 10)).collect();
    interleave(&mut connections)
}

/// One conversation of many chunks.
fn long() -> MemorySource {
    let mut connection = Connection::open(1);
    for _ in 0..3000 {
        connection.send(0, b"ping");
        connection.send(1, b"pong");
    }
    interleave(&mut [connection])
}

#[tokio::test]
async fn a_reader_that_always_finds_something_gives_way_to_other_tasks() {
    let key = FiveTuple::bidirectional;
    let chunks = |file: MemorySource| file.flow_stream(key()).chunk_span(Duration::ZERO);

    let mut conversations = chunks(long()).begin();
    let mut conversation = conversations.next().await.unwrap().unwrap();
    conversations.handle().finished().await;
    let turns = turns_of_another(async { while conversation.next_chunk().await.is_some() {} });
    assert!(turns.await > 20, "chunks of a conversation");

    let mut conversations = chunks(long()).begin();
    let mut conversation = conversations.next().await.unwrap().unwrap();
    conversations.handle().finished().await;
    let turns = turns_of_another(async { while conversation.next().await.is_some() {} });
    assert!(turns.await > 20, "a conversation as a stream");

    let mut conversations = chunks(long()).begin();
    let (mut first, mut second) = conversations.next().await.unwrap().unwrap().split();
    conversations.handle().finished().await;
    let turns = turns_of_another(async { while first.next_chunk().await.is_some() {} });
    assert!(turns.await > 10, "chunks of a half");
    let mut buffer = [0; 4];
    let turns = turns_of_another(async { while second.read(&mut buffer).await.unwrap() > 0 {} });
    assert!(turns.await > 10, "bytes of a half");

    let mut conversations = file(3000).flow_stream(key()).begin();
    conversations.handle().finished().await;
    let turns = turns_of_another(async { while conversations.next().await.is_some() {} });
    assert!(turns.await > 10, "conversations");

    let mut events = chunks(long()).begin_chunks();
    events.handle().finished().await;
    let turns = turns_of_another(async { while events.next().await.is_some() {} });
    assert!(turns.await > 20, "chunks of all conversations");

    let mut events = file(3000).flow_stream(key()).events();
    events.next().await.unwrap().unwrap();
    events.handle().finished().await;
    let turns = turns_of_another(async { while events.next().await.is_some() {} });
    assert!(turns.await > 20, "events");

    let broadcast = file(3000).flow_stream(key()).broadcast(10_000);
    let mut events = broadcast.subscribe();
    events.next().await.unwrap().unwrap();
    broadcast.handle().finished().await;
    let turns = turns_of_another(async { while events.next().await.is_some() {} });
    assert!(turns.await > 20, "events of a subscription");
}
