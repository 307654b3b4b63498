//! Classic BPF programs.

pub(crate) mod code;
mod decode;
mod interpreter;
mod listing;
mod verify;

use crate::error::ProgramError;
use decode::Op;

pub use interpreter::Ancillary;

/// One instruction of a classic BPF program, laid out as `struct sock_filter` (linux/filter.h) and
/// `struct bpf_insn` of libpcap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Instruction {
    /// The operation code.
    pub code: u16,
    /// The number of instructions to skip if the jump's condition holds.
    pub jt: u8,
    /// The number of instructions to skip if it does not hold.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

const _: () = assert!(size_of::<Instruction>() == 8);

impl Instruction {
    /// Creates an instruction other than a conditional jump.
    pub const fn new(code: u16, k: u32) -> Self {
        Self { code, jt: 0, jf: 0, k }
    }
}

/// A verified classic BPF program, ready to run here or in the kernel.
///
/// A program always terminates, because jumps only go forward. It prints in the format of
/// `tcpdump -d`.
///
/// ```
/// use packet_filter::{Ancillary, Filter, LinkType, Options};
///
/// let filter: Filter = "ip proto 47".parse()?;
/// let program = filter.compile(LinkType::ETHERNET, &Options::file())?;
/// let mut frame = [0u8; 34];
/// frame[12..14].copy_from_slice(&[0x08, 0x00]);
/// frame[23] = 47;
/// assert_eq!(program.run(&frame, 34, &Ancillary::default()), 262_144);
/// assert_eq!(program.run(&frame[..20], 34, &Ancillary::default()), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Program {
    instructions: Vec<Instruction>,
    ops: Vec<Op>,
    /// `true` if the program writes scratch memory.
    scratch: bool,
}

impl Program {
    /// The maximum number of instructions of an interpreted program. Linux sockets accept 4,096.
    pub const MAX_LEN: usize = u16::MAX as usize;

    /// Verifies a program. The rules are those of the Linux kernel (net/core/filter.c,
    /// `bpf_check_classic`), except for the maximum length.
    ///
    /// # Errors
    ///
    /// The first rule that the program breaks.
    pub fn from_instructions(instructions: Vec<Instruction>) -> Result<Self, ProgramError> {
        verify::verify(&instructions)?;
        Ok(Self::trusted(instructions))
    }

    /// Creates a program from instructions that are known to be valid.
    pub(crate) fn trusted(instructions: Vec<Instruction>) -> Self {
        debug_assert_eq!(verify::verify(&instructions), Ok(()));
        let ops = decode::decode(&instructions);
        let scratch = ops.iter().any(|op| matches!(op, Op::Store(_) | Op::StoreIndex(_)));
        Self { instructions, ops, scratch }
    }

    /// The instructions.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// Runs the program over a packet. Returns the number of bytes of the packet to keep, 0 if it
    /// does not match.
    ///
    /// `data` is the captured part of the packet and `wire_len` its length on the wire, which is
    /// the value of `len`. A load beyond the end of `data` rejects the packet, as does a division
    /// by zero.
    pub fn run(&self, data: &[u8], wire_len: u32, ancillary: &Ancillary) -> u32 {
        // A filter that matches every packet must cost no more than this.
        if let [Op::Return(k)] = self.ops.as_slice() {
            *k
        } else if self.scratch {
            interpreter::run::<16>(&self.ops, data, wire_len, ancillary)
        } else {
            interpreter::run::<0>(&self.ops, data, wire_len, ancillary)
        }
    }

    /// The return value, if the program returns the same for every packet without looking at it.
    pub fn verdict(&self) -> Option<u32> {
        match self.instructions.as_slice() {
            [Instruction { code, k, .. }] if *code == code::RET | code::K => Some(*k),
            _ => None,
        }
    }
}

impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        self.instructions == other.instructions
    }
}

impl Eq for Program {}
