//! A filter as a fragment of an XDP program.

mod translate;

use crate::error::CompileError;
use crate::program::Program;

/// One eBPF instruction, laid out as `struct bpf_insn` of linux/bpf.h on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct EbpfInstruction {
    /// What to do.
    pub code: u8,
    /// The destination register and the source register, as the C bit-field has them.
    pub registers: u8,
    /// A jump's distance or a memory access's offset.
    pub offset: i16,
    /// The operand.
    pub immediate: i32,
}

const _: () = assert!(size_of::<EbpfInstruction>() == 8);

impl EbpfInstruction {
    /// An instruction with its registers by number.
    pub const fn new(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Self {
        let registers = if cfg!(target_endian = "little") {
            destination & 0xf | source << 4
        } else {
            destination << 4 | source & 0xf
        };
        Self { code, registers, offset, immediate }
    }
}

/// What an XDP program does with a packet (linux/bpf.h, `enum xdp_action`).
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

/// Instructions that decide whether an XDP program's packet matches, to be put into a program.
///
/// On entry, `r1` is the program's context (`struct xdp_md`). The fragment falls off its end with `r0` zero if the
/// packet does not match, else the snap length of the filter. It keeps `r1`, `r6`, `r7`, `r8` and `r9`, changes
/// `r2` to `r5`, and uses the stack from `r10 - 64` to `r10 - 1`. Every load is checked against the end of the packet; it
/// has no loops and calls nothing, so the kernel's verifier takes it.
///
/// The length of the packet is that of its linear part; the part of a multi-buffer packet beyond it is not seen.
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
    /// If the program loads kernel metadata, or gets too long for eBPF's jumps.
    pub fn new(program: &Program) -> Result<Self, CompileError> {
        Ok(Self { instructions: translate::translate(program.instructions())? })
    }

    /// The instructions.
    pub fn instructions(&self) -> &[EbpfInstruction] {
        &self.instructions
    }

    /// A whole program that returns one action for packets that match and one for those that do not.
    pub fn program(&self, matching: XdpAction, other: XdpAction) -> Vec<EbpfInstruction> {
        let mut program = self.instructions.clone();
        program.extend(translate::verdict(matching as i32, other as i32));
        program
    }
}
