//! Tests whose outcome is known from the tests before them.
//!
//! A way from one test to the next carries a fact: the test held, or it did not. A test is passed over where the
//! facts on the way to it decide it. Passing over is exact even for packets that are too short: a test is decided
//! only by facts of the same value, so its bytes have been read before.

use super::{Graph, Node, NodeId};
use crate::ir::{Branch, Operand, Test, ValueId};

/// How many facts of one value are looked through for a test, and for how many values facts are remembered: bounds
/// on the work for chains of thousands of tests.
const HORIZON: usize = 128;
const VALUES: usize = 12;

/// How far the common origin of two ways is searched.
const MAX_CLIMB: usize = 4096;

/// A test and whether it held.
type Fact = (Test, bool);

/// What is known on the way to a node: facts form a tree along the nodes that every way passes.
#[derive(Clone, Copy)]
struct Known {
    /// The last node that every way here passes; itself for the root.
    dominator: NodeId,
    depth: u32,
    /// The fact of that node's test, if all ways here leave it on the same side; and the fact of the same value
    /// before it.
    fact: Option<(Fact, Option<NodeId>)>,
    /// For each value the node with the last fact of it.
    last: [Option<(ValueId, NodeId)>; VALUES],
}

/// What is known at every node that has been reached.
struct Knowledge(Vec<Option<Known>>);

/// Leads every way past tests that are decided on it. Returns whether anything changed.
pub(super) fn thread(graph: &mut Graph) -> bool {
    let order = graph.topological();
    let root = graph.root();
    let mut known = Knowledge::new(graph.nodes.len(), root);
    let mut nodes: Vec<Option<Node>> = vec![None; graph.nodes.len()];
    let mut changed = false;
    for id in &order {
        let (Some(index), Some(mut node)) = (id.index(), graph.node(*id)) else { continue };
        // A node that all ways have been led past is reached by none.
        if known.at(*id).is_none() {
            continue;
        }
        for holds in [true, false] {
            let mut target = if holds { node.yes } else { node.no };
            let before = target;
            while let Some(next) = graph.node(target) {
                let Some(outcome) = known.decide(*id, (node.test, holds), next.test) else { break };
                target = if outcome { next.yes } else { next.no };
            }
            changed |= target != before;
            *(if holds { &mut node.yes } else { &mut node.no }) = target;
        }
        if let Some(slot) = nodes.get_mut(index) {
            *slot = Some(node);
        }
        if node.yes == node.no {
            changed = true;
            known.arrive(node.yes, *id, None);
        } else {
            known.arrive(node.yes, *id, Some((node.test, true)));
            known.arrive(node.no, *id, Some((node.test, false)));
        }
    }
    if changed {
        graph.rebuild(&order, root, |id, node| {
            id.index().and_then(|index| nodes.get(index).copied().flatten()).unwrap_or(node)
        });
    }
    changed
}

impl Knowledge {
    fn new(nodes: usize, root: NodeId) -> Self {
        let mut knowledge = Self(vec![None; nodes]);
        knowledge.set(root, Known { dominator: root, depth: 0, fact: None, last: [None; VALUES] });
        knowledge
    }

    fn at(&self, id: NodeId) -> Option<&Known> {
        self.0.get(id.index()?)?.as_ref()
    }

    fn set(&mut self, id: NodeId, known: Known) {
        if let Some(slot) = id.index().and_then(|index| self.0.get_mut(index)) {
            *slot = Some(known);
        }
    }

    /// One more way into a node.
    fn arrive(&mut self, target: NodeId, from: NodeId, fact: Option<Fact>) {
        if target.index().is_none() {
            return;
        }
        let known = match self.at(target) {
            None => self.below(from, target, fact),
            Some(old) => self.below(self.common(old.dominator, from), target, None),
        };
        self.set(target, known);
    }

    /// What is known at a node behind a dominator.
    fn below(&self, dominator: NodeId, target: NodeId, fact: Option<Fact>) -> Known {
        let (depth, mut last) =
            self.at(dominator).map_or((0, [None; VALUES]), |above| (above.depth, above.last));
        let fact = fact.map(|fact| {
            let known = last.iter().flatten().find(|(value, _)| *value == fact.0.value);
            let before = known.map(|(_, node)| *node);
            let mut place =
                last.iter().position(|last| last.is_none_or(|(value, _)| value == fact.0.value));
            if place.is_none() {
                // The first, which tells the protocol, stays; the one after it is forgotten.
                last.copy_within(2.., 1);
                place = Some(VALUES - 1);
            }
            if let Some(slot) = place.and_then(|place| last.get_mut(place)) {
                *slot = Some((fact.0.value, target));
            }
            (fact, before)
        });
        Known { dominator, depth: depth + 1, fact, last }
    }

    /// The last node that the ways to both pass, or if it is far, one before it.
    fn common(&self, mut a: NodeId, mut b: NodeId) -> NodeId {
        for _ in 0..MAX_CLIMB {
            let (Some(of_a), Some(of_b)) = (self.at(a), self.at(b)) else { return a };
            if a == b {
                return a;
            }
            if of_a.depth >= of_b.depth {
                a = of_a.dominator;
            } else {
                b = of_b.dominator;
            }
        }
        self.root()
    }

    fn root(&self) -> NodeId {
        self.0
            .iter()
            .flatten()
            .find(|known| known.depth == 0)
            .map_or(NodeId::REJECT, |known| known.dominator)
    }

    /// The outcome of a test after a node that was left with a fact.
    fn decide(&self, from: NodeId, fact: Fact, test: Test) -> Option<bool> {
        if let Some(outcome) = implied(fact, test) {
            return Some(outcome);
        }
        let mut last = self.at(from)?.last.iter().flatten();
        let mut next = last.find(|(value, _)| *value == test.value).map(|(_, node)| *node);
        for _ in 0..HORIZON {
            let (fact, before) = self.at(next?)?.fact?;
            if let Some(outcome) = implied(fact, test) {
                return Some(outcome);
            }
            next = before;
        }
        None
    }
}

/// The outcome of a test if the outcome of another is known.
fn implied((fact, holds): Fact, test: Test) -> Option<bool> {
    if fact == test {
        return Some(holds);
    }
    if fact.value != test.value {
        return None;
    }
    let (a, b) = match (&fact.right, &test.right) {
        (Operand::Constant(a), Operand::Constant(b)) => (*a, *b),
        (Operand::Constant(a), Operand::OneOf(of)) if fact.comparison == Branch::Equal => {
            return among(std::slice::from_ref(a), holds, of);
        }
        (Operand::OneOf(known), Operand::Constant(b)) if test.comparison == Branch::Equal => {
            return among(known, holds, std::slice::from_ref(b));
        }
        (Operand::OneOf(known), Operand::OneOf(of)) => return among(known, holds, of),
        _ => return None,
    };
    // What the fact leaves of the value: all of it, a range, or some bits.
    match (fact.comparison, holds) {
        (Branch::Equal, true) => Some(test.comparison.holds(a, b)),
        (Branch::Equal, false) => match test.comparison {
            Branch::GreaterOrEqual if a == 0 && b == 1 => Some(true),
            Branch::Greater if a == 0 && b == 0 => Some(true),
            _ => None,
        },
        (Branch::Greater, true) => in_range(a.checked_add(1)?, u32::MAX, test.comparison, b),
        (Branch::Greater, false) => in_range(0, a, test.comparison, b),
        (Branch::GreaterOrEqual, true) => in_range(a, u32::MAX, test.comparison, b),
        (Branch::GreaterOrEqual, false) => in_range(0, a.checked_sub(1)?, test.comparison, b),
        (Branch::AnyBit, true) => match test.comparison {
            Branch::AnyBit if a & !b == 0 => Some(true),
            Branch::Equal if a & b == 0 => Some(false),
            _ => None,
        },
        (Branch::AnyBit, false) => match test.comparison {
            Branch::AnyBit if b & !a == 0 => Some(false),
            Branch::Equal if a & b != 0 => Some(false),
            _ => None,
        },
    }
}

/// Whether a value is one of some numbers, if it is or is not one of others.
fn among(known: &[u32], holds: bool, of: &[u32]) -> Option<bool> {
    let none_left = if holds {
        known.iter().all(|number| !of.contains(number))
    } else {
        of.iter().all(|number| known.contains(number))
    };
    if holds && known.iter().all(|number| of.contains(number)) {
        Some(true)
    } else {
        none_left.then_some(false)
    }
}

/// The outcome of a test of a value that lies in a range.
fn in_range(low: u32, high: u32, comparison: Branch, number: u32) -> Option<bool> {
    match comparison {
        Branch::Equal if number < low || number > high => Some(false),
        Branch::Equal if low == high => Some(true),
        Branch::Greater if low > number => Some(true),
        Branch::Greater if high <= number => Some(false),
        Branch::GreaterOrEqual if low >= number => Some(true),
        Branch::GreaterOrEqual if high < number => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Values;

    /// Every implication is checked against all values of four bits.
    #[test]
    fn what_is_implied_is_true() {
        let mut values = Values::default();
        let value = values.length();
        let all = [Branch::Equal, Branch::Greater, Branch::GreaterOrEqual, Branch::AnyBit];
        let tests: Vec<Test> = all
            .into_iter()
            .flat_map(|comparison| (0..16).map(move |right| (comparison, right)))
            .map(|(comparison, right)| Test { value, comparison, right: Operand::Constant(right) })
            .chain([&[1u32, 2][..], &[2], &[4, 8], &[1, 2, 3]].map(|of| Test {
                value,
                comparison: Branch::Equal,
                right: Operand::OneOf(of),
            }))
            .collect();
        let holds = |test: &Test, number: u32| match test.right {
            Operand::Constant(right) => test.comparison.holds(number, right),
            Operand::OneOf(of) => of.contains(&number),
            Operand::Value(_) => false,
        };
        let mut found = 0;
        for fact in &tests {
            for test in &tests {
                for outcome in [true, false] {
                    let Some(claimed) = implied((*fact, outcome), *test) else { continue };
                    found += 1;
                    for number in (0..16).filter(|number| holds(fact, *number) == outcome) {
                        assert_eq!(
                            holds(test, number),
                            claimed,
                            "{fact:?} {outcome} {test:?} {number}"
                        );
                    }
                }
            }
        }
        assert!(found > 1000);
    }
}
