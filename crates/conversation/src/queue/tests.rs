//! The queue against what was pushed: every byte once, in order, or in a gap of the right place and
//! length.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use bytes::Bytes;
use flow::{Gap, GapCause, Timestamp, UnplacedCause};
use proptest::prelude::*;

use super::*;
use crate::api::chunk::{ChunkData, Conflict};

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn data(offset: u64, len: usize) -> Item {
    let bytes: Vec<u8> = (0..len as u64).map(|i| (offset + i) as u8).collect();
    Item::Data(ChunkData::new(Bytes::from(bytes), offset, Timestamp::from_nanos(0), 1))
}

fn queue() -> (Queue<()>, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    (Queue::new(Arc::clone(&gate)), gate)
}

fn entries(items: Vec<(FlowSide, Item)>) -> Entries {
    items.into_iter().map(|(side, item)| Entry { side, item }).collect()
}

fn push(queue: &Queue<()>, items: Vec<(FlowSide, Item)>, room: Room) -> Pushed {
    let mut wake = Vec::new();
    let pushed = queue.push(&mut entries(items), &room, &mut wake);
    wake.into_iter().for_each(Waker::wake);
    pushed
}

const ROOMY: Room = Room { limit: usize::MAX, total: usize::MAX, beyond: Beyond::Drop };

/// Missing bytes of a side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Missing {
    all: u64,
    /// Those that were captured.
    dropped: u64,
}

/// The length of a side's stream as a reader got it, after checking that nothing is missing or
/// doubled.
fn read(queue: &Queue<()>, position: &mut [u64; 2], gaps: &mut [Missing; 2]) {
    let cx = Context::from_waker(Waker::noop());
    let mut taken = Taken::default();
    while let Poll::Ready(Some(Ok(chunk))) = queue.poll_both(&mut taken, &cx) {
        let (side, offset, len) = match &chunk {
            Chunk::Initiator(data) => (0, data.offset(), data.len() as u64),
            Chunk::Responder(data) => (1, data.offset(), data.len() as u64),
            Chunk::Gap { side, offset, len, dropped, cause, .. } => {
                assert!(*dropped == 0 || *cause == GapCause::SlowReader, "{chunk:?}");
                gaps[index(*side)].all += len;
                gaps[index(*side)].dropped += dropped;
                (index(*side), *offset, *len)
            }
            _ => continue,
        };
        assert_eq!(offset, position[side], "{chunk:?}");
        if let Chunk::Initiator(data) | Chunk::Responder(data) = &chunk {
            assert!(data.iter().enumerate().all(|(i, byte)| *byte == (offset + i as u64) as u8));
        }
        position[side] += len;
    }
}

proptest! {
    #[test]
    fn a_slow_reader_gets_every_byte_or_an_exact_gap(
        steps in prop::collection::vec((any::<bool>(), 0usize..3000, prop::option::weighted(0.2, 0u64..5000), any::<bool>()), 1..200),
        limit in 500usize..10_000,
    ) {
        let (queue, gate) = queue();
        let room = Room { limit, total: usize::MAX, beyond: Beyond::Drop };
        let (mut pushed, mut position, mut gaps) = ([0u64; 2], [0u64; 2], [Missing::default(); 2]);
        for (responder, len, gap, drain) in steps {
            let side = if responder { FlowSide::Responder } else { FlowSide::Initiator };
            let at = &mut pushed[index(side)];
            let mut items = vec![(side, data(*at, len))];
            *at += len as u64;
            if let Some(gap) = gap {
                let gap = Gap::new(*at, gap, GapCause::Acknowledged);
                items.push((side, Item::Gap(gap)));
                *at += gap.len;
            }
            push(&queue, items, room);
            // Each lane holds at most its limit, one growing gap, and one end.
            prop_assert!(gate.queued() <= 2 * (limit + 2 * ENTRY_COST), "{} queued", gate.queued());
            if drain {
                read(&queue, &mut position, &mut gaps);
                prop_assert_eq!(gate.queued(), 0);
                prop_assert_eq!(position, pushed);
            }
        }
        read(&queue, &mut position, &mut gaps);
        prop_assert_eq!(position, pushed);
        let totals = [FlowSide::Initiator, FlowSide::Responder].map(|side| queue.totals(side));
        let missing = |totals: SideTotals| Missing {
            all: totals.gap_bytes,
            dropped: totals.dropped_bytes,
        };
        prop_assert_eq!(gaps, totals.map(missing));
        prop_assert_eq!(pushed, totals.map(|totals| totals.bytes + totals.gap_bytes));
    }
}

#[test]
fn bytes_without_a_place_count_as_queued_and_are_counted_where_there_is_no_room() {
    let (queue, gate) = queue();
    let room = Room { limit: 1000, total: usize::MAX, beyond: Beyond::Drop };
    let time = Timestamp::from_nanos(7);
    let unplaced = |number: u64| {
        let (bytes, cause) = (Bytes::from(vec![1; 300]), UnplacedCause::OutOfWindow);
        let unplaced =
            Unplaced { bytes, sequence: 9, cause, timestamp: time, packet_number: number };
        (FlowSide::Responder, Item::Unplaced(Box::new(unplaced)))
    };
    let conflict = |offset| {
        let (kept, discarded) = (Bytes::from_static(b"kept"), Bytes::from_static(b"gone"));
        let conflict = Conflict {
            offset,
            kept,
            discarded,
            kept_packet_number: 2,
            discarded_packet_number: 3,
            timestamp: time,
            packet_number: 3,
        };
        (FlowSide::Responder, Item::Conflict(Box::new(conflict)))
    };
    let mut dropped = push(&queue, vec![conflict(5)], room).dropped;
    for number in 0..1000 {
        dropped += push(&queue, vec![unplaced(number), conflict(number)], room).dropped;
    }
    assert!(gate.queued() <= 1000);
    let cx = Context::from_waker(Waker::noop());
    let (mut taken, mut bytes, mut conflicts) = (Taken::default(), 0, 0);
    while let Poll::Ready(Some(Ok(chunk))) = queue.poll_both(&mut taken, &cx) {
        match chunk {
            Chunk::Unplaced { side, data, sequence, cause, timestamp, packet_number } => {
                assert_eq!((side, sequence), (FlowSide::Responder, 9));
                assert_eq!((cause, timestamp), (UnplacedCause::OutOfWindow, time));
                assert_eq!(packet_number, bytes / 300);
                bytes += data.len() as u64;
            }
            Chunk::Conflict { conflict, .. } => {
                assert_eq!(
                    (&conflict.kept[..], &conflict.discarded[..]),
                    (&b"kept"[..], &b"gone"[..])
                );
                conflicts += 1;
            }
            chunk => panic!("{chunk:?}"),
        }
    }
    let totals = queue.totals(FlowSide::Responder);
    assert!(bytes > 0 && conflicts > 0);
    assert_eq!(bytes, totals.unplaced_bytes);
    assert_eq!(dropped, 1000 * 300 + 1001 * 8 - bytes - 8 * conflicts);
    assert_eq!((totals.bytes, totals.gap_bytes, gate.queued()), (0, 0, 0));
}

#[test]
fn a_full_queue_that_may_wait_refuses_nothing_and_says_that_it_is_crowded() {
    let (queue, _) = queue();
    let room = Room { limit: 1000, total: usize::MAX, beyond: Beyond::Accept };
    let pushed = push(&queue, vec![(FlowSide::Initiator, data(0, 5000))], room);
    assert!(pushed.crowded && pushed.dropped == 0);
    assert!(queue.is_over(1000));
    let mut position = [0; 2];
    read(&queue, &mut position, &mut Default::default());
    assert_eq!(position, [5000, 0]);
    assert!(!queue.is_over(1000));
}

#[test]
fn both_sides_come_in_the_order_in_which_they_were_pushed() {
    let (queue, _) = queue();
    let (a, b) = (FlowSide::Initiator, FlowSide::Responder);
    push(&queue, vec![(a, data(0, 1)), (b, data(0, 2)), (a, data(1, 3)), (b, data(2, 4))], ROOMY);
    let cx = Context::from_waker(Waker::noop());
    let (mut lengths, mut taken) = (Vec::new(), Taken::default());
    while let Poll::Ready(Some(Ok(Chunk::Initiator(data) | Chunk::Responder(data)))) =
        queue.poll_both(&mut taken, &cx)
    {
        lengths.push(data.len());
    }
    assert_eq!(lengths, [1, 2, 3, 4]);
}

#[test]
fn a_waiting_reader_is_woken_once_a_push_and_counts_as_parked_until_then() {
    let (queue, gate) = queue();
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    let cx = Context::from_waker(&waker);
    assert!(queue.poll_both(&mut Taken::default(), &cx).is_pending());
    assert!(queue.poll_both(&mut Taken::default(), &cx).is_pending());
    assert!(gate.has_parked());
    push(&queue, vec![(FlowSide::Responder, data(0, 1)), (FlowSide::Responder, data(1, 1))], ROOMY);
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    assert!(!gate.has_parked());
}

#[test]
fn abandoned_sides_hold_nothing_and_the_engine_is_told() {
    let (queue, gate) = queue();
    let (a, b) = (FlowSide::Initiator, FlowSide::Responder);
    assert!(!push(&queue, vec![(a, data(0, 100)), (b, data(0, 100))], ROOMY).abandoned);
    queue.abandon(a);
    assert_eq!(gate.queued(), 100 + ENTRY_COST);
    assert!(!push(&queue, vec![(a, data(100, 100))], ROOMY).abandoned);
    assert_eq!(gate.queued(), 100 + ENTRY_COST);
    queue.abandon(b);
    assert_eq!(gate.queued(), 0);
    assert!(push(&queue, vec![(b, data(100, 100))], ROOMY).abandoned);
    assert_eq!(gate.queued(), 0);
}

#[test]
fn a_cancelled_wait_leaves_nobody_parked() {
    let (queue, gate) = queue();
    let cx = Context::from_waker(Waker::noop());
    assert!(queue.poll_side(FlowSide::Responder, &cx).is_pending());
    assert!(gate.has_parked());
    queue.cancel_wait(FlowSide::Responder);
    assert!(!gate.has_parked());
}

#[test]
fn a_failed_engine_is_an_error_once_and_then_the_end() {
    let (queue, _) = queue();
    let cx = Context::from_waker(Waker::noop());
    push(&queue, vec![(FlowSide::Initiator, data(0, 1))], ROOMY);
    queue.fail(&mut Vec::new());
    assert!(matches!(
        queue.poll_both(&mut Taken::default(), &cx),
        Poll::Ready(Some(Ok(Chunk::Initiator(_))))
    ));
    assert!(matches!(
        queue.poll_both(&mut Taken::default(), &cx),
        Poll::Ready(Some(Err(Error::EnginePanicked)))
    ));
    assert!(matches!(queue.poll_both(&mut Taken::default(), &cx), Poll::Ready(None)));
}

#[test]
fn what_a_reader_has_taken_counts_as_queued() {
    let (queue, gate) = queue();
    let (a, b) = (FlowSide::Initiator, FlowSide::Responder);
    let each = 100 + ENTRY_COST;
    let room = Room { limit: 2 * each, total: usize::MAX, beyond: Beyond::Drop };
    push(&queue, vec![(a, data(0, 100)), (b, data(0, 100)), (a, data(100, 100))], room);
    let cx = Context::from_waker(Waker::noop());
    let mut taken = Taken::new(16 << 10);
    for left in [2, 1] {
        assert!(matches!(queue.poll_both(&mut taken, &cx), Poll::Ready(Some(Ok(_)))));
        assert_eq!((taken.entries.len(), gate.queued()), (left, 3 * each));
    }
    // The side that is full takes no more, the other as much as is missing.
    let more = vec![(a, data(200, 100)), (b, data(100, 100)), (b, data(200, 100))];
    assert_eq!(push(&queue, more, room).dropped, 200);
    assert!(matches!(queue.poll_both(&mut taken, &cx), Poll::Ready(Some(Ok(_)))));
    // The gaps cost something, too.
    assert_eq!(gate.queued(), each + 2 * ENTRY_COST);
    queue.abandon_both();
    assert_eq!(gate.queued(), 0);
}

#[test]
fn what_was_handed_out_of_much_makes_room_before_all_of_it_was() {
    let (queue, gate) = queue();
    let (a, b) = (FlowSide::Initiator, FlowSide::Responder);
    let each = 5000 + ENTRY_COST;
    let items = (0..8).map(|i| (if i < 6 { a } else { b }, data(i % 6 * 5000, 5000)));
    push(&queue, items.collect(), ROOMY);
    let cx = Context::from_waker(Waker::noop());
    let mut taken = Taken::new(16 << 10);
    let queued = [8, 8, 8, 4, 4, 4, 4, 0].map(|left| left * each);
    for queued in queued {
        assert!(matches!(queue.poll_both(&mut taken, &cx), Poll::Ready(Some(Ok(_)))));
        assert_eq!(gate.queued(), queued);
    }
    assert!(!queue.is_over(0));
}

#[test]
fn what_comes_behind_an_overrun_was_not_handed_on() {
    let (queue, gate) = queue();
    let (a, b) = (FlowSide::Initiator, FlowSide::Responder);
    let room = Room { limit: 100 + ENTRY_COST, total: usize::MAX, beyond: Beyond::Close };
    let items = vec![(a, data(0, 100)), (a, data(100, 50)), (b, data(0, 7)), (a, data(150, 1))];
    let pushed = push(&queue, items, room);
    assert_eq!((pushed.overrun, pushed.dropped), (true, 58));
    let totals = [a, b].map(|side| queue.totals(side));
    assert_eq!(totals.map(|totals| totals.bytes), [100, 0]);
    assert_eq!(totals.map(|totals| totals.dropped_bytes), [51, 7]);
    assert_eq!(gate.queued(), 100 + ENTRY_COST);
}

#[test]
fn a_reader_that_is_split_gives_back_what_it_has_taken() {
    let (queue, gate) = queue();
    let (a, b) = (FlowSide::Initiator, FlowSide::Responder);
    let first = vec![(a, data(0, 1)), (b, data(0, 2)), (a, data(1, 3)), (b, data(2, 4))];
    push(&queue, first, ROOMY);
    let cx = Context::from_waker(Waker::noop());
    let mut taken = Taken::default();
    let chunk = queue.poll_both(&mut taken, &cx);
    assert!(matches!(chunk, Poll::Ready(Some(Ok(Chunk::Initiator(data)))) if data.offset() == 0));
    push(&queue, vec![(a, data(4, 5)), (b, data(6, 6))], ROOMY);
    queue.split(taken);
    push(&queue, vec![(b, data(12, 7)), (a, data(9, 1))], ROOMY);
    let read = |side| {
        let mut places = Vec::new();
        while let Poll::Ready(Some(Ok(Chunk::Initiator(data) | Chunk::Responder(data)))) =
            queue.poll_side(side, &cx)
        {
            places.push((data.offset(), data.len()));
        }
        places
    };
    assert_eq!(read(b), [(0, 2), (2, 4), (6, 6), (12, 7)]);
    assert_eq!(read(a), [(1, 3), (4, 5), (9, 1)]);
    assert_eq!(gate.queued(), 0);
}

#[test]
fn an_item_that_has_to_wait_comes_behind_what_was_taken_before() {
    let (queue, _) = queue();
    let (a, b) = (FlowSide::Initiator, FlowSide::Responder);
    let cx = Context::from_waker(Waker::noop());
    let mut taken = Taken::default();
    let next = |taken: &mut Taken| match queue.poll_both(taken, &cx) {
        Poll::Ready(Some(Ok(Chunk::Initiator(data)))) => Some((a, data.offset())),
        Poll::Ready(Some(Ok(Chunk::Responder(data)))) => Some((b, data.offset())),
        _ => None,
    };
    push(&queue, vec![(a, data(0, 1)), (a, data(1, 1))], ROOMY);
    assert_eq!(next(&mut taken), Some((a, 0)));
    // The answer to two bytes more than there are: it has to wait for them, though it came first.
    push(&queue, vec![(b, Item::Barrier { other: 3 }), (b, data(0, 1))], ROOMY);
    assert_eq!(next(&mut taken), Some((a, 1)));
    assert_eq!(next(&mut taken), None);
    push(&queue, vec![(a, data(2, 1))], ROOMY);
    assert_eq!([next(&mut taken), next(&mut taken)], [Some((a, 2)), Some((b, 0))]);
}

#[test]
fn nothing_waits_for_more_than_a_side_had_to_say() {
    let (queue, _) = queue();
    let (a, b) = (FlowSide::Initiator, FlowSide::Responder);
    let cx = Context::from_waker(Waker::noop());
    // One more than there are: the FIN was acknowledged before it was seen.
    push(&queue, vec![(b, Item::Barrier { other: 4 }), (b, data(0, 1))], ROOMY);
    push(&queue, vec![(a, data(0, 3)), (a, Item::Finished { len: 3 })], ROOMY);
    let mut taken = Taken::default();
    let mut next = || queue.poll_both(&mut taken, &cx);
    assert!(matches!(next(), Poll::Ready(Some(Ok(Chunk::Initiator(_))))));
    assert!(matches!(next(), Poll::Ready(Some(Ok(Chunk::Finished { side, .. }))) if side == a));
    assert!(matches!(next(), Poll::Ready(Some(Ok(Chunk::Responder(_))))));
}

#[test]
fn a_reader_that_is_split_waits_no_more() {
    let (queue, gate) = queue();
    let cx = Context::from_waker(Waker::noop());
    assert!(queue.poll_both(&mut Taken::default(), &cx).is_pending());
    assert!(gate.has_parked());
    queue.split(Taken::default());
    assert!(!gate.has_parked(), "nobody waits for a side yet");
    assert!(queue.poll_side(FlowSide::Responder, &cx).is_pending());
    assert!(gate.has_parked());
}

#[test]
fn what_was_sorted_into_lanes_keeps_no_other_memory() {
    let (queue, _) = queue();
    let (a, b) = (FlowSide::Initiator, FlowSide::Responder);
    push(&queue, (0..1000).map(|at| (a, data(at, 1))).collect(), ROOMY);
    push(&queue, vec![(b, Item::Barrier { other: 0 }), (b, data(0, 1))], ROOMY);
    assert_eq!(queue.lock().fresh.capacity(), 0);
    let (mut position, mut gaps) = ([0; 2], [Missing::default(); 2]);
    read(&queue, &mut position, &mut gaps);
    assert_eq!((position, gaps), ([1000, 1], [Missing::default(); 2]));
}
