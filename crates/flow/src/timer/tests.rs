use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Operation {
    Schedule(u32, u64),
    Cancel(u32),
    Advance(u64),
    /// The same, with this budget.
    AdvanceAWhile(u64, usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    // Delays of every order of magnitude, so that every level of the wheel is used.
    let delay = (0u32..58).prop_flat_map(|bits| 0..=(1u64 << bits));
    prop_oneof![
        4 => (0u32..20, delay.clone()).prop_map(|(slot, delay)| Operation::Schedule(slot, delay)),
        1 => (0u32..20).prop_map(Operation::Cancel),
        3 => delay.clone().prop_map(Operation::Advance),
        2 => (delay, 0usize..8).prop_map(|(by, budget)| Operation::AdvanceAWhile(by, budget)),
    ]
}

proptest! {
    /// Compares the wheel with a sorted list of deadlines: each timer fires at its deadline or up
    /// to a tick later, and none is lost.
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
        prop_assert_eq!(wheel.expired(now, &mut 1), None);
        for operation in operations {
            match operation {
                Operation::Schedule(slot, delay) => {
                    let reach = (wheel.elapsed + REACH - 1) << TICK_SHIFT;
                    let deadline = (now + delay).min(reach.max(now));
                    model.retain(|&(_, other)| other != slot);
                    model.insert((deadline, slot));
                    wheel.schedule(slot, now, deadline);
                }
                Operation::Cancel(slot) => {
                    model.retain(|&(_, other)| other != slot);
                    wheel.cancel(slot);
                }
                Operation::Advance(by) | Operation::AdvanceAWhile(by, _) => {
                    now += by;
                    let mut budget = usize::MAX;
                    if let Operation::AdvanceAWhile(_, little) = operation {
                        budget = little;
                    }
                    while let Some(slot) = wheel.expired(now, &mut budget) {
                        let Some(&entry) = model.iter().find(|entry| entry.1 == slot) else {
                            return Err(TestCaseError::fail("fired without being set"));
                        };
                        prop_assert!(entry.0 <= now, "fired early");
                        model.remove(&entry);
                    }
                    let first = model.first().map(|entry| entry.0).filter(|_| budget > 0);
                    if let Some(deadline) = first {
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
