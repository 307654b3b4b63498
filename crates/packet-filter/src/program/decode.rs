//! Decodes instructions to the form that the interpreter runs.
//!
//! Every instruction becomes one operation at the same index, with a typed operand and absolute
//! jump targets. A load followed by a comparison with a constant is fused into one operation at the
//! index of the load. The comparison stays at its own index too, because jumps may lead to it.

use super::Instruction;
use super::code::{
    self, ABS, ALU, B, H, IMM, JMP, LD, LDX, LEN, MEM, MISC, MSH, RET, ST, STX, W, X,
};
use crate::expression::BinaryOperator;

/// The targets of a jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ways {
    pub(super) yes: u16,
    pub(super) no: u16,
}

impl Ways {
    /// The target for an outcome. A branch instead of a conditional move: the processor then
    /// continues speculatively with the predicted target and does not wait for the packet's bytes.
    #[inline(always)]
    pub(super) fn way(self, holds: bool) -> usize {
        if holds {
            std::hint::black_box(());
            self.yes.into()
        } else {
            self.no.into()
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Word(u32),
    Half(u32),
    Byte(u32),
    IndexedWord(u32),
    IndexedHalf(u32),
    IndexedByte(u32),
    /// A load of one field of the packet's metadata.
    Ancillary(u32),
    /// A load relative to the link-layer or network-layer header, by width.
    Relative {
        k: u32,
        width: u8,
    },
    Immediate(u32),
    Length,
    Recall(u8),
    IndexImmediate(u32),
    IndexLength,
    IndexRecall(u8),
    HeaderLength(u32),
    Store(u8),
    StoreIndex(u8),
    Add(u32),
    And(u32),
    ShiftLeft(u8),
    ShiftRight(u8),
    Constant(BinaryOperator, u32),
    Indexed(BinaryOperator),
    Negate,
    ToIndex,
    FromIndex,
    Jump(u16),
    Equal(u32, Ways),
    Greater(u32, Ways),
    GreaterOrEqual(u32, Ways),
    AnyBit(u32, Ways),
    EqualIndex(Ways),
    GreaterIndex(Ways),
    GreaterOrEqualIndex(Ways),
    AnyBitIndex(Ways),
    MaskedEqual(u32, u32, Ways),
    WordEqual(u32, u32, Ways),
    HalfEqual(u32, u32, Ways),
    ByteEqual(u32, u32, Ways),
    HalfGreater(u32, u32, Ways),
    HalfAnyBit(u32, u32, Ways),
    ByteAnyBit(u32, u32, Ways),
    IndexedHalfEqual(u32, u32, Ways),
    Return(u32),
    ReturnAccumulator,
}

/// The operations of a verified program.
pub(super) fn decode(program: &[Instruction]) -> Vec<Op> {
    let mut ops: Vec<Op> =
        program.iter().enumerate().map(|(at, instruction)| one(at, instruction)).collect();
    // From the back, so that the second instruction of a pair is not yet fused itself.
    for at in (1..ops.len()).rev() {
        let (Some(first), Some(second)) = (ops.get(at - 1).copied(), ops.get(at).copied()) else {
            continue;
        };
        if let (Some(joined), Some(slot)) = (join(first, second), ops.get_mut(at - 1)) {
            *slot = joined;
        }
    }
    ops
}

fn join(first: Op, second: Op) -> Option<Op> {
    Some(match (first, second) {
        (Op::And(mask), Op::Equal(k, ways)) => Op::MaskedEqual(mask, k, ways),
        (Op::Word(offset), Op::Equal(k, ways)) => Op::WordEqual(offset, k, ways),
        (Op::Half(offset), Op::Equal(k, ways)) => Op::HalfEqual(offset, k, ways),
        (Op::Byte(offset), Op::Equal(k, ways)) => Op::ByteEqual(offset, k, ways),
        (Op::Half(offset), Op::Greater(k, ways)) => Op::HalfGreater(offset, k, ways),
        (Op::Half(offset), Op::AnyBit(k, ways)) => Op::HalfAnyBit(offset, k, ways),
        (Op::Byte(offset), Op::AnyBit(k, ways)) => Op::ByteAnyBit(offset, k, ways),
        (Op::IndexedHalf(offset), Op::Equal(k, ways)) => Op::IndexedHalfEqual(offset, k, ways),
        _ => return None,
    })
}

fn one(at: usize, instruction: &Instruction) -> Op {
    let Instruction { code, jt, jf, k } = *instruction;
    let target = |skip: u32| u16::try_from(at + 1 + skip as usize).unwrap_or(u16::MAX);
    let ways = Ways { yes: target(jt.into()), no: target(jf.into()) };
    match code::class(code) {
        LD => match code & !LD {
            mode if mode == W | IMM => Op::Immediate(k),
            mode if mode == W | LEN => Op::Length,
            mode if mode == W | MEM => Op::Recall(k as u8),
            mode if mode & 0xe0 == ABS => match (k, mode & 0x18) {
                (code::ANCILLARY.., _) if k - code::ANCILLARY < 64 => {
                    Op::Ancillary(k - code::ANCILLARY)
                }
                (code::LINK.., width) => Op::Relative { k, width: bytes(width) },
                (_, W) => Op::Word(k),
                (_, H) => Op::Half(k),
                _ => Op::Byte(k),
            },
            mode => match mode & 0x18 {
                W => Op::IndexedWord(k),
                H => Op::IndexedHalf(k),
                _ => Op::IndexedByte(k),
            },
        },
        LDX => match code & !LDX {
            mode if mode == W | IMM => Op::IndexImmediate(k),
            mode if mode == W | LEN => Op::IndexLength,
            mode if mode == B | MSH => Op::HeaderLength(k),
            _ => Op::IndexRecall(k as u8),
        },
        ST => Op::Store(k as u8),
        STX => Op::StoreIndex(k as u8),
        ALU => arithmetic(code, k),
        JMP => match (code & 0xf0, code & X != 0) {
            (code::JEQ, false) => Op::Equal(k, ways),
            (code::JGT, false) => Op::Greater(k, ways),
            (code::JGE, false) => Op::GreaterOrEqual(k, ways),
            (code::JSET, false) => Op::AnyBit(k, ways),
            (code::JEQ, true) => Op::EqualIndex(ways),
            (code::JGT, true) => Op::GreaterIndex(ways),
            (code::JGE, true) => Op::GreaterOrEqualIndex(ways),
            (code::JSET, true) => Op::AnyBitIndex(ways),
            _ => Op::Jump(target(k)),
        },
        RET if code & 0x18 == code::A => Op::ReturnAccumulator,
        RET => Op::Return(k),
        MISC if code & 0xf8 == code::TAX => Op::ToIndex,
        _ => Op::FromIndex,
    }
}

fn arithmetic(code: u16, k: u32) -> Op {
    let operator = match code & 0xf0 {
        code::ADD => BinaryOperator::Add,
        code::SUB => BinaryOperator::Subtract,
        code::MUL => BinaryOperator::Multiply,
        code::DIV => BinaryOperator::Divide,
        code::OR => BinaryOperator::Or,
        code::AND => BinaryOperator::And,
        code::LSH => BinaryOperator::ShiftLeft,
        code::RSH => BinaryOperator::ShiftRight,
        code::MOD => BinaryOperator::Modulo,
        code::XOR => BinaryOperator::Xor,
        _ => return Op::Negate,
    };
    match (operator, code & X != 0) {
        (operator, true) => Op::Indexed(operator),
        (BinaryOperator::Add, false) => Op::Add(k),
        (BinaryOperator::And, false) => Op::And(k),
        (BinaryOperator::ShiftLeft, false) => Op::ShiftLeft(k as u8),
        (BinaryOperator::ShiftRight, false) => Op::ShiftRight(k as u8),
        (operator, false) => Op::Constant(operator, k),
    }
}

fn bytes(width: u16) -> u8 {
    match width {
        W => 4,
        H => 2,
        _ => 1,
    }
}
