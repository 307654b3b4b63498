//! Generates instructions for a graph of tests.
//!
//! Every node becomes a block: code that loads the tested value into the accumulator, followed by a
//! jump. The contents of the registers and scratch words are tracked along the graph. A value that
//! every path to a block has already computed is not computed again.

mod assembly;
mod costs;
mod state;

use crate::error::CompileError;
use crate::expression::{BinaryOperator, Width};
use crate::graph::Graph;
use crate::ir::{Branch, Operand, Test, Value, ValueId, Values, WordMap};
use crate::options::{Options, Target};
use crate::program::{Instruction, Program, code};
use assembly::{Block, Jumps, Operands};
use costs::Costs;
use state::{SCRATCH, State};

/// `BPF_MAXINSNS` (linux/bpf_common.h).
const MAX_SOCKET_LEN: usize = 4096;

/// The number of scratch words that cache values for later tests. The others hold intermediate
/// results.
const KEPT: usize = 10;

/// The maximum number of instructions of a program for a target.
pub(crate) fn limit(target: Target) -> usize {
    match target {
        Target::Socket => MAX_SOCKET_LEN,
        Target::File => Program::MAX_LEN,
    }
}

pub(crate) fn program(
    graph: &Graph,
    values: &Values,
    options: &Options,
) -> Result<Program, CompileError> {
    let order = graph.topological();
    let costs = Costs::new(graph, &order, values);
    let mut blocks = Vec::with_capacity(order.len());
    let mut arriving = state::Arriving::new(graph);
    let mut emitter = Emitter {
        values,
        costs: &costs,
        state: State::default(),
        places: WordMap::default(),
        filled: 0,
        code: Vec::new(),
    };
    for id in &order {
        let Some(node) = graph.node(*id) else { continue };
        emitter.state = arriving.state(*id);
        let jumps = emitter.test(node.test)?;
        arriving.leave(node, emitter.state);
        blocks.push(Block {
            id: *id,
            code: std::mem::take(&mut emitter.code),
            jumps,
            yes: node.yes,
            no: node.no,
        });
    }
    assembly::remove_dead_stores(&mut blocks, graph);
    if options.optimise {
        assembly::merge_equal(&mut blocks, graph);
    }
    let instructions = assembly::assemble(&blocks, graph, options.snaplen, limit(options.target))?;
    Ok(Program::trusted(instructions))
}

struct Emitter<'a> {
    values: &'a Values,
    costs: &'a Costs,
    state: State,
    /// The scratch word that each cached value was stored in last. Reusing it makes the paths to a
    /// block agree on the word.
    places: WordMap<ValueId, usize>,
    /// The scratch word that was written last.
    filled: usize,
    code: Vec<Instruction>,
}

impl Emitter<'_> {
    /// Loads the operands of a test into their registers. Returns the jumps, without targets.
    fn test(&mut self, test: Test) -> Result<Jumps, CompileError> {
        let comparison = match test.comparison {
            Branch::Equal => code::JEQ,
            Branch::Greater => code::JGT,
            Branch::GreaterOrEqual => code::JGE,
            Branch::AnyBit => code::JSET,
        };
        match test.right {
            Operand::Constant(number) => {
                self.accumulate(test.value, 0)?;
                Ok(Jumps {
                    code: code::JMP | comparison | code::K,
                    operands: Operands::One([number]),
                })
            }
            Operand::Value(right) => {
                let swap = matches!(test.comparison, Branch::Equal | Branch::AnyBit);
                self.operands(test.value, right, swap, 0)?;
                Ok(Jumps { code: code::JMP | comparison | code::X, operands: Operands::One([0]) })
            }
            Operand::OneOf(numbers) => {
                self.accumulate(test.value, 0)?;
                Ok(Jumps {
                    code: code::JMP | comparison | code::K,
                    operands: Operands::Any(numbers),
                })
            }
        }
    }

    /// Loads a value into the accumulator. The top `used` scratch words hold intermediate results.
    fn accumulate(&mut self, id: ValueId, used: u8) -> Result<(), CompileError> {
        if self.state.a == Some(id) {
            return Ok(());
        }
        if self.state.x == Some(id) {
            self.push(code::MISC | code::TXA, 0);
        } else if let Some(slot) = self.kept(id) {
            self.push(code::LD | code::MEM, slot);
        } else {
            self.compute(id, used)?;
            self.state.a = Some(id);
            self.keep(id);
        }
        self.state.a = Some(id);
        Ok(())
    }

    /// Loads a value into the index register. May change the accumulator.
    fn index(&mut self, id: ValueId, used: u8) -> Result<(), CompileError> {
        if self.state.x == Some(id) {
            return Ok(());
        }
        if !self.index_directly(id) {
            self.accumulate(id, used)?;
            self.push(code::MISC | code::TAX, 0);
        }
        self.state.x = Some(id);
        Ok(())
    }

    /// Loads a value into the index register if that is possible without the accumulator. Returns
    /// `false` otherwise.
    fn index_directly(&mut self, id: ValueId) -> bool {
        if self.state.a == Some(id) {
            self.push(code::MISC | code::TAX, 0);
        } else if let Some(slot) = self.kept(id) {
            self.push(code::LDX | code::MEM, slot);
        } else if let Some(offset) = costs::header_length(self.values, id) {
            self.push(code::LDX | code::B | code::MSH, offset);
        } else {
            match self.values.value(id) {
                Value::Constant(number) => self.push(code::LDX | code::IMM, number),
                Value::Length => self.push(code::LDX | code::LEN, 0),
                _ => return false,
            }
        }
        self.state.x = Some(id);
        true
    }

    fn compute(&mut self, id: ValueId, used: u8) -> Result<(), CompileError> {
        match self.values.value(id) {
            Value::Constant(number) => self.push(code::LD | code::IMM, number),
            Value::Length => self.push(code::LD | code::LEN, 0),
            Value::Ancillary(offset) => {
                self.push(code::LD | code::W | code::ABS, code::ANCILLARY.wrapping_add(offset));
            }
            Value::Load { index: None, offset, width } => {
                self.push(code::LD | size(width) | code::ABS, offset);
            }
            Value::Load { index: Some(index), offset, width } => {
                self.index(index, used)?;
                self.push(code::LD | size(width) | code::IND, offset);
            }
            Value::Negate(inner) => {
                self.accumulate(inner, used)?;
                self.push(code::ALU | code::NEG, 0);
            }
            Value::Binary(operator, left, right) => {
                if let Value::Constant(number) = self.values.value(right) {
                    self.accumulate(left, used)?;
                    self.push(code::ALU | operation(operator) | code::K, number);
                } else {
                    use BinaryOperator::{Add, And, Multiply, Or, Xor};
                    self.operands(
                        left,
                        right,
                        matches!(operator, Add | And | Multiply | Or | Xor),
                        used,
                    )?;
                    self.push(code::ALU | operation(operator) | code::X, 0);
                }
            }
        }
        Ok(())
    }

    /// Loads two values into the accumulator and the index register. `swap` allows either order.
    fn operands(
        &mut self,
        left: ValueId,
        right: ValueId,
        swap: bool,
        used: u8,
    ) -> Result<(), CompileError> {
        let (left, right) = if swap && !self.easy_pair(left, right) && self.easy_pair(right, left) {
            (right, left)
        } else {
            (left, right)
        };
        if self.is_direct(right) || self.state.x == Some(right) && !self.takes_x(left) {
            self.accumulate(left, used)?;
            return self.index(right, used);
        }
        if !self.takes_x(left) {
            self.index(right, used)?;
            return self.accumulate(left, used);
        }
        if usize::from(used) == SCRATCH - KEPT {
            return Err(CompileError::TooComplex);
        }
        let word = SCRATCH as u32 - 1 - u32::from(used);
        self.accumulate(right, used)?;
        self.push(code::ST, word);
        self.accumulate(left, used + 1)?;
        self.push(code::LDX | code::MEM, word);
        self.state.x = Some(right);
        Ok(())
    }

    /// Returns `true` if the operands can be loaded without an intermediate scratch word.
    fn easy_pair(&self, left: ValueId, right: ValueId) -> bool {
        self.is_direct(right) || !self.takes_x(left)
    }

    /// Returns `true` if the value can be loaded into the index register without the accumulator,
    /// whatever the registers hold.
    fn is_direct(&self, id: ValueId) -> bool {
        self.kept(id).is_some()
            || costs::header_length(self.values, id).is_some()
            || matches!(self.values.value(id), Value::Constant(_) | Value::Length)
    }

    /// Returns `true` if computing the value may change the index register.
    fn takes_x(&self, id: ValueId) -> bool {
        self.kept(id).is_none() && self.costs.takes_x(id)
    }

    /// The scratch word that holds the value on every path to the current block.
    fn kept(&self, id: ValueId) -> Option<u32> {
        if !self.costs.is_kept(id) {
            return None;
        }
        self.state.words.iter().position(|word| *word == Some(id)).map(|word| word as u32)
    }

    /// Caches the value in the accumulator if it is worth a store. Prefers the word it was cached
    /// in before, then a free word, then the next word in round-robin order.
    fn keep(&mut self, id: ValueId) {
        if !self.costs.is_kept(id) {
            return;
        }
        let words = &self.state.words[..KEPT];
        let before = self.places.get(&id).copied().filter(|place| words[*place].is_none());
        let place = before
            .or_else(|| words.iter().position(Option::is_none))
            .unwrap_or((self.filled + 1) % KEPT);
        self.filled = place;
        self.places.insert(id, place);
        self.push(code::ST, place as u32);
        self.state.words[place] = Some(id);
    }

    fn push(&mut self, code: u16, k: u32) {
        self.code.push(Instruction::new(code, k));
    }
}

fn size(width: Width) -> u16 {
    match width {
        Width::One => code::B,
        Width::Two => code::H,
        Width::Four => code::W,
    }
}

fn operation(operator: BinaryOperator) -> u16 {
    match operator {
        BinaryOperator::Add => code::ADD,
        BinaryOperator::Subtract => code::SUB,
        BinaryOperator::Multiply => code::MUL,
        BinaryOperator::Divide => code::DIV,
        BinaryOperator::Modulo => code::MOD,
        BinaryOperator::And => code::AND,
        BinaryOperator::Or => code::OR,
        BinaryOperator::Xor => code::XOR,
        BinaryOperator::ShiftLeft => code::LSH,
        BinaryOperator::ShiftRight => code::RSH,
    }
}
