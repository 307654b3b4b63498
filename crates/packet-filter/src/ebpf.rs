//! A filter as a fragment of an XDP program.

mod translate;

use crate::error::CompileError;
use crate::program::Program;

/// One eBPF instruction, laid out as `struct bpf_insn` of linux/bpf.h on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct EbpfInstruction {
    /// The operation code.
    pub code: u8,
    /// The destination and source registers, packed as in the C bit-field.
    pub registers: u8,
    /// The distance of a jump, or the offset of a memory access.
    pub offset: i16,
    /// The operand.
    pub immediate: i32,
}

const _: () = assert!(size_of::<EbpfInstruction>() == 8);

impl EbpfInstruction {
    /// Creates an instruction from register numbers.
    pub const fn new(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Self {
        let registers = if cfg!(target_endian = "little") {
            destination & 0xf | source << 4
        } else {
            destination << 4 | source & 0xf
        };
        Self { code, registers, offset, immediate }
    }
}

/// The return code of an XDP program (linux/bpf.h, `enum xdp_action`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum XdpAction {
    /// `XDP_ABORTED`
    Aborted = 0,
    /// `XDP_DROP`
    Drop = 1,
    /// `XDP_PASS`
    Pass = 2,
    /// `XDP_TX`
    Transmit = 3,
}

/// Instructions that decide whether a packet matches, to be embedded in an XDP program.
///
/// On entry, `r1` holds the program's context (`struct xdp_md`). Control leaves at the end of the
/// fragment, with the filter's snap length in `r0` if the packet matches and zero if not. The
/// fragment preserves `r1`, `r6`, `r7`, `r8` and `r9`. It clobbers `r2` to `r5` and uses the stack
/// from `r10 - 64` to `r10 - 1`. The kernel's verifier accepts it: every load is checked against
/// the end of the packet, and there are no loops and no calls.
///
/// The length of the packet is that of its linear part. The fragment does not see the rest of a
/// multi-buffer packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XdpFragment {
    instructions: Vec<EbpfInstruction>,
}

impl XdpFragment {
    /// Bytes of stack that the fragment uses, down from `r10`.
    pub const STACK: usize = 64;

    /// Translates a classic program whose offsets are those of an Ethernet frame.
    ///
    /// # Errors
    ///
    /// If the program loads kernel metadata, or a jump is too far for eBPF.
    pub fn new(program: &Program) -> Result<Self, CompileError> {
        Ok(Self { instructions: translate::translate(program.instructions())? })
    }

    /// The instructions.
    pub fn instructions(&self) -> &[EbpfInstruction] {
        &self.instructions
    }

    /// Builds a complete program that returns `matching` for packets that match and `other` for the
    /// rest.
    pub fn program(&self, matching: XdpAction, other: XdpAction) -> Vec<EbpfInstruction> {
        let mut program = self.instructions.clone();
        program.extend(translate::verdict(matching as i32, other as i32));
        program
    }
}
