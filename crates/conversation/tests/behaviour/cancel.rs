//! Reads that are given up before they are ready.

use std::future::Future;
use std::pin::pin;

use conversation::{Chunk, FlowStreamExt as _};
use flow::{EndReason, FiveTuple};
use futures::StreamExt as _;
use source_testkit::{Connection, Fed, pattern};
use tokio::io::AsyncReadExt as _;

use crate::Begin as _;

/// Polls once, finds nothing, and lets go.
async fn give_up(read: impl Future) {
    assert!(futures::poll!(pin!(read)).is_pending());
}

#[tokio::test]
async fn a_conversation_loses_nothing() {
    let (feed, source) = Fed::new();
    let mut conversations = source.flow_stream(FiveTuple::bidirectional()).begin();
    let handle = conversations.handle();
    let mut connection = Connection::open(1);
    give_up(conversations.next()).await;
    feed.all(&mut connection);
    let mut conversation = conversations.next().await.unwrap().unwrap();
    for round in 0..50 {
        let side = (round % 2) as usize;
        let bytes = pattern(round, 1 + 37 * round as usize);
        for _ in 0..3 {
            give_up(conversation.next_chunk()).await;
            give_up(conversation.next()).await;
        }
        give_up(conversations.next()).await;
        connection.send(side, &bytes);
        feed.all(&mut connection);
        match conversation.next_chunk().await.unwrap() {
            Chunk::Initiator(data) if side == 0 => assert_eq!(data[..], bytes),
            Chunk::Responder(data) if side == 1 => assert_eq!(data[..], bytes),
            chunk => panic!("{chunk:?}"),
        }
    }
    drop(feed);
    let Some(Chunk::Closed { reason, .. }) = conversation.next_chunk().await else {
        panic!("no end")
    };
    assert_eq!(reason, EndReason::CaptureEnded);
    assert!(conversation.next_chunk().await.is_none());
    assert!(conversations.next().await.is_none());
    assert_eq!(handle.statistics().queued_bytes, 0);
}

#[tokio::test]
async fn halves_lose_nothing() {
    let (feed, source) = Fed::new();
    let mut conversations = source.flow_stream(FiveTuple::bidirectional()).begin();
    let mut connection = Connection::open(1);
    feed.all(&mut connection);
    let (mut initiator, mut responder) = conversations.next().await.unwrap().unwrap().split();
    let mut heard: [Vec<u8>; 2] = Default::default();
    for round in 0..50_u64 {
        let mut buffer = [0; 100];
        give_up(initiator.next_chunk()).await;
        give_up(initiator.next()).await;
        give_up(initiator.read(&mut buffer)).await;
        give_up(responder.read(&mut buffer)).await;
        assert_eq!(buffer, [0; 100]);
        connection.send(0, &pattern(round, 250));
        connection.send(1, &pattern(round, 250));
        feed.all(&mut connection);
        // One read takes a part; what it left over is not lost to a read that is given up.
        let count = initiator.read(&mut buffer).await.unwrap();
        heard[0].extend_from_slice(&buffer[..count]);
        while heard[0].len() < 250 * (round as usize + 1) {
            let Some(Chunk::Initiator(data)) = initiator.next_chunk().await else { panic!() };
            heard[0].extend_from_slice(&data);
        }
        while heard[1].len() < 250 * (round as usize + 1) {
            let count = responder.read(&mut buffer).await.unwrap();
            heard[1].extend_from_slice(&buffer[..count]);
        }
    }
    assert_eq!(heard, connection.sent);
    drop(feed);
    assert_eq!(initiator.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(matches!(responder.next_chunk().await, Some(Chunk::Closed { .. })));
}

#[tokio::test]
async fn a_reader_that_gave_up_holds_up_no_file() {
    // Were it still counted as waiting, the file would be read to its end into the queues.
    let mut connections: Vec<_> = (1..=2).map(|i| super::exchange(i, 10, 300_000)).collect();
    let mut conversations = source_testkit::interleave(&mut connections)
        .flow_stream(FiveTuple::bidirectional())
        .conversation_limit(10_000)
        .begin();
    let handle = conversations.handle();
    let mut first = conversations.next().await.unwrap().unwrap();
    let mut read = 0;
    while read < 100_000 {
        let next = tokio::time::timeout(std::time::Duration::ZERO, first.next_chunk()).await;
        if let Ok(Some(Chunk::Responder(data))) = next {
            read += data.len();
        }
        tokio::time::sleep(std::time::Duration::from_micros(100)).await;
    }
    // The other, whose packets lie between those that were read, has about as much waiting; half a
    // million are left.
    let queued = handle.statistics().queued_bytes;
    assert!(queued < 200_000, "{queued} bytes wait");
}
