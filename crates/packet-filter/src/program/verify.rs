//! Verifies programs by the rules of net/core/filter.c, `bpf_check_classic` and
//! `check_load_and_stores`.

use super::code::{
    self, ABS, ALU, B, H, IMM, IND, JMP, K, LD, LDX, LEN, MEM, MISC, MSH, RET, ST, STX, W, X,
};
use super::{Instruction, Program};
use crate::error::ProgramError;

/// The ancillary offsets from `SKF_AD_OFF` that [`super::Ancillary`] supports: all but netlink
/// attributes.
const KNOWN_ANCILLARY: &[u32] = &[0, 4, 8, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60];

pub(super) fn verify(program: &[Instruction]) -> Result<(), ProgramError> {
    let len = program.len();
    if len > Program::MAX_LEN {
        return Err(ProgramError::TooLong { len, limit: Program::MAX_LEN });
    }
    let Some(last) = program.last() else { return Err(ProgramError::Empty) };
    for (at, instruction) in program.iter().enumerate() {
        one(at, instruction, len)?;
    }
    if code::class(last.code) != RET {
        return Err(ProgramError::NoReturn);
    }
    scratch(program)
}

fn one(at: usize, instruction: &Instruction, len: usize) -> Result<(), ProgramError> {
    let Instruction { code, jt, jf, k } = *instruction;
    let unknown = || Err(ProgramError::UnknownCode { at, code });
    let source = code & X;
    let operation = code & 0xf0;
    match code::class(code) {
        LD => match code & !LD {
            mode if mode == W | IMM || mode == W | LEN => Ok(()),
            mode if mode == W | MEM => word(at, k),
            mode if [W | ABS, H | ABS, B | ABS].contains(&mode) => ancillary(at, k),
            mode if [W | IND, H | IND, B | IND].contains(&mode) => Ok(()),
            _ => unknown(),
        },
        LDX => match code & !LDX {
            mode if mode == W | IMM || mode == W | LEN || mode == B | MSH => Ok(()),
            mode if mode == W | MEM => word(at, k),
            _ => unknown(),
        },
        ST | STX if code == ST || code == STX => word(at, k),
        ALU => match operation {
            code::DIV | code::MOD if source == K && k == 0 => {
                Err(ProgramError::DivisionByZero { at })
            }
            code::LSH | code::RSH if source == K && k >= 32 => Err(ProgramError::Shift { at }),
            code::NEG if source == K => Ok(()),
            code::ADD
            | code::SUB
            | code::MUL
            | code::DIV
            | code::OR
            | code::AND
            | code::LSH
            | code::RSH
            | code::MOD
            | code::XOR
                if code < 0x100 =>
            {
                Ok(())
            }
            _ => unknown(),
        },
        JMP => match operation {
            code::JA if source == K && code < 0x100 => inside(at, k as usize, len),
            code::JEQ | code::JGT | code::JGE | code::JSET if code < 0x100 => {
                inside(at, jt.into(), len)?;
                inside(at, jf.into(), len)
            }
            _ => unknown(),
        },
        RET if code == RET | K || code == RET | code::A => Ok(()),
        MISC if code == MISC | code::TAX || code == MISC | code::TXA => Ok(()),
        _ => unknown(),
    }
}

fn inside(at: usize, skip: usize, len: usize) -> Result<(), ProgramError> {
    if skip < len - at - 1 { Ok(()) } else { Err(ProgramError::Jump { at }) }
}

fn word(at: usize, word: u32) -> Result<(), ProgramError> {
    if word < code::SCRATCH { Ok(()) } else { Err(ProgramError::Scratch { at, word }) }
}

fn ancillary(at: usize, k: u32) -> Result<(), ProgramError> {
    match k.checked_sub(code::ANCILLARY) {
        // Netlink attributes: the kernel searches them, with the accumulator and index register as
        // arguments.
        Some(offset @ (12 | 16)) => Err(ProgramError::Ancillary { at, offset }),
        Some(offset) if offset < 64 && !KNOWN_ANCILLARY.contains(&offset) => {
            Err(ProgramError::Ancillary { at, offset })
        }
        _ => Ok(()),
    }
}

/// Checks that every path writes a scratch word before it is read.
fn scratch(program: &[Instruction]) -> Result<(), ProgramError> {
    let mut arriving = vec![u16::MAX; program.len()];
    let mut written = 0u16;
    for (at, instruction) in program.iter().enumerate() {
        written &= arriving.get(at).copied().unwrap_or(u16::MAX);
        let bit = 1u16.checked_shl(instruction.k).unwrap_or(0);
        let mut lead = |skip: usize, written: u16| {
            if let Some(slot) = arriving.get_mut(at + 1 + skip) {
                *slot &= written;
            }
        };
        match instruction.code {
            ST | STX => written |= bit,
            code if (code == LD | MEM || code == LDX | MEM) && written & bit == 0 => {
                return Err(ProgramError::ScratchUnset { at, word: instruction.k });
            }
            code if code == JMP | code::JA => {
                lead(instruction.k as usize, written);
                written = u16::MAX;
            }
            code if code::class(code) == JMP => {
                lead(instruction.jt.into(), written);
                lead(instruction.jf.into(), written);
                written = u16::MAX;
            }
            _ => {}
        }
    }
    Ok(())
}
