//! What registers and scratch words hold.

use crate::graph::{Graph, Node, NodeId};
use crate::ir::ValueId;

/// Words of scratch memory.
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

/// What holds on every way to a node. Nodes are left in topological order, so that all ways to a node are known when
/// its turn comes.
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
