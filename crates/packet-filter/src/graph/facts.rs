//! Removes tests whose outcome is known from earlier tests.
//!
//! An edge between two tests carries a fact: the first test held, or it did not. If the facts on
//! the path to a test decide it, the edge skips that test. This is exact even for truncated
//! packets: only facts about the same value decide a test, so the bytes of that value have been
//! read before.

use super::{Graph, Node, NodeId};
use crate::ir::{Branch, Operand, Test, ValueId};

/// The maximum number of facts about one value that are searched for a test, and the number of
/// values whose facts are remembered. Both bound the work for chains of thousands of tests.
const HORIZON: usize = 128;
const VALUES: usize = 12;

/// The maximum number of steps in the search for a common dominator.
const MAX_CLIMB: usize = 4096;

/// A test and its outcome.
type Fact = (Test, bool);

/// The facts known at a node. Facts form a tree along the dominators.
#[derive(Clone, Copy)]
struct Known {
    /// The immediate dominator: the last node on every path to this one. The node itself for the
    /// root.
    dominator: NodeId,
    depth: u32,
    /// The fact of the dominator's test, if all paths to this node leave it by the same edge, and
    /// the node with the previous fact about the same value.
    fact: Option<(Fact, Option<NodeId>)>,
    /// The node with the latest fact, for each value.
    last: [Option<(ValueId, NodeId)>; VALUES],
}

/// The facts known at every node that has been visited.
struct Knowledge(Vec<Option<Known>>);

/// Redirects every edge past the tests whose outcome is known on it. Returns `true` if anything
/// changed.
pub(super) fn thread(graph: &mut Graph) -> bool {
    let order = graph.topological();
    let root = graph.root();
    let mut known = Knowledge::new(graph.nodes.len(), root);
    let mut nodes: Vec<Option<Node>> = vec![None; graph.nodes.len()];
    let mut changed = false;
    for id in &order {
        let (Some(index), Some(mut node)) = (id.index(), graph.node(*id)) else { continue };
        // If every edge to a node has been redirected, the node is unreachable.
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

    /// Records one more edge into a node.
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

    /// The facts known at a node, given its dominator.
    fn below(&self, dominator: NodeId, target: NodeId, fact: Option<Fact>) -> Known {
        let (depth, mut last) =
            self.at(dominator).map_or((0, [None; VALUES]), |above| (above.depth, above.last));
        let fact = fact.map(|fact| {
            let known = last.iter().flatten().find(|(value, _)| *value == fact.0.value);
            let before = known.map(|(_, node)| *node);
            let mut place =
                last.iter().position(|last| last.is_none_or(|(value, _)| value == fact.0.value));
            if place.is_none() {
                // The first entry identifies the protocol and stays. The oldest of the others is
                // dropped.
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

    /// The last node on every path to both, or one of its dominators if the search gets too long.
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

    /// The outcome of a test that follows an edge with this fact, if it is known.
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

/// The outcome of a test, given the outcome of another test of the same value.
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
    // The values that are possible under the fact: all of them, a range, or those with some bits
    // set.
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

/// The outcome of a membership test in `of`, given that the value is (or is not) one of `known`.
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

/// The outcome of a test of a value that is known to lie in a range.
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
