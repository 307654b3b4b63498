//! Conversations read by tasks of their own, over packets made by hand.
#![allow(missing_docs)]

use std::collections::HashMap;
use std::future::pending;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use conversation::{AsyncReassembler, Chunk, FlowStreamExt as _, GapCause, Handle};
use flow::{EndReason, FiveTuple, FiveTupleKey, FlowSide};
use source_testkit::{Connection, Fake, interleave, pattern};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

fn exchange(port: u16, response: usize) -> Connection {
    let mut connection = Connection::open(port);
    connection.send(0, &pattern(u64::from(port), 500));
    for part in pattern(u64::from(port) + 1, response).chunks(1000) {
        connection.send(1, part);
    }
    connection.fin(0);
    connection.fin(1);
    connection
}

/// Chunks by port and side.
type Heard = Arc<Mutex<HashMap<(u16, FlowSide), Vec<u8>>>>;

/// A reassembler that takes a while for each chunk.
struct Recorder {
    heard: Heard,
    port: u16,
    side: FlowSide,
    pause: Duration,
    watch: Watch,
}

/// State that all reassemblers share.
#[derive(Clone)]
struct Watch {
    handle: Handle,
    /// The most bytes that waited at any time.
    most: Arc<AtomicU64>,
    /// Reassemblers that have not been dropped.
    alive: Arc<AtomicUsize>,
}

impl Watch {
    fn new(handle: Handle) -> Self {
        Self { handle, most: Arc::default(), alive: Arc::default() }
    }
}

impl Recorder {
    fn new(heard: &Heard, port: u16, side: FlowSide, pause: Duration, watch: &Watch) -> Self {
        watch.alive.fetch_add(1, Relaxed);
        Self { heard: Arc::clone(heard), port, side, pause, watch: watch.clone() }
    }
}

impl AsyncReassembler<FiveTupleKey> for Recorder {
    async fn chunk(&mut self, chunk: Chunk) -> ControlFlow<()> {
        self.watch.most.fetch_max(self.watch.handle.statistics().queued_bytes, Relaxed);
        if !self.pause.is_zero() {
            tokio::time::sleep(self.pause).await;
        }
        match chunk {
            Chunk::Initiator(data) | Chunk::Responder(data) => {
                let mut heard = self.heard.lock().unwrap();
                heard.entry((self.port, self.side)).or_default().extend_from_slice(&data);
            }
            Chunk::Closed { reason, .. } => assert_eq!(reason, EndReason::Fin),
            Chunk::Finished { .. } => {}
            chunk => panic!("{chunk:?}"),
        }
        ControlFlow::Continue(())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.watch.alive.fetch_sub(1, Relaxed);
    }
}

fn assert_heard(heard: &Heard, connections: &[Connection]) {
    let heard = heard.lock().unwrap();
    for (connection, port) in connections.iter().zip(1..) {
        assert_eq!(heard[&(port, FlowSide::Initiator)], connection.sent[0]);
        assert_eq!(heard[&(port, FlowSide::Responder)], connection.sent[1]);
    }
}

#[tokio::test]
async fn a_file_waits_for_slow_reassemblers_and_holds_little() {
    let mut connections: Vec<_> = (1..=6).map(|port| exchange(port, 200_000)).collect();
    let conversations = interleave(&mut connections)
        .flow_stream(FiveTuple::bidirectional())
        .conversation_limit(10_000)
        .total_limit(30_000)
        .into_conversations();
    let (heard, watch) = (Heard::default(), Watch::new(conversations.handle()));
    conversations
        .reassemble(|conversation, side| {
            let port = conversation.initiator().port;
            // Some are never slow, so there is always one that waits for the engine.
            let pause = Duration::from_millis(u64::from(port % 2));
            Some(Recorder::new(&heard, port, side, pause, &watch))
        })
        .await
        .unwrap();
    assert_heard(&heard, &connections);
    let statistics = watch.handle.statistics();
    assert_eq!((statistics.queued_bytes, statistics.dropped_bytes), (0, 0));
    assert_eq!(watch.alive.load(Relaxed), 0);
    // The limits and a batch, out of more than a million.
    let most = watch.most.load(Relaxed);
    assert!((5_000..100_000).contains(&most), "{most}");
}

#[tokio::test]
async fn a_wire_does_not_wait_for_a_reassembler_that_never_returns() {
    let mut connections: Vec<_> = (1..=6).map(|port| exchange(port, 100_000)).collect();
    let conversations = Fake::live(interleave(&mut connections))
        .flow_stream(FiveTuple::bidirectional())
        .conversation_limit(1 << 20)
        .into_conversations();
    let handle = conversations.handle();
    let ended = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&ended);
    let all = conversations.reassemble(move |conversation, _| {
        let stuck = conversation.initiator().port == 3;
        let ended = Arc::clone(&counter);
        Some(move |chunk: Chunk| {
            if matches!(chunk, Chunk::Closed { .. }) {
                ended.fetch_add(1, Relaxed);
            }
            async move {
                if stuck {
                    pending::<()>().await;
                }
                ControlFlow::Continue(())
            }
        })
    });
    let done = async {
        while ended.load(Relaxed) < 10 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        _ = all => panic!("one of them never returns"),
        () = done => {}
    }
    // The one that is stuck held what came for it; dropping the future has let go of it.
    settle(|| handle.statistics().queued_bytes == 0).await;
    assert_eq!(handle.statistics().dropped_bytes, 0);
}

#[tokio::test]
async fn what_finds_no_room_on_a_wire_is_an_exact_gap_for_its_reassembler() {
    let mut connections = [exchange(1, 200_000)];
    let conversations = Fake::live(interleave(&mut connections))
        .flow_stream(FiveTuple::bidirectional())
        .conversation_limit(20_000)
        .into_conversations();
    let handle = conversations.handle();
    // The engine is done before the first chunk is taken.
    settle(|| handle.statistics().source.packets > 400).await;
    let (sender, mut receiver) = mpsc::channel(1);
    let mut sender = Some(sender);
    let channels =
        conversations.into_channels(|_, side| sender.take_if(|_| side == FlowSide::Responder));
    let reader = async {
        let (mut bytes, mut missing) = (0, 0);
        while let Some(chunk) = receiver.recv().await {
            match chunk {
                Chunk::Responder(data) => bytes += data.len() as u64,
                Chunk::Gap { len, cause, .. } => {
                    assert_eq!(cause, GapCause::SlowReader);
                    missing += len;
                }
                Chunk::Closed { .. } | Chunk::Finished { .. } => {}
                chunk => panic!("{chunk:?}"),
            }
        }
        (bytes, missing)
    };
    let (result, (bytes, missing)) = tokio::join!(channels, reader);
    result.unwrap();
    assert_eq!(bytes + missing, 200_000);
    assert!(missing > 150_000, "{missing}");
}

#[tokio::test]
async fn channels_bring_every_byte_to_whoever_holds_their_ends() {
    let mut connections: Vec<_> = (1..=5).map(|port| exchange(port, 30_000)).collect();
    let conversations = interleave(&mut connections)
        .flow_stream(FiveTuple::bidirectional())
        .conversation_limit(2_000)
        .into_conversations();
    let heard = Heard::default();
    let mut readers = JoinSet::new();
    conversations
        .into_channels(|conversation, side| {
            let (sender, mut receiver) = mpsc::channel(2);
            let (port, heard) = (conversation.initiator().port, Arc::clone(&heard));
            readers.spawn(async move {
                while let Some(chunk) = receiver.recv().await {
                    tokio::task::yield_now().await;
                    if let Chunk::Initiator(data) | Chunk::Responder(data) = chunk {
                        let mut heard = heard.lock().unwrap();
                        heard.entry((port, side)).or_default().extend_from_slice(&data);
                    }
                }
            });
            Some(sender)
        })
        .await
        .unwrap();
    while let Some(reader) = readers.join_next().await {
        reader.unwrap();
    }
    assert_heard(&heard, &connections);
}

#[tokio::test]
async fn a_channel_whose_end_is_gone_holds_up_nobody() {
    let mut connections: Vec<_> = (1..=3).map(|port| exchange(port, 50_000)).collect();
    let conversations = interleave(&mut connections)
        .flow_stream(FiveTuple::bidirectional())
        .conversation_limit(5_000)
        .into_conversations();
    let handle = conversations.handle();
    conversations.into_channels(|_, _| Some(mpsc::channel(1).0)).await.unwrap();
    assert_eq!(handle.statistics().conversations, 3);
    assert_eq!(handle.statistics().queued_bytes, 0);
}

#[tokio::test]
async fn dropping_the_future_lets_go_of_everything() {
    let mut connections: Vec<_> = (1..=10).map(|port| exchange(port, 50_000)).collect();
    let conversations = interleave(&mut connections)
        .flow_stream(FiveTuple::bidirectional())
        .conversation_limit(5_000)
        .into_conversations();
    let (heard, watch) = (Heard::default(), Watch::new(conversations.handle()));
    let (recorders, to) = (watch.clone(), Arc::clone(&heard));
    let all = conversations.reassemble(move |conversation, side| {
        let port = conversation.initiator().port;
        Some(Recorder::new(&to, port, side, Duration::from_millis(1), &recorders))
    });
    let some = async {
        while heard.lock().unwrap().len() < 5 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(watch.alive.load(Relaxed) > 0);
    };
    tokio::select! {
        _ = all => panic!("much is left to be read"),
        () = some => {}
    }
    settle(|| watch.alive.load(Relaxed) == 0 && watch.handle.statistics().queued_bytes == 0).await;
}

#[tokio::test]
async fn a_panic_of_a_reassembler_is_not_swallowed() {
    let conversations =
        interleave(&mut [exchange(1, 100)]).flow_conversations(FiveTuple::bidirectional());
    let all = conversations.reassemble(|_, _| {
        Some(|_: Chunk| async {
            if true {
                panic!("a bug of the program");
            }
            ControlFlow::Continue(())
        })
    });
    let error = tokio::spawn(all).await.unwrap_err();
    assert_eq!(*error.into_panic().downcast::<&str>().unwrap(), "a bug of the program");
}

/// Waits until something that other threads do has come to pass.
async fn settle(done: impl Fn() -> bool) {
    for _ in 0..5000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("not within five seconds");
}
