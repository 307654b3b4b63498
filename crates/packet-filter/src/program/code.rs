//! Instruction codes (linux/bpf_common.h, linux/filter.h).

pub(crate) const LD: u16 = 0x00;
pub(crate) const LDX: u16 = 0x01;
pub(crate) const ST: u16 = 0x02;
pub(crate) const STX: u16 = 0x03;
pub(crate) const ALU: u16 = 0x04;
pub(crate) const JMP: u16 = 0x05;
pub(crate) const RET: u16 = 0x06;
pub(crate) const MISC: u16 = 0x07;

pub(crate) const W: u16 = 0x00;
pub(crate) const H: u16 = 0x08;
pub(crate) const B: u16 = 0x10;

pub(crate) const IMM: u16 = 0x00;
pub(crate) const ABS: u16 = 0x20;
pub(crate) const IND: u16 = 0x40;
pub(crate) const MEM: u16 = 0x60;
pub(crate) const LEN: u16 = 0x80;
pub(crate) const MSH: u16 = 0xa0;

pub(crate) const ADD: u16 = 0x00;
pub(crate) const SUB: u16 = 0x10;
pub(crate) const MUL: u16 = 0x20;
pub(crate) const DIV: u16 = 0x30;
pub(crate) const OR: u16 = 0x40;
pub(crate) const AND: u16 = 0x50;
pub(crate) const LSH: u16 = 0x60;
pub(crate) const RSH: u16 = 0x70;
pub(crate) const NEG: u16 = 0x80;
pub(crate) const MOD: u16 = 0x90;
pub(crate) const XOR: u16 = 0xa0;

pub(crate) const JA: u16 = 0x00;
pub(crate) const JEQ: u16 = 0x10;
pub(crate) const JGT: u16 = 0x20;
pub(crate) const JGE: u16 = 0x30;
pub(crate) const JSET: u16 = 0x40;

pub(crate) const K: u16 = 0x00;
pub(crate) const X: u16 = 0x08;
/// For `RET`: return the accumulator.
pub(crate) const A: u16 = 0x10;

pub(crate) const TAX: u16 = 0x00;
pub(crate) const TXA: u16 = 0x80;

/// Offsets above these do not count from the start of the packet (`SKF_AD_OFF`, `SKF_NET_OFF`,
/// `SKF_LL_OFF`).
pub(crate) const ANCILLARY: u32 = 0u32.wrapping_sub(0x1000);
pub(crate) const NETWORK: u32 = 0u32.wrapping_sub(0x10_0000);
pub(crate) const LINK: u32 = 0u32.wrapping_sub(0x20_0000);

/// The instruction class of a code.
pub(crate) fn class(code: u16) -> u16 {
    code & 0x07
}

/// The number of scratch words.
pub(crate) const SCRATCH: u32 = 16;
