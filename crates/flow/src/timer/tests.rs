use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Operation {
    Schedule(u32, u64),
    Cancel(u32),
    Advance(u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    // Delays of every order of magnitude, so that every level of the wheel is used.
    let delay = (0u32..58).prop_flat_map(|bits| 0..=(1u64 << bits));
    prop_oneof![
        4 => (0u32..20, delay.clone()).prop_map(|(slot, delay)| Operation::Schedule(slot, delay)),
        1 => (0u32..20).prop_map(Operation::Cancel),
        3 => delay.prop_map(Operation::Advance),
    ]
}

proptest! {
    /// Against a sorted list of deadlines: what fires, fires at its deadline or up to a tick later, and nothing is lost.
    #[test]
    fn agrees_with_a_sorted_list(
        start in 0u64..1 << 61,
        operations in prop::collection::vec(operation(), 1..200),
    ) {
        const TICK: u64 = 1 << TICK_SHIFT;
        let mut wheel = Wheel::new();
        (0..20).for_each(|_| wheel.push());
        let mut model = BTreeSet::new();
        let mut now = start;
        prop_assert_eq!(wheel.expired(now), None);
        for operation in operations {
            match operation {
                Operation::Schedule(slot, delay) => {
                    let deadline = now + delay.min((REACH - 1) << TICK_SHIFT);
                    model.retain(|&(_, other)| other != slot);
                    model.insert((deadline, slot));
                    wheel.schedule(slot, now, deadline);
                }
                Operation::Cancel(slot) => {
                    model.retain(|&(_, other)| other != slot);
                    wheel.cancel(slot);
                }
                Operation::Advance(by) => {
                    now += by;
                    while let Some(slot) = wheel.expired(now) {
                        let Some(&entry) = model.iter().find(|entry| entry.1 == slot) else {
                            return Err(TestCaseError::fail("fired without being set"));
                        };
                        prop_assert!(entry.0 <= now, "fired early");
                        model.remove(&entry);
                    }
                    if let Some(&(deadline, _)) = model.first() {
                        prop_assert!(deadline + 2 * TICK > now, "fired late: {} {}", deadline, now);
                    }
                }
            }
            match (model.first(), wheel.next_deadline()) {
                (None, None) => {}
                (Some(&(deadline, _)), Some(next)) => prop_assert!(next <= deadline + 2 * TICK),
                (model, wheel) => prop_assert!(false, "{:?} {:?}", model, wheel),
            }
            for slot in 0..20 {
                prop_assert_eq!(
                    wheel.deadline(slot).is_some(),
                    model.iter().any(|entry| entry.1 == slot)
                );
            }
        }
    }
}
