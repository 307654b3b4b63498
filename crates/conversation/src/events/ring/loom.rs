//! Interleavings of engine and subscribers, explored by loom: nobody sleeps for ever, and no event
//! is lost without a word.

use std::future::poll_fn;

use ::loom::future::block_on;
use ::loom::thread;

use super::*;

fn ring(capacity: usize) -> Arc<Ring<u64>> {
    let gate = Arc::new(Gate::default());
    gate.readers_are_independent();
    // An event of a thousand says how many others are missing.
    let kind = Kind { lagged: |count| 1000 + count, part: |_| Part::None, clone: |event| *event };
    Arc::new(Ring::new(capacity, 1, gate, kind))
}

/// Reads to the end: events heard and events missed.
fn read(ring: &Ring<u64>, number: usize) -> (u64, u64) {
    block_on(async {
        let (mut heard, mut missed) = (0, 0);
        while let Some(Ok(event)) = poll_fn(|cx| ring.poll(number, cx)).await {
            if event >= 1000 { missed += event - 1000 } else { heard += 1 }
        }
        (heard, missed)
    })
}

#[test]
fn a_subscriber_that_sleeps_is_always_woken_and_every_event_is_heard_or_counted() {
    ::loom::model(|| {
        let ring = ring(1);
        let number = ring.subscribe();
        let engine = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                let overtaken = ring.push(&mut vec![1, 2], true) + ring.push(&mut vec![3], true);
                ring.end(None);
                overtaken
            })
        };
        let (heard, missed) = read(&ring, number);
        assert_eq!(heard + missed, 3);
        assert_eq!(engine.join().unwrap(), missed);
        assert!(!ring.gate.has_parked());
    });
}

#[test]
fn an_engine_that_waits_for_a_subscriber_is_woken_though_others_wait() {
    ::loom::model(|| {
        let ring = ring(1);
        let [number, leaver] = [ring.subscribe(), ring.subscribe()];
        let engine = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                ring.push(&mut vec![1, 2], false);
                ring.gate.wait_while(|| ring.is_over());
                ring.end(None);
            })
        };
        ring.leave(leaver);
        assert_eq!(read(&ring, number), (2, 0));
        engine.join().unwrap();
    });
}
