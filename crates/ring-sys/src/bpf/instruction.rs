//! eBPF instructions (`Documentation/bpf/standardization/instruction-set.rst`).

use std::os::fd::{AsRawFd as _, BorrowedFd};

/// One instruction, `struct bpf_insn`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// Class, operation and source.
    pub code: u8,
    /// Destination register in the lower half, source register in the upper half (on little-endian
    /// machines).
    pub registers: u8,
    /// Offset of a memory operand or a jump.
    pub offset: i16,
    /// Immediate operand.
    pub immediate: i32,
}

const _: () = assert!(size_of::<Instruction>() == 8 && align_of::<Instruction>() == 4);

/// A register, 0 to 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Register {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

/// Load a word from memory.
pub const LDX_W: u8 = 0x61;
/// Load a double word from memory.
pub const LDX_DW: u8 = 0x79;
/// Store a double word to memory.
pub const STX_DW: u8 = 0x7b;
/// Store an immediate, sign-extended, as a double word.
pub const ST_DW: u8 = 0x7a;
/// Load a double-word immediate, which takes two instructions.
pub const LD_IMM_DW: u8 = 0x18;
/// Move an immediate, 64 bits.
pub const MOV_K: u8 = 0xb7;
/// Move a register, 64 bits.
pub const MOV_X: u8 = 0xbf;
/// Add an immediate, 64 bits.
pub const ADD_K: u8 = 0x07;
/// Jump.
pub const JA: u8 = 0x05;
/// Jump if equal to an immediate.
pub const JEQ_K: u8 = 0x15;
/// Jump if not equal to an immediate.
pub const JNE_K: u8 = 0x55;
/// Jump if greater than a register, unsigned.
pub const JGT_X: u8 = 0x2d;
/// Call a helper of the kernel.
pub const CALL: u8 = 0x85;
/// Return.
pub const EXIT: u8 = 0x95;

/// `bpf_ktime_get_ns`
pub const HELPER_KTIME_GET_NS: i32 = 5;
/// `bpf_redirect_map`
pub const HELPER_REDIRECT_MAP: i32 = 51;
/// `bpf_xdp_adjust_meta`
pub const HELPER_XDP_ADJUST_META: i32 = 54;

impl Instruction {
    /// Creates an instruction. Fields that it does not use are 0.
    #[must_use]
    pub const fn new(
        code: u8,
        destination: Register,
        source: Register,
        offset: i16,
        immediate: i32,
    ) -> Self {
        let (low, high) = if cfg!(target_endian = "little") {
            (destination as u8, source as u8)
        } else {
            (source as u8, destination as u8)
        };
        Self { code, registers: high << 4 | low, offset, immediate }
    }

    /// Loads a map's address into a register, which takes two instructions. The map must live until
    /// the program is loaded.
    #[must_use]
    pub fn load_map(destination: Register, map: BorrowedFd<'_>) -> [Self; 2] {
        /// `BPF_PSEUDO_MAP_FD` in place of the source register.
        const PSEUDO_MAP: Register = Register::R1;
        [Self::new(LD_IMM_DW, destination, PSEUDO_MAP, 0, map.as_raw_fd()), Self::default()]
    }

    /// Calls a helper of the kernel.
    #[must_use]
    pub const fn call(helper: i32) -> Self {
        Self::new(CALL, Register::R0, Register::R0, 0, helper)
    }

    /// Returns register 0.
    #[must_use]
    pub const fn exit() -> Self {
        Self::new(EXIT, Register::R0, Register::R0, 0, 0)
    }
}
