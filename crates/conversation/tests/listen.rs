//! Conversations heard in place.
#![allow(missing_docs)]

#[path = "behaviour/support.rs"]
mod support;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use conversation::{Excess, FlowGroupExt, FlowStreamExt as _, Piece};
use flow::{EndReason, FiveTuple, FiveTupleKey, Flow, FlowSide};
use ring_core::MemorySource;
use support::{Connection, interleave, pattern, source, udp};

/// What a conversation said, by the port of its client.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    bytes: [Vec<u8>; 2],
    gaps: Vec<(FlowSide, u64, u64)>,
    finished: Vec<FlowSide>,
    reason: Option<EndReason>,
}

type All = Arc<Mutex<HashMap<u16, Heard>>>;

/// Listeners that keep everything.
fn keep(
    all: &All,
) -> impl FnMut(&Flow<'_, FiveTupleKey>) -> Option<Keeper> + Clone + Send + 'static {
    let all = Arc::clone(all);
    move |flow| {
        let ports = [flow.key.a.port, flow.key.b.port];
        let port = ports.into_iter().find(|port| ![53, 80].contains(port))?;
        Some(Keeper { port, heard: Heard::default(), all: Arc::clone(&all) })
    }
}

struct Keeper {
    port: u16,
    heard: Heard,
    all: All,
}

impl conversation::Listener<FiveTupleKey> for Keeper {
    fn hear(&mut self, piece: Piece<'_>) -> ControlFlow<()> {
        let Heard { bytes, gaps, finished, reason } = &mut self.heard;
        assert_eq!(*reason, None, "nothing follows the end");
        match piece {
            Piece::Initiator(data) => {
                let gap: u64 = gaps.iter().map(|gap| gap.2).sum();
                assert_eq!(data.offset(), bytes[0].len() as u64 + gap);
                bytes[0].extend_from_slice(&data);
            }
            Piece::Responder(data) => bytes[1].extend_from_slice(&data),
            Piece::Gap { side, offset, len, .. } => gaps.push((side, offset, len)),
            Piece::Finished { side, .. } => finished.push(side),
            Piece::Closed { reason: why, record, .. } => {
                assert_eq!(record.reason, why);
                *reason = Some(why);
                let heard = std::mem::take(&mut self.heard);
                self.all.lock().unwrap().insert(self.port, heard);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// A request and a response, both sides closed.
fn exchange(port: u16) -> Connection {
    exchange_of(port, [3000, 20_000])
}

fn exchange_of(port: u16, lengths: [usize; 2]) -> Connection {
    let mut connection = Connection::open(port);
    for (side, len) in lengths.into_iter().enumerate() {
        for part in pattern(u64::from(port), len).chunks(1000) {
            connection.send(side, part);
        }
    }
    connection.fin(0);
    connection.fin(1);
    connection
}

fn sent(connection: &Connection) -> Heard {
    Heard {
        bytes: connection.sent.clone(),
        gaps: Vec::new(),
        finished: vec![FlowSide::Initiator, FlowSide::Responder],
        reason: Some(EndReason::Fin),
    }
}

#[test]
fn every_byte_is_heard_once_and_the_true_end() {
    let mut connections: Vec<_> = (1000..1050).map(exchange).collect();
    let all = All::default();
    let listening =
        interleave(&mut connections).flow_stream(FiveTuple::bidirectional()).listen(keep(&all));
    let handle = listening.handle();
    listening.run().unwrap();
    let all = all.lock().unwrap();
    assert_eq!(all.len(), 50);
    for (connection, port) in connections.iter().zip(1000..) {
        assert_eq!(all[&port], sent(connection));
    }
    let statistics = handle.statistics();
    assert_eq!((statistics.conversations, statistics.bytes), (50, 50 * 23_000));
}

#[test]
fn several_sources_are_heard_on_threads_of_their_own() {
    let mut connections: Vec<_> = (1000..1040).map(exchange).collect();
    let sources: Vec<_> = connections.chunks_mut(10).map(interleave).collect();
    let all = All::default();
    let listening =
        FlowGroupExt::flow_stream(sources, FiveTuple::bidirectional()).listen(keep(&all));
    listening.run().unwrap();
    let all = all.lock().unwrap();
    for (connection, port) in connections.iter().zip(1000..) {
        assert_eq!(all[&port], sent(connection));
    }
}

#[test]
fn gaps_datagrams_and_open_ends() {
    let mut lossy = Connection::open(1000);
    lossy.send(0, b"before");
    lossy.lose(0, 100);
    for _ in 0..300 {
        lossy.send(0, b"after");
    }
    let mut packets: Vec<_> = lossy.packets.drain(..).collect();
    packets.push(udp(0, 2000, b"question"));
    packets.push(udp(1, 2000, b"answer"));
    let all = All::default();
    let flows = source(packets).flow_stream(FiveTuple::bidirectional()).datagrams(true);
    flows.listen(keep(&all)).run().unwrap();
    let all = all.lock().unwrap();
    assert_eq!(all[&1000].gaps, [(FlowSide::Initiator, 6, 100)]);
    assert_eq!(all[&1000].bytes[0], lossy.sent[0]);
    assert_eq!(all[&1000].reason, Some(EndReason::CaptureEnded));
    assert_eq!(all[&2000].bytes, [b"question".to_vec(), b"answer".to_vec()]);
}

#[test]
fn who_breaks_off_hears_no_more_and_who_wants_nothing_hears_nothing() {
    let mut connections: Vec<_> = (1000..1010).map(exchange).collect();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let pieces = Arc::clone(&heard);
    let listening = interleave(&mut connections).flow_stream(FiveTuple::bidirectional()).listen(
        move |flow: &Flow<'_, FiveTupleKey>| {
            let port = flow.key.a.port.max(flow.key.b.port);
            let pieces = Arc::clone(&pieces);
            port.is_multiple_of(2).then_some(move |_: Piece<'_>| {
                pieces.lock().unwrap().push(port);
                ControlFlow::Break(())
            })
        },
    );
    listening.run().unwrap();
    let mut heard = heard.lock().unwrap().clone();
    heard.sort_unstable();
    assert_eq!(heard, [1000, 1002, 1004, 1006, 1008]);
}

#[test]
fn limits_of_conversations_hold_for_listeners_too() {
    for (excess, told) in [(Excess::Refuse, 5), (Excess::EvictIdlest, 20)] {
        let mut connections: Vec<_> = (1..21).map(|port| exchange_of(port, [100, 1000])).collect();
        let all = All::default();
        let listening = interleave(&mut connections)
            .flow_stream(FiveTuple::bidirectional())
            .max_conversations(5, excess)
            .listen(keep(&all));
        let handle = listening.handle();
        listening.run().unwrap();
        let (all, statistics) = (all.lock().unwrap(), handle.statistics());
        assert_eq!(all.len(), told);
        let evicted = all.values().filter(|heard| heard.reason == Some(EndReason::Evicted)).count();
        // What goes on of an evicted flow is another.
        assert!(statistics.evicted >= evicted as u64);
        assert_eq!(statistics.refused, if told == 5 { 15 } else { 0 });
        assert_eq!(evicted > 0, told == 20);
    }
}

#[test]
fn a_listeners_panic_is_that_of_who_runs_it_or_an_error() {
    let panicking = |_: &Flow<'_, FiveTupleKey>| {
        Some(|_: Piece<'_>| -> ControlFlow<()> { panic!("a listener's own") })
    };
    let single = || interleave(&mut [exchange(1000)]);
    let run = || single().flow_stream(FiveTuple::bidirectional()).listen(panicking).run();
    assert!(std::panic::catch_unwind(run).is_err());
    // The first source has nothing, and its thread waits for the other.
    let sources = vec![MemorySource::new(ring_core::LinkType::ETHERNET), single()];
    let flows = FlowGroupExt::flow_stream(sources, FiveTuple::bidirectional());
    let result = flows.listen(panicking).run();
    assert!(matches!(result, Err(conversation::Error::EnginePanicked)), "{result:?}");
}
