//! Classic BPF programs for sockets (`linux/filter.h`).

/// One instruction, `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// Operation, addressing mode and operand size.
    pub code: u16,
    /// Number of instructions to skip if a jump's condition is true.
    pub jump_true: u8,
    /// Number of instructions to skip if it is false.
    pub jump_false: u8,
    /// The operand.
    pub k: u32,
}

const _: () = assert!(size_of::<Instruction>() == 8 && align_of::<Instruction>() == 4);

impl Instruction {
    /// Creates a statement.
    #[must_use]
    pub const fn statement(code: u16, k: u32) -> Self {
        Self { code, jump_true: 0, jump_false: 0, k }
    }

    /// Creates a conditional jump.
    #[must_use]
    pub const fn jump(code: u16, k: u32, jump_true: u8, jump_false: u8) -> Self {
        Self { code, jump_true, jump_false, k }
    }
}

/// The maximum number of instructions in a program, `BPF_MAXINSNS`.
pub const LONGEST_PROGRAM: usize = 4096;

/// Load the operand.
pub const LD_IMM: u16 = 0x00;
/// Load a 32-bit word at an absolute offset.
pub const LD_W_ABS: u16 = 0x20;
/// Load a byte at an absolute offset.
pub const LD_B_ABS: u16 = 0x30;
/// Skip as many instructions as the operand gives.
pub const JMP_JA: u16 = 0x05;
/// Jump if the accumulator equals the operand.
pub const JMP_JEQ_K: u16 = 0x15;
/// Return the operand: the number of bytes to keep of the packet, 0 to drop it.
pub const RET_K: u16 = 0x06;
/// Return the accumulator.
pub const RET_A: u16 = 0x16;

/// Offset of the ancillary data, `SKF_AD_OFF`.
pub const ANCILLARY: u32 = 0xffff_f000;
/// The packet's type (to this host, outgoing, …), `SKF_AD_PKTTYPE`.
pub const ANCILLARY_PACKET_TYPE: u32 = ANCILLARY + 4;
/// The type of the interface's hardware, `SKF_AD_HATYPE`.
pub const ANCILLARY_HARDWARE_TYPE: u32 = ANCILLARY + 28;
