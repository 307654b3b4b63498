//! Streams of flow events, over packets made by hand.
#![allow(missing_docs)]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use conversation::{FlowEvent, FlowGroupExt as _, FlowStreamExt as _, GapCause};
use flow::{EndReason, FiveTuple, FiveTupleKey, FlowSide};
use futures::StreamExt as _;
use source_testkit::{Connection, Fake, Fed, interleave, pattern, udp};

fn exchange(port: u16) -> Connection {
    let mut connection = Connection::open(port);
    connection.send(0, &pattern(1, 300));
    connection.send(1, &pattern(2, 900));
    connection.fin(0);
    connection.fin(1);
    connection
}

#[tokio::test]
async fn details_tell_what_lies_between_a_beginning_and_an_end() {
    let mut connection = Connection::open(1);
    connection.send(0, &pattern(1, 300));
    connection.send(1, &pattern(2, 500));
    connection.lose(1, 700);
    connection.send(1, &pattern(3, 40));
    connection.fin(0);
    connection.fin(1);
    connection.packets.push_back(udp(1, 9, b"datagram"));
    let mut events = interleave(&mut [connection])
        .flow_stream(FiveTuple::bidirectional())
        .details(true)
        .events();
    let (mut tcp, mut bytes, mut gaps, mut finished, mut datagrams) = (None, 0, 0, 0, 0);
    while let Some(event) = events.next().await {
        match event.unwrap() {
            FlowEvent::Started { id, key, protocol: 6, .. } => {
                assert_eq!((key.a.port, key.b.port), (1, 80));
                tcp = Some(id);
            }
            FlowEvent::Data { id, len, .. } => {
                assert_eq!(Some(id), tcp, "a flow starts before all else");
                bytes += len;
            }
            FlowEvent::Gap { side, gap, .. } => {
                assert_eq!((side, gap.offset), (FlowSide::Responder, 500));
                assert_eq!(gap.cause, GapCause::Acknowledged);
                gaps += gap.len;
            }
            FlowEvent::Finished { .. } => finished += 1,
            FlowEvent::Datagram { len, .. } => datagrams += len,
            FlowEvent::Ended { id, record, .. } if Some(id) == tcp => {
                assert_eq!(record.reason, EndReason::Fin);
                assert_eq!(
                    (record.initiator.delivered_bytes, record.responder.gap_bytes),
                    (300, 700)
                );
            }
            _ => {}
        }
    }
    assert_eq!((bytes, gaps, finished, datagrams), (840, 700, 2, 8));
    let statistics = events.handle().statistics();
    assert_eq!((statistics.gaps.acknowledged.count, statistics.gaps.acknowledged.bytes), (1, 700));
    assert_eq!(statistics.queued_bytes, 0);
}

#[tokio::test]
async fn records_come_while_a_flow_goes_on() {
    // A packet each millisecond.
    let mut connection = Connection::open(1);
    (0..50).for_each(|_| connection.send(0, b"x"));
    connection.fin(0);
    connection.fin(1);
    let mut events = interleave(&mut [connection])
        .flow_stream(FiveTuple::bidirectional())
        .table(|table| table.active_timeout(Some(Duration::from_millis(20))))
        .events();
    let (mut going_on, mut last) = (0, 0);
    while let Some(event) = events.next().await {
        match event.unwrap() {
            FlowEvent::Record { record, .. } => {
                assert_eq!(record.reason, EndReason::ActiveTimeout);
                assert!(record.initiator.packets >= last, "records add up from the beginning");
                last = record.initiator.packets;
                going_on += 1;
            }
            FlowEvent::Ended { record, .. } => {
                assert_eq!(record.reason, EndReason::Fin);
                assert!(record.initiator.packets > last);
            }
            _ => {}
        }
    }
    assert!((3..=6).contains(&going_on), "{going_on}");
}

/// Bytes that a flow said, and a count of the flows that have a state.
struct State(u64, Arc<AtomicUsize>);

impl State {
    fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self(0, Arc::clone(alive))
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn each_flow_has_its_own_state_until_its_end() {
    let mut connections: Vec<_> = (1..=40).map(exchange).collect();
    let alive = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&alive);
    let mut flows = interleave(&mut connections)
        .flow_stream(FiveTuple::bidirectional())
        .details(true)
        .events()
        .with_state(move |_: &FiveTupleKey| State::new(&counter));
    let mut ended = 0;
    while let Some(event) = flows.next_event().await {
        match event.unwrap() {
            (FlowEvent::Data { len, .. }, Some(state)) => state.0 += len,
            (FlowEvent::Ended { record, .. }, Some(state)) => {
                assert_eq!(state.0, 1200);
                assert_eq!(
                    state.0,
                    record.initiator.delivered_bytes + record.responder.delivered_bytes
                );
                ended += 1;
            }
            (_, state) => assert!(state.is_some()),
        }
    }
    assert_eq!((ended, flows.len(), alive.load(Ordering::Relaxed)), (40, 0, 0));
    assert!(flows.next_event().await.is_none(), "an ended stream stays so");
}

#[tokio::test]
async fn a_state_stream_is_a_stream_as_well() {
    let mut flows = interleave(&mut [exchange(1)])
        .flow_stream(FiveTuple::bidirectional())
        .events()
        .with_state(|key| key.a.port);
    let mut ports = Vec::new();
    while let Some(event) = flows.next().await {
        let id = event.unwrap().id().unwrap();
        ports.push(*flows.state_mut(id).unwrap());
    }
    assert_eq!(ports, [1, 1]);
}

#[tokio::test]
async fn a_cancelled_wait_for_an_event_takes_none() {
    let mut connections: Vec<_> = (1..=40).map(exchange).collect();
    let mut flows = Fake::file(interleave(&mut connections))
        .delayed(Duration::from_millis(2))
        .flow_stream(FiveTuple::bidirectional())
        .events()
        .with_state(|_| ());
    let (mut given_up, mut events) = (0, 0);
    loop {
        match tokio::time::timeout(Duration::from_micros(1), flows.next_event()).await {
            Ok(Some(event)) => {
                event.unwrap();
                events += 1;
            }
            Ok(None) => break,
            Err(_) => given_up += 1,
        }
    }
    assert_eq!(events, 80);
    assert!(given_up > 0);
}

#[tokio::test]
async fn a_wire_tells_flows_as_a_whole_or_says_how_many_events_are_missing() {
    let mut connections: Vec<_> = (1..=100).map(exchange).collect();
    let mut events = Fake::live(interleave(&mut connections))
        .flow_stream(FiveTuple::bidirectional())
        .details(true)
        .capacity(20)
        .events();
    let first = events.next().await.unwrap().unwrap();
    // The engine goes on, though nobody reads.
    while events.handle().statistics().source.packets < 100 * 9 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (mut open, mut told, mut missed) = (HashMap::new(), 1, 0);
    let FlowEvent::Started { id, .. } = first else { panic!("{first:?}") };
    open.insert(id, ());
    while let Some(event) = events.next().await {
        told += 1;
        match event.unwrap() {
            FlowEvent::Started { id, .. } => assert!(open.insert(id, ()).is_none()),
            FlowEvent::Ended { id, .. } => assert!(open.remove(&id).is_some()),
            FlowEvent::Lagged { count, .. } => {
                missed += count;
                told -= 1;
            }
            event => assert!(open.contains_key(&event.id().unwrap())),
        }
    }
    assert!(open.is_empty(), "every flow that began has ended");
    assert!((21..60).contains(&told), "{told}");
    let statistics = events.handle().statistics();
    assert!(missed > 0);
    assert_eq!(statistics.missed_events, missed);
}

#[tokio::test]
async fn flows_of_several_sources_have_numbers_of_their_own() {
    let sources: Vec<_> = [1..=20, 21..=40]
        .into_iter()
        .map(|ports| interleave(&mut ports.map(exchange).collect::<Vec<_>>()))
        .collect();
    let mut flows =
        sources.flow_stream(FiveTuple::bidirectional()).details(true).events().with_state(|_| 0);
    let mut ended = [0; 2];
    while let Some(event) = flows.next_event().await {
        match event.unwrap() {
            (FlowEvent::Data { len, .. }, Some(bytes)) => *bytes += len,
            (FlowEvent::Ended { id, record, .. }, Some(bytes)) => {
                assert_eq!(*bytes, 1200);
                assert_eq!(id.source(), usize::from(record.key.a.port > 20));
                ended[id.source()] += 1;
            }
            (_, state) => assert!(state.is_some()),
        }
    }
    assert_eq!((ended, flows.len()), ([20, 20], 0));
    let handle = flows.handle();
    assert_eq!(handle.statistics().conversations, 40);
    assert!(handle.member_statistics().iter().all(|member| member.conversations == 20));
}

#[tokio::test]
async fn a_flow_that_is_not_admitted_is_not_told_of() {
    let mut connections: Vec<_> = (1..=10).map(exchange).collect();
    let mut events = interleave(&mut connections)
        .flow_stream(FiveTuple::bidirectional())
        .admit(|flow, _| flow.key.a.port > 7)
        .events();
    let mut ports = Vec::new();
    while let Some(event) = events.next().await {
        if let FlowEvent::Started { key, .. } = event.unwrap() {
            ports.push(key.a.port);
        }
    }
    assert_eq!(ports, [8, 9, 10]);
    assert!(events.handle().statistics().rejected >= 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_waits_for_the_slowest_of_its_subscribers() {
    let mut connections: Vec<_> = (1..=50).map(exchange).collect();
    let events = interleave(&mut connections).flow_stream(FiveTuple::bidirectional()).broadcast(4);
    let subscriptions: Vec<_> = (0..3).map(|pause| (pause, events.subscribe())).collect();
    let tasks: Vec<_> = subscriptions
        .into_iter()
        .map(|(pause, mut events)| {
            tokio::spawn(async move {
                let mut count = 0;
                while let Some(event) = events.next().await {
                    assert!(!matches!(event.unwrap(), FlowEvent::Lagged { .. }));
                    count += 1;
                    // A batch of sixteen packets holds at most as many events, beside the four.
                    assert!(events.waiting() <= 4 + 16, "{}", events.waiting());
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                count
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 100);
    }
}

#[tokio::test]
async fn a_slow_subscriber_of_a_wire_learns_how_many_events_it_missed_and_the_others_none() {
    let (feed, source) = Fed::new();
    let events = source.flow_stream(FiveTuple::bidirectional()).broadcast(10);
    let (mut fast, mut slow) = (events.subscribe(), events.subscribe());
    let mut heard = 0;
    for port in 1..=30 {
        feed.all(&mut exchange(port));
        for _ in 0..2 {
            assert!(!matches!(fast.next().await.unwrap().unwrap(), FlowEvent::Lagged { .. }));
            heard += 1;
        }
    }
    // One who comes late begins with what comes next.
    let mut late = events.subscribe();
    feed.all(&mut exchange(31));
    drop(feed);
    assert_eq!((heard, fast.collect::<Vec<_>>().await.len()), (60, 2));
    let Some(Ok(FlowEvent::Lagged { count, .. })) = slow.next().await else { panic!("missed") };
    assert_eq!((count, slow.waiting()), (52, 10));
    assert_eq!(slow.by_ref().count().await, 10);
    assert!(slow.next().await.is_none(), "an ended stream stays so");
    let Some(Ok(FlowEvent::Started { key, .. })) = late.next().await else { panic!("a start") };
    assert_eq!((key.a.port, late.count().await), (31, 1));
    assert_eq!(events.handle().statistics().missed_events, 52);
}

#[tokio::test]
async fn who_was_told_of_a_beginning_is_told_of_the_end_though_it_was_overtaken() {
    let (feed, source) = Fed::new();
    let events = source.flow_stream(FiveTuple::bidirectional()).details(true).broadcast(10);
    let (mut fast, mut slow) = (events.subscribe(), events.subscribe());
    let mut pending: Vec<_> = (1..=40).map(exchange).collect();
    // The first ten begin, and the slow one receives them.
    for connection in &mut pending[..10] {
        feed.packet(connection.packets.pop_front().unwrap());
    }
    let mut open = HashMap::new();
    for _ in 0..10 {
        let Some(Ok(FlowEvent::Started { id, .. })) = slow.next().await else { panic!() };
        open.insert(id, ());
        // Ten events are all that there is room for.
        let Some(Ok(FlowEvent::Started { .. })) = fast.next().await else { panic!() };
    }
    // All go on and end, and others with them. The slow one receives some in the middle.
    let (mut missed, mut ended) = (0, 0);
    let mut step = |event: FlowEvent| match event {
        FlowEvent::Started { id, .. } => assert!(open.insert(id, ()).is_none(), "{id:?}"),
        FlowEvent::Ended { id, .. } => {
            assert!(open.remove(&id).is_some(), "{id:?} ended and was not told of");
            ended += 1;
        }
        FlowEvent::Lagged { count, .. } => missed += count,
        event => assert!(open.contains_key(&event.id().unwrap()), "{event:?}"),
    };
    for round in 0..4 {
        for connection in &mut pending[10 * round..10 * round + 10] {
            feed.all(connection);
            loop {
                match fast.next().await.unwrap().unwrap() {
                    FlowEvent::Ended { .. } => break,
                    FlowEvent::Lagged { .. } => panic!("the quick one misses nothing"),
                    _ => {}
                }
            }
        }
        for _ in 0..5 {
            step(slow.next().await.unwrap().unwrap());
        }
    }
    drop(feed);
    while let Some(event) = slow.next().await {
        step(event.unwrap());
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(missed > 20 && ended >= 10, "{missed}, {ended}");
    // What one hears late of is nothing that it missed.
    assert_eq!(events.handle().statistics().missed_events, missed);
    assert_eq!(slow.waiting(), 0);
    assert_eq!(events.handle().statistics().waiting, 0);
}

#[tokio::test]
async fn an_engine_without_subscribers_stops() {
    let (feed, source) = Fed::new();
    let events = source.flow_stream(FiveTuple::bidirectional()).broadcast(10);
    let mut subscription = events.subscribe();
    feed.all(&mut exchange(1));
    subscription.next().await.unwrap().unwrap();
    drop((events, subscription));
    let mut tries = 0;
    while !feed.is_dropped() {
        tries += 1;
        assert!(tries < 5000, "the engine lives on");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn anomalies_are_reported_without_an_event_a_segment() {
    let mut connection = Connection::open(1);
    connection.send(0, b"first");
    connection.send(0, b"second");
    connection.send(0, b"third");
    connection.fin(0);
    connection.fin(1);
    let mut packets: Vec<_> = connection.packets.drain(..).collect();
    let mut forged = packets[7].clone();
    let len = forged.len();
    forged[len - 5..].copy_from_slice(b"THIRD");
    let (second, third) = (packets.remove(5), packets.remove(6));
    packets.splice(5..5, [third, forged, second]);
    let stream = || source_testkit::source(packets.clone()).flow_stream(FiveTuple::bidirectional());
    for (anomalies, expected) in [(false, ""), (true, "conflict at 11 by packet 7")] {
        let mut events = stream().anomalies(anomalies).events();
        let mut between = String::new();
        while let Some(event) = events.next().await {
            match event.unwrap() {
                FlowEvent::Started { .. } | FlowEvent::Ended { .. } => {}
                FlowEvent::Conflict { offset, packet_number, .. } => {
                    between += &format!("conflict at {offset} by packet {packet_number}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(between, expected);
        assert_eq!(events.handle().statistics().conflicts, 1);
    }
}

#[tokio::test]
async fn flows_that_are_no_conversations_are_counted() {
    let mut connection = exchange(1);
    for port in [7, 8, 7, 9] {
        connection.packets.push_back(udp(1, port, b"datagram"));
    }
    for (datagrams, expected) in [(false, (1, 3)), (true, (4, 0))] {
        let packets = connection.packets.iter().cloned().collect();
        let stream = source_testkit::source(packets).flow_stream(FiveTuple::bidirectional());
        let conversations = stream.datagrams(datagrams).into_conversations();
        let handle = conversations.handle();
        let _: Vec<_> = conversations.collect().await;
        let statistics = handle.statistics();
        assert_eq!((statistics.conversations, statistics.datagram_flows), expected);
    }
}
