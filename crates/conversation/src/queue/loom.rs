//! Interleavings of engine and reader, explored by loom: nobody sleeps for ever, and nothing is
//! lost.

use std::future::poll_fn;
use std::sync::Arc;

use ::loom::future::block_on;
use ::loom::thread;
use bytes::Bytes;
use flow::{FlowSide, Timestamp};

use super::*;
use crate::api::chunk::ChunkData;

const ROOMY: Room = Room { limit: usize::MAX, total: usize::MAX, beyond: Beyond::Drop };

fn data(offset: u64) -> (FlowSide, Item) {
    let bytes = Bytes::from_static(b"x");
    (FlowSide::Initiator, Item::Data(ChunkData::new(bytes, offset, Timestamp::from_nanos(0), 1)))
}

fn entries(items: Vec<(FlowSide, Item)>) -> Entries {
    items.into_iter().map(|(side, item)| Entry { side, item }).collect()
}

fn push(queue: &Queue<()>, item: (FlowSide, Item), room: Room) -> Pushed {
    let mut wake = Vec::new();
    let pushed = queue.push(&mut entries(vec![item]), &room, &mut wake);
    wake.into_iter().for_each(Waker::wake);
    pushed
}

fn fail(queue: &Queue<()>) {
    let mut wake = Vec::new();
    queue.fail(&mut wake);
    wake.into_iter().for_each(Waker::wake);
}

/// Reads to the end; how many chunks there were.
fn read(queue: &Queue<()>) -> usize {
    block_on(async {
        let (mut chunks, mut taken) = (0, Taken::default());
        while let Some(Ok(_)) = poll_fn(|cx| queue.poll_both(&mut taken, cx)).await {
            chunks += 1;
        }
        chunks
    })
}

#[test]
fn a_reader_that_sleeps_is_always_woken() {
    ::loom::model(|| {
        let gate = Arc::new(Gate::default());
        let queue = Arc::new(Queue::new(Arc::clone(&gate)));
        let engine = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let room = Room { limit: usize::MAX, total: usize::MAX, beyond: Beyond::Drop };
                push(&queue, data(0), room);
                push(&queue, data(1), room);
                fail(&queue);
            })
        };
        assert_eq!(read(&queue), 2);
        engine.join().unwrap();
        assert_eq!(gate.queued(), 0);
        assert!(!gate.has_parked());
    });
}

#[test]
fn an_engine_that_waits_for_room_is_always_woken() {
    ::loom::model(|| {
        let gate = Arc::new(Gate::default());
        let queue = Arc::new(Queue::new(Arc::clone(&gate)));
        let engine = {
            let (gate, queue) = (Arc::clone(&gate), Arc::clone(&queue));
            thread::spawn(move || {
                let room = Room { limit: 0, total: usize::MAX, beyond: Beyond::Accept };
                assert!(push(&queue, data(0), room).crowded);
                gate.wait_while(|| queue.is_over(0));
                fail(&queue);
            })
        };
        assert_eq!(read(&queue), 1);
        engine.join().unwrap();
    });
}

/// Two entries that a reader takes at once, of which the first counts until the second is handed
/// out.
fn push_two(queue: &Queue<()>) {
    let mut wake = Vec::new();
    queue.push(&mut entries(vec![data(0), data(1)]), &ROOMY, &mut wake);
    wake.into_iter().for_each(Waker::wake);
}

#[test]
fn an_engine_that_waits_for_a_reader_of_several_is_always_woken() {
    for task in [false, true] {
        ::loom::model(move || {
            let gate = Arc::new(Gate::default());
            let queue = Arc::new(Queue::new(Arc::clone(&gate)));
            let engine = {
                let (gate, queue) = (Arc::clone(&gate), Arc::clone(&queue));
                thread::spawn(move || {
                    push_two(&queue);
                    // Nothing lets it go on but what is taken: no parked reader does.
                    gate.readers_are_independent();
                    if task {
                        block_on(poll_fn(|cx| gate.poll_while(cx, || queue.is_over(0))));
                    } else {
                        gate.wait_while(|| queue.is_over(0));
                    }
                    push(&queue, data(2), ROOMY);
                    fail(&queue);
                })
            };
            let mut taken = Taken::new(1 << 20);
            for _ in 0..2 {
                let chunk = block_on(poll_fn(|cx| queue.poll_both(&mut taken, cx)));
                assert!(matches!(chunk, Some(Ok(Chunk::Initiator(_)))), "{chunk:?}");
            }
            // It does not ask again before: the wait for more would wake the engine as well.
            engine.join().unwrap();
            assert_eq!(read(&queue), 1);
            assert_eq!(gate.queued(), 0);
        });
    }
}

#[test]
fn an_engine_that_waits_for_the_reader_of_a_half_is_always_woken() {
    ::loom::model(|| {
        let gate = Arc::new(Gate::default());
        let queue = Arc::new(Queue::new(Arc::clone(&gate)));
        queue.split(Taken::default());
        let engine = {
            let (gate, queue) = (Arc::clone(&gate), Arc::clone(&queue));
            thread::spawn(move || {
                push(&queue, data(0), ROOMY);
                gate.readers_are_independent();
                gate.wait_while(|| queue.is_over(0));
            })
        };
        let chunk = block_on(poll_fn(|cx| queue.poll_side(FlowSide::Initiator, cx)));
        assert!(matches!(chunk, Some(Ok(Chunk::Initiator(_)))), "{chunk:?}");
        engine.join().unwrap();
    });
}

#[test]
fn a_reader_that_goes_away_amid_what_it_has_taken_lets_the_engine_go_on() {
    for split in [false, true] {
        ::loom::model(move || {
            let gate = Arc::new(Gate::default());
            let queue = Arc::new(Queue::new(Arc::clone(&gate)));
            let engine = {
                let (gate, queue) = (Arc::clone(&gate), Arc::clone(&queue));
                thread::spawn(move || {
                    push_two(&queue);
                    gate.readers_are_independent();
                    gate.wait_while(|| queue.is_over(0));
                    push(&queue, data(2), ROOMY);
                    fail(&queue);
                })
            };
            let mut taken = Taken::new(1 << 20);
            let chunk = block_on(poll_fn(|cx| queue.poll_both(&mut taken, cx)));
            assert!(matches!(chunk, Some(Ok(Chunk::Initiator(_)))), "{chunk:?}");
            if split {
                queue.split(taken);
                queue.abandon(FlowSide::Responder);
                queue.abandon(FlowSide::Initiator);
            } else {
                queue.abandon_both();
            }
            engine.join().unwrap();
            assert_eq!(gate.queued(), 0);
            assert!(!gate.has_parked());
        });
    }
}

#[test]
fn an_engine_never_waits_for_a_reader_that_waits_for_it() {
    ::loom::model(|| {
        let gate = Arc::new(Gate::default());
        let [first, second] = [(); 2].map(|()| Arc::new(Queue::new(Arc::clone(&gate))));
        let engine = {
            let (gate, first, second) =
                (Arc::clone(&gate), Arc::clone(&first), Arc::clone(&second));
            thread::spawn(move || {
                let room = Room { limit: 0, total: usize::MAX, beyond: Beyond::Accept };
                assert!(push(&second, data(0), room).crowded);
                // The reader takes the second queue only when it is done with the first.
                gate.wait_while(|| second.is_over(0));
                push(&first, data(0), room);
                fail(&first);
                fail(&second);
            })
        };
        assert_eq!((read(&first), read(&second)), (1, 1));
        engine.join().unwrap();
    });
}

#[test]
fn an_engine_that_is_a_task_is_always_woken() {
    ::loom::model(|| {
        let gate = Arc::new(Gate::default());
        let queue = Arc::new(Queue::new(Arc::clone(&gate)));
        let engine = {
            let (gate, queue) = (Arc::clone(&gate), Arc::clone(&queue));
            thread::spawn(move || {
                let room = Room { limit: 0, total: usize::MAX, beyond: Beyond::Accept };
                assert!(push(&queue, data(0), room).crowded);
                block_on(poll_fn(|cx| gate.poll_while(cx, || queue.is_over(0))));
                fail(&queue);
            })
        };
        assert_eq!(read(&queue), 1);
        engine.join().unwrap();
    });
}

#[test]
fn a_reader_behind_a_barrier_is_woken_by_what_it_waits_for() {
    ::loom::model(|| {
        let gate = Arc::new(Gate::default());
        let queue = Arc::new(Queue::new(Arc::clone(&gate)));
        let engine = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let room = Room { limit: usize::MAX, total: usize::MAX, beyond: Beyond::Drop };
                let (_, answer) = data(0);
                let barrier = (FlowSide::Responder, Item::Barrier { other: 1 });
                let mut wake = Vec::new();
                let items = vec![barrier, (FlowSide::Responder, answer)];
                queue.push(&mut entries(items), &room, &mut wake);
                wake.drain(..).for_each(Waker::wake);
                push(&queue, data(0), room);
                // Only now, so that the reader is not let through by the end.
                wake.clear();
                queue.push(&mut entries(vec![data(1)]), &room, &mut wake);
                wake.drain(..).for_each(Waker::wake);
                fail(&queue);
            })
        };
        let first = block_on(poll_fn(|cx| queue.poll_both(&mut Taken::default(), cx)));
        assert!(matches!(first, Some(Ok(Chunk::Initiator(_)))), "{first:?}");
        assert_eq!(read(&queue), 2);
        engine.join().unwrap();
        assert_eq!(gate.queued(), 0);
    });
}
