//! Groups tests of the same value.
//!
//! In `a = 1 or b = 2 or a = 3` the tests can change places, so that `a` is loaded once. The test
//! that moves forward reads only bytes that have been read before. This can change the verdict for
//! a packet that is cut off between `a` and `b`: if its `a` is 3 it is now accepted, but without
//! reordering the failing load of `b` would have rejected it. libpcap's optimiser does the same.

use super::{Graph, Node, NodeId};
use crate::ir::{Operand, WordMap};

/// Groups the tests of every chain by value. Returns `true` if anything changed.
pub(super) fn group(graph: &mut Graph) -> bool {
    let order = graph.topological();
    let mut ways = vec![0u32; graph.nodes.len()];
    for id in &order {
        let Some(node) = graph.node(*id) else { continue };
        for target in [node.yes, node.no] {
            if let Some(ways) = target.index().and_then(|index| ways.get_mut(index)) {
                *ways += 1;
            }
        }
    }
    let single =
        |id: NodeId| id.index().and_then(|index| ways.get(index)).is_some_and(|ways| *ways == 1);
    let mut done = vec![false; graph.nodes.len()];
    let mut nodes: Vec<Node> = graph.nodes.clone();
    let mut changed = false;
    for start in order.iter().copied() {
        for side in [false, true] {
            if is_done(&done, start) {
                continue;
            }
            let chain = chain(graph, start, side, &|id| single(id) && !is_done(&done, id));
            if chain.len() < 3 {
                continue;
            }
            let sorted = by_value(graph, &chain);
            for id in &chain {
                if let Some(done) = id.index().and_then(|index| done.get_mut(index)) {
                    *done = true;
                }
            }
            if sorted != chain {
                changed = true;
                permute(graph, &mut nodes, &chain, &sorted);
            }
        }
    }
    if changed {
        let root = graph.root();
        graph.nodes = nodes;
        graph.known.clear();
        let order = graph.topological();
        graph.rebuild(&order, root, |_, node| node);
    }
    changed
}

fn is_done(done: &[bool], id: NodeId) -> bool {
    id.index().is_none_or(|index| done.get(index).copied().unwrap_or(true))
}

/// The chain from `start`: tests that follow each other on one edge, share the target of the other
/// edge, and have no other predecessors.
fn chain(graph: &Graph, start: NodeId, side: bool, single: &dyn Fn(NodeId) -> bool) -> Vec<NodeId> {
    let Some(first) = graph.node(start) else { return Vec::new() };
    let exit = if side { first.no } else { first.yes };
    let mut chain = vec![start];
    let mut next = if side { first.yes } else { first.no };
    while let Some(node) = graph.node(next)
        && single(next)
        && (if side { node.no } else { node.yes }) == exit
    {
        chain.push(next);
        next = if side { node.yes } else { node.no };
    }
    chain
}

/// The chain with each test moved right after the first test of the same value.
fn by_value(graph: &Graph, chain: &[NodeId]) -> Vec<NodeId> {
    let mut ranks = WordMap::default();
    let mut ranked: Vec<(usize, NodeId)> = Vec::with_capacity(chain.len());
    for (position, id) in chain.iter().enumerate() {
        let rank = match graph.node(*id) {
            // A comparison with another value reads that value too, so it stays in place.
            Some(Node { test, .. }) if !matches!(test.right, Operand::Value(_)) => {
                *ranks.entry(test.value).or_insert(position)
            }
            _ => position,
        };
        ranked.push((rank, *id));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, id)| id).collect()
}

/// Puts the tests of `sorted` into the positions of `chain`. Both edges of a position keep their
/// meaning, because all positions share the same exit and the chain's continuation.
fn permute(graph: &Graph, nodes: &mut [Node], chain: &[NodeId], sorted: &[NodeId]) {
    for (place, source) in chain.iter().zip(sorted) {
        if let (Some(index), Some(node)) = (place.index(), graph.node(*source))
            && let Some(slot) = nodes.get_mut(index)
        {
            slot.test = node.test;
        }
    }
}
