//! When all is over.

use std::pin::pin;
use std::time::Duration;

use conversation::{Chunk, FlowStreamExt as _};
use flow::{EndReason, FiveTuple};
use futures::StreamExt as _;

use super::support::{Connection, Failing, Fed, interleave};
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
    let source = Failing { source: interleave(&mut connections), fails: true };
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
