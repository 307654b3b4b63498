//! Assembles blocks to a program.

use std::hash::{Hash as _, Hasher as _};

use crate::error::CompileError;
use crate::graph::{Graph, NodeId};
use crate::ir::{WordHasher, WordMap};
use crate::program::{Instruction, code};

/// A test: its code, and a jump whose targets are not yet resolved.
pub(super) struct Block {
    pub(super) id: NodeId,
    pub(super) code: Vec<Instruction>,
    pub(super) jumps: Jumps,
    pub(super) yes: NodeId,
    pub(super) no: NodeId,
}

impl Block {
    fn fingerprint(&self) -> u64 {
        let mut hasher = WordHasher::default();
        (self.code.as_slice(), self.jumps, self.yes, self.no).hash(&mut hasher);
        hasher.finish()
    }

    fn does_the_same(&self, other: &Self) -> bool {
        (self.yes, self.no, self.jumps) == (other.yes, other.no, other.jumps)
            && self.code == other.code
    }
}

/// A sequence of conditional jumps to the same target. The first whose condition holds is taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Jumps {
    pub(super) code: u16,
    pub(super) operands: Operands,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Operands {
    One([u32; 1]),
    Any(&'static [u32]),
}

impl Operands {
    fn numbers(&self) -> &[u32] {
        match self {
            Self::One(number) => number,
            Self::Any(numbers) => numbers,
        }
    }
}

/// The maximum distance of a conditional jump, less a reserve for the jumps of its own block that
/// may be inserted after it.
const REACH: usize = 240;

/// Removes stores to words that are never read.
pub(super) fn remove_dead_stores(blocks: &mut [Block], graph: &Graph) {
    let mut reading = vec![0u16; graph.len()];
    for block in blocks.iter_mut().rev() {
        let after =
            |id: NodeId| id.index().and_then(|index| reading.get(index)).copied().unwrap_or(0);
        let mut read = after(block.yes) | after(block.no);
        let mut index = block.code.len();
        while index > 0 {
            index -= 1;
            let Some(instruction) = block.code.get(index).copied() else { continue };
            let word = 1u16.checked_shl(instruction.k).unwrap_or(0);
            if instruction.code == code::ST && read & word == 0 {
                block.code.remove(index);
            } else if instruction.code == code::ST {
                read &= !word;
            } else if instruction.code == code::LD | code::MEM
                || instruction.code == code::LDX | code::MEM
            {
                read |= word;
            }
        }
        if let Some(slot) = block.id.index().and_then(|index| reading.get_mut(index)) {
            *slot = read;
        }
    }
}

/// Merges blocks with equal code and equal targets. They do the same whatever the registers hold.
pub(super) fn merge_equal(blocks: &mut Vec<Block>, graph: &Graph) {
    let mut merged: Vec<Option<NodeId>> = vec![None; graph.len()];
    let mut known: WordMap<u64, usize> = WordMap::default();
    known.reserve(blocks.len());
    let mut gone = vec![false; blocks.len()];
    for at in (0..blocks.len()).rev() {
        let into = |id: NodeId| {
            id.index().and_then(|index| merged.get(index).copied().flatten()).unwrap_or(id)
        };
        let Some(block) = blocks.get_mut(at) else { continue };
        (block.yes, block.no) = (into(block.yes), into(block.no));
        // If different blocks have the same fingerprint, only the first is found. The program is
        // then longer than necessary, but correct.
        let first = *known.entry(block.fingerprint()).or_insert(at);
        let (Some(block), Some(first)) = (blocks.get(at), blocks.get(first)) else { continue };
        let is_gone = first.id != block.id && first.does_the_same(block);
        let id = if is_gone { first.id } else { block.id };
        if let Some(slot) = block.id.index().and_then(|index| merged.get_mut(index)) {
            *slot = Some(id);
        }
        if let Some(gone) = gone.get_mut(at) {
            *gone = is_gone;
        }
    }
    let mut gone = gone.into_iter();
    blocks.retain(|_| !gone.next().unwrap_or(false));
}

/// Lays out the blocks from the last to the first, so that the distance to every target is known.
pub(super) fn assemble(
    blocks: &[Block],
    graph: &Graph,
    snaplen: u32,
    limit: usize,
) -> Result<Vec<Instruction>, CompileError> {
    let mut code = Backwards::new(graph.len());
    let leads_to = |end: NodeId| {
        graph.root() == end || blocks.iter().any(|block| block.yes == end || block.no == end)
    };
    if leads_to(NodeId::REJECT) {
        code.push(Instruction::new(code::RET | code::K, 0));
        code.start(NodeId::REJECT);
    }
    if leads_to(NodeId::ACCEPT) {
        code.push(Instruction::new(code::RET | code::K, snaplen));
        code.start(NodeId::ACCEPT);
    }
    for block in blocks.iter().rev() {
        code.jump(block);
        for instruction in block.code.iter().rev() {
            code.push(*instruction);
        }
        code.start(block.id);
        if code.code.len() > limit {
            return Err(CompileError::TooLong { len: code.code.len(), limit });
        }
    }
    code.code.reverse();
    Ok(code.code)
}

/// A program, built from its end.
struct Backwards {
    code: Vec<Instruction>,
    /// For each verdict and block, the number of instructions from its start to the end of the
    /// program.
    starts: Vec<usize>,
    /// The same for the latest long jump to it.
    relays: Vec<usize>,
}

impl Backwards {
    fn new(nodes: usize) -> Self {
        Self { code: Vec::new(), starts: vec![0; nodes + 2], relays: vec![0; nodes + 2] }
    }

    fn push(&mut self, instruction: Instruction) {
        self.code.push(instruction);
    }

    fn start(&mut self, id: NodeId) {
        let len = self.code.len();
        for places in [&mut self.starts, &mut self.relays] {
            if let Some(place) = places.get_mut(id.place()) {
                *place = len;
            }
        }
    }

    fn jump(&mut self, block: &Block) {
        let yes = self.within_reach(block.yes);
        let mut no = self.within_reach(block.no);
        for k in block.jumps.operands.numbers().iter().rev() {
            let (jt, jf) = (self.distance(yes) as u8, self.distance(no) as u8);
            self.push(Instruction { code: block.jumps.code, jt, jf, k: *k });
            no = self.code.len();
        }
    }

    /// The number of instructions between the current position and a target.
    fn distance(&self, start: usize) -> usize {
        self.code.len() - start
    }

    /// A position within reach from which a block can be entered: its start, or a long jump to it.
    /// Inserts a long jump if no such position is in reach.
    fn within_reach(&mut self, id: NodeId) -> usize {
        let at = |places: &[usize]| places.get(id.place()).copied().unwrap_or(0);
        let (start, relay) = (at(&self.starts), at(&self.relays));
        if self.distance(relay) <= REACH {
            return relay;
        }
        self.push(Instruction::new(code::JMP | code::JA, self.distance(start) as u32));
        let relay = self.code.len();
        if let Some(place) = self.relays.get_mut(id.place()) {
            *place = relay;
        }
        relay
    }
}
