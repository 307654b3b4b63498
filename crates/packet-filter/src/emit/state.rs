//! Tracks the contents of registers and scratch words.

use crate::graph::{Graph, Node, NodeId};
use crate::ir::ValueId;

/// The number of scratch words.
pub(super) const SCRATCH: usize = 16;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// The accumulator.
    pub(super) a: Option<ValueId>,
    /// The index register.
    pub(super) x: Option<ValueId>,
    /// The scratch words.
    pub(super) words: [Option<ValueId>; SCRATCH],
}

/// The contents that all paths to a node agree on. Nodes are visited in topological order, so all
/// paths to a node are known when it is visited.
pub(super) struct Arriving(Vec<Option<State>>);

impl Arriving {
    pub(super) fn new(graph: &Graph) -> Self {
        Self(vec![None; graph.len()])
    }

    pub(super) fn state(&self, id: NodeId) -> State {
        id.index().and_then(|index| self.0.get(index).copied().flatten()).unwrap_or_default()
    }

    pub(super) fn leave(&mut self, node: Node, state: State) {
        for target in [node.yes, node.no] {
            let Some(slot) = target.index().and_then(|index| self.0.get_mut(index)) else {
                continue;
            };
            *slot = Some(match *slot {
                None => state,
                Some(other) => State {
                    a: state.a.filter(|_| state.a == other.a),
                    x: state.x.filter(|_| state.x == other.x),
                    words: std::array::from_fn(|word| {
                        state.words[word].filter(|_| state.words[word] == other.words[word])
                    }),
                },
            });
        }
    }
}
