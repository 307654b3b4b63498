//! A condition as a graph of tests, each with one edge for success and one for failure.

mod facts;
mod order;

use crate::error::CompileError;
use crate::ir::{Condition, Test, WordMap};

/// The maximum number of tests before optimisation. Bounds memory and time.
const MAX_NODES: usize = 1 << 18;

/// A node of the graph: a test, or one of the two final verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId(u32);

impl NodeId {
    pub(crate) const REJECT: Self = Self(0);
    pub(crate) const ACCEPT: Self = Self(1);

    /// The index of the test. `None` for the verdicts.
    pub(crate) fn index(self) -> Option<usize> {
        (self.0 as usize).checked_sub(2)
    }

    /// An index from zero that covers the verdicts too.
    pub(crate) fn place(self) -> usize {
        self.0 as usize
    }

    fn from_index(index: usize) -> Self {
        Self(index as u32 + 2)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) test: Test,
    pub(crate) yes: NodeId,
    pub(crate) no: NodeId,
}

/// An acyclic graph of tests. A test is stored after the tests that it leads to.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    known: WordMap<Node, NodeId>,
    root: Option<NodeId>,
}

impl Graph {
    /// # Errors
    ///
    /// If there are more tests than [`MAX_NODES`].
    pub(crate) fn new(condition: &Condition) -> Result<Self, CompileError> {
        let mut graph = Self::default();
        let root = graph.build(condition, NodeId::ACCEPT, NodeId::REJECT)?;
        graph.root = Some(root);
        Ok(graph)
    }

    pub(crate) fn root(&self) -> NodeId {
        self.root.unwrap_or(NodeId::ACCEPT)
    }

    /// One more than the largest index of a node.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn node(&self, id: NodeId) -> Option<Node> {
        self.nodes.get(id.index()?).copied()
    }

    /// Removes redundant tests until nothing changes, or for at most eight rounds.
    pub(crate) fn optimise(&mut self) {
        // Each round removes or moves tests. A few rounds are enough for real expressions.
        for _ in 0..8 {
            facts::thread(self);
            if !order::group(self) {
                break;
            }
        }
    }

    /// Reachable tests in topological order. The verdicts are left out.
    pub(crate) fn topological(&self) -> Vec<NodeId> {
        let mut order = Vec::with_capacity(self.nodes.len());
        let mut state = vec![false; self.nodes.len()];
        let mut pending = vec![(self.root(), false)];
        while let Some((id, done)) = pending.pop() {
            let (Some(index), Some(node)) = (id.index(), self.node(id)) else { continue };
            if done {
                order.push(id);
                continue;
            }
            let Some(seen) = state.get_mut(index) else { continue };
            if *seen {
                continue;
            }
            *seen = true;
            pending.push((id, true));
            // The subgraph of `no` is finished first, so that it comes last and that of `yes`
            // follows its test.
            pending.push((node.yes, false));
            pending.push((node.no, false));
        }
        order.reverse();
        order
    }

    fn build(
        &mut self,
        condition: &Condition,
        yes: NodeId,
        no: NodeId,
    ) -> Result<NodeId, CompileError> {
        match condition {
            Condition::Always(true) => Ok(yes),
            Condition::Always(false) => Ok(no),
            Condition::Not(inner) => self.build(inner, no, yes),
            Condition::Test(test) => {
                let id = self.add(Node { test: *test, yes, no });
                if self.nodes.len() > MAX_NODES {
                    return Err(CompileError::TooLong { len: self.nodes.len(), limit: MAX_NODES });
                }
                Ok(id)
            }
            Condition::All(all) => {
                all.iter().rev().try_fold(yes, |yes, condition| self.build(condition, yes, no))
            }
            Condition::Any(any) => {
                any.iter().rev().try_fold(no, |no, condition| self.build(condition, yes, no))
            }
        }
    }

    /// Adds a node even if an equal one exists, because different facts may be known on the paths
    /// to it.
    fn add(&mut self, node: Node) -> NodeId {
        if node.yes == node.no {
            return node.yes;
        }
        self.nodes.push(node);
        NodeId::from_index(self.nodes.len() - 1)
    }

    fn intern(&mut self, node: Node) -> NodeId {
        if node.yes == node.no {
            return node.yes;
        }
        let next = NodeId::from_index(self.nodes.len());
        let id = *self.known.entry(node).or_insert(next);
        if id == next {
            self.nodes.push(node);
        }
        id
    }

    /// Replaces every edge and drops unreachable nodes.
    fn rebuild(&mut self, order: &[NodeId], root: NodeId, changed: impl Fn(NodeId, Node) -> Node) {
        let mut new = Self { nodes: Vec::with_capacity(order.len()), ..Self::default() };
        new.known.reserve(order.len());
        let mut moved: Vec<NodeId> = vec![NodeId::REJECT; self.nodes.len()];
        let to = |moved: &[NodeId], id: NodeId| {
            id.index().map_or(id, |index| moved.get(index).copied().unwrap_or(id))
        };
        for id in order.iter().rev() {
            let (Some(index), Some(node)) = (id.index(), self.node(*id)) else { continue };
            let node = changed(*id, node);
            let node = Node { test: node.test, yes: to(&moved, node.yes), no: to(&moved, node.no) };
            let id = new.intern(node);
            if let Some(slot) = moved.get_mut(index) {
                *slot = id;
            }
        }
        new.root = Some(to(&moved, root));
        *self = new;
    }
}
