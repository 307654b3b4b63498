//! Translates classic instructions to eBPF.
//!
//! Register use: `r0` is the accumulator, `r5` the index register, `r2` and `r3` the start and end
//! of the packet, and `r4` holds addresses. Scratch words are on the stack.

use super::EbpfInstruction;
use crate::error::CompileError;
use crate::program::Instruction;
use crate::program::code::{
    self, ABS, ALU, B, H, IMM, IND, JMP, LD, LDX, LEN, MEM, MISC, MSH, RET, ST, STX, W, X,
};

const ACCUMULATOR: u8 = 0;
const CONTEXT: u8 = 1;
const DATA: u8 = 2;
const END: u8 = 3;
const ADDRESS: u8 = 4;
const INDEX: u8 = 5;
const FRAME: u8 = 10;

/// eBPF codes that do not exist in classic BPF (linux/bpf.h).
const ALU64: u8 = 0x07;
const JMP32: u8 = 0x06;
const MOV: u8 = 0xb0;
const END_SWAP: u8 = 0xd4 | 0x08;
const EXIT: u8 = 0x95;
const JNE: u8 = 0x50;
const FROM_REGISTER: u8 = 0x08;
const LOAD_WORD: u8 = 0x61;
const LOAD_HALF: u8 = 0x69;
const LOAD_BYTE: u8 = 0x71;
const STORE_WORD: u8 = 0x63;

/// `MAX_PACKET_OFF` of the kernel's verifier: the maximum that may be added to a packet pointer.
const MAX_PACKET_OFFSET: u32 = 0xffff;

/// The target of a jump that is not yet resolved.
enum Target {
    /// The code of a classic instruction.
    Classic(usize),
    /// The end of the fragment, with zero.
    Reject,
    /// The end of the fragment, with the accumulator as its result.
    End,
}

#[derive(Default)]
struct Translation {
    code: Vec<EbpfInstruction>,
    jumps: Vec<(usize, Target)>,
}

pub(super) fn translate(program: &[Instruction]) -> Result<Vec<EbpfInstruction>, CompileError> {
    let mut out = Translation::default();
    // struct xdp_md: data, data_end
    out.push(LOAD_WORD, DATA, CONTEXT, 0, 0);
    out.push(LOAD_WORD, END, CONTEXT, 4, 0);
    out.set(ACCUMULATOR, 0);
    out.set(INDEX, 0);
    let mut starts = Vec::with_capacity(program.len());
    let reachable = reachable(program);
    for ((at, instruction), reachable) in program.iter().enumerate().zip(reachable) {
        starts.push(out.code.len());
        if reachable {
            out.instruction(at, instruction)?;
        }
    }
    let reject = out.code.len();
    if out.jumps.iter().any(|(_, target)| matches!(target, Target::Reject)) {
        out.set(ACCUMULATOR, 0);
    }
    let end = out.code.len();
    for (at, target) in out.jumps {
        let target = match target {
            Target::Classic(index) => starts.get(index).copied().unwrap_or(reject),
            Target::Reject => reject,
            Target::End => end,
        };
        let distance = i16::try_from(target - at - 1).map_err(|_| CompileError::JumpTooFar)?;
        if let Some(jump) = out.code.get_mut(at) {
            jump.offset = distance;
        }
    }
    Ok(out.code)
}

/// The reachable instructions. The verifier rejects programs with unreachable ones.
fn reachable(program: &[Instruction]) -> Vec<bool> {
    let mut reachable = vec![false; program.len()];
    let reach = |at: usize, reachable: &mut Vec<bool>| {
        if let Some(slot) = reachable.get_mut(at) {
            *slot = true;
        }
    };
    reach(0, &mut reachable);
    for (at, Instruction { code, jt, jf, k }) in program.iter().copied().enumerate() {
        if !reachable.get(at).copied().unwrap_or(false) {
            continue;
        }
        match code::class(code) {
            RET => {}
            JMP if code & 0xf0 == code::JA => reach(at + 1 + k as usize, &mut reachable),
            JMP => {
                reach(at + 1 + usize::from(jt), &mut reachable);
                reach(at + 1 + usize::from(jf), &mut reachable);
            }
            _ if never_loads(code, k) => {}
            _ => reach(at + 1, &mut reachable),
        }
    }
    reachable
}

/// Returns `true` if an instruction loads from beyond any packet.
fn never_loads(code: u16, k: u32) -> bool {
    let bytes = match code & 0x18 {
        W => 4,
        H => 2,
        _ => 1,
    };
    let loads = match code::class(code) {
        LD => matches!(code & 0xe0, ABS | IND),
        LDX => code & 0xe0 == MSH,
        _ => false,
    };
    loads && k > MAX_PACKET_OFFSET - bytes
}

/// The code after a fragment, which returns one of two actions.
pub(super) fn verdict(matching: i32, other: i32) -> [EbpfInstruction; 5] {
    [
        EbpfInstruction::new(JMP32 | code::JEQ as u8, ACCUMULATOR, 0, 2, 0),
        EbpfInstruction::new(ALU64 | MOV, ACCUMULATOR, 0, 0, matching),
        EbpfInstruction::new(EXIT, 0, 0, 0, 0),
        EbpfInstruction::new(ALU64 | MOV, ACCUMULATOR, 0, 0, other),
        EbpfInstruction::new(EXIT, 0, 0, 0, 0),
    ]
}

impl Translation {
    fn instruction(&mut self, at: usize, instruction: &Instruction) -> Result<(), CompileError> {
        let Instruction { code, jt, jf, k } = *instruction;
        let size = code & 0x18;
        match code::class(code) {
            LD => match code & 0xe0 {
                IMM => self.set(ACCUMULATOR, k),
                LEN => self.length(ACCUMULATOR),
                MEM => self.push(LOAD_WORD, ACCUMULATOR, FRAME, scratch(k), 0),
                ABS if k >= code::LINK => return Err(CompileError::NotInXdp { at }),
                ABS => self.load(None, k, size, ACCUMULATOR),
                _ => self.load(Some(INDEX), k, size, ACCUMULATOR),
            },
            LDX => match code & 0xe0 {
                IMM => self.set(INDEX, k),
                LEN => self.length(INDEX),
                MSH => {
                    self.load(None, k, B, INDEX);
                    self.alu(code::AND, INDEX, 0xf);
                    self.alu(code::LSH, INDEX, 2);
                }
                _ => self.push(LOAD_WORD, INDEX, FRAME, scratch(k), 0),
            },
            ST => self.push(STORE_WORD, FRAME, ACCUMULATOR, scratch(k), 0),
            STX => self.push(STORE_WORD, FRAME, INDEX, scratch(k), 0),
            ALU => self.arithmetic(code & 0xf0, code & X != 0, k),
            JMP => self.jump(at, code, jt, jf, k),
            RET => {
                if code & 0x18 != code::A {
                    self.set(ACCUMULATOR, k);
                }
                self.jump_to(JMP as u8, 0, 0, 0, Target::End);
            }
            MISC if code & 0xf8 == code::TAX => self.copy(INDEX, ACCUMULATOR),
            _ => self.copy(ACCUMULATOR, INDEX),
        }
        Ok(())
    }

    /// Loads bytes of the packet into a register. Rejects the packet if it is too short.
    fn load(&mut self, index: Option<u8>, k: u32, size: u16, register: u8) {
        let bytes = match size {
            W => 4,
            H => 2,
            _ => 1,
        };
        match index {
            _ if k > MAX_PACKET_OFFSET - bytes => {
                return self.jump_to(JMP as u8, 0, 0, 0, Target::Reject);
            }
            None => self.push(ALU64 | MOV | FROM_REGISTER, ADDRESS, DATA, 0, 0),
            Some(index) => {
                // The verifier needs a bound on the index that keeps the sum within its own limit.
                self.jump_to(
                    JMP32 | code::JGT as u8,
                    index,
                    0,
                    (MAX_PACKET_OFFSET - bytes - k) as i32,
                    Target::Reject,
                );
                self.push(ALU64 | MOV | FROM_REGISTER, ADDRESS, index, 0, 0);
                self.push(ALU64 | code::ADD as u8 | FROM_REGISTER, ADDRESS, DATA, 0, 0);
            }
        }
        // A constant offset is added to the pointer itself, where the verifier can track it.
        self.push(ALU64 | code::ADD as u8, ADDRESS, 0, 0, (k + bytes) as i32);
        self.jump_to(JMP as u8 | code::JGT as u8 | FROM_REGISTER, ADDRESS, END, 0, Target::Reject);
        let back = -(bytes as i16);
        match bytes {
            4 => self.push(LOAD_WORD, register, ADDRESS, back, 0),
            2 => self.push(LOAD_HALF, register, ADDRESS, back, 0),
            _ => self.push(LOAD_BYTE, register, ADDRESS, back, 0),
        }
        if bytes > 1 {
            self.push(END_SWAP, register, 0, 0, bytes as i32 * 8);
        }
    }

    fn length(&mut self, register: u8) {
        self.push(ALU64 | MOV | FROM_REGISTER, ADDRESS, END, 0, 0);
        self.push(ALU64 | code::SUB as u8 | FROM_REGISTER, ADDRESS, DATA, 0, 0);
        self.copy(register, ADDRESS);
    }

    fn arithmetic(&mut self, operation: u16, by_index: bool, k: u32) {
        if operation == code::NEG {
            return self.push(ALU as u8 | code::NEG as u8, ACCUMULATOR, 0, 0, 0);
        }
        if !by_index {
            return self.alu(operation, ACCUMULATOR, k);
        }
        match operation {
            code::DIV | code::MOD => {
                // Classic BPF rejects the packet; eBPF's result would be zero.
                self.jump_to(JMP32 | code::JEQ as u8, INDEX, 0, 0, Target::Reject);
            }
            code::LSH | code::RSH => {
                // eBPF would use only the lowest five bits of the shift.
                self.push(JMP32 | 0xb0, INDEX, 0, 1, 31);
                self.set(ACCUMULATOR, 0);
            }
            _ => {}
        }
        self.push(ALU as u8 | operation as u8 | FROM_REGISTER, ACCUMULATOR, INDEX, 0, 0);
    }

    fn jump(&mut self, at: usize, code: u16, jt: u8, jf: u8, k: u32) {
        let operation = code & 0xf0;
        let target = |skip: usize| Target::Classic(at + 1 + skip);
        if operation == code::JA {
            return self.jump_to(JMP as u8, 0, 0, 0, target(k as usize));
        }
        let source = if code & X != 0 { FROM_REGISTER } else { 0 };
        let (register, k) = if source == 0 { (0, k as i32) } else { (INDEX, 0) };
        if jt == 0 && operation == code::JEQ {
            return self.jump_from(JMP32 | JNE | source, register, k, target(jf.into()));
        }
        self.jump_from(JMP32 | operation as u8 | source, register, k, target(jt.into()));
        if jf > 0 {
            self.jump_to(JMP as u8, 0, 0, 0, target(jf.into()));
        }
    }

    fn jump_from(&mut self, code: u8, source: u8, k: i32, target: Target) {
        self.jumps.push((self.code.len(), target));
        self.push(code, ACCUMULATOR, source, 0, k);
    }

    fn jump_to(&mut self, code: u8, destination: u8, source: u8, k: i32, target: Target) {
        self.jumps.push((self.code.len(), target));
        self.push(code, destination, source, 0, k);
    }

    fn alu(&mut self, operation: u16, register: u8, k: u32) {
        self.push(ALU as u8 | operation as u8, register, 0, 0, k as i32);
    }

    fn set(&mut self, register: u8, number: u32) {
        self.push(ALU as u8 | MOV, register, 0, 0, number as i32);
    }

    fn copy(&mut self, to: u8, from: u8) {
        self.push(ALU as u8 | MOV | FROM_REGISTER, to, from, 0, 0);
    }

    fn push(&mut self, code: u8, destination: u8, source: u8, offset: i16, immediate: i32) {
        self.code.push(EbpfInstruction::new(code, destination, source, offset, immediate));
    }
}

/// The offset of a scratch word on the stack.
fn scratch(word: u32) -> i16 {
    -64 + 4 * (word as i16)
}
