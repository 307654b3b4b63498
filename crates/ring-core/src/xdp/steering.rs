//! Which packets go to the sockets: the others go on to the kernel's stack.

use packet_filter::{EbpfInstruction, Filter, Options};
use ring_sys::bpf::Instruction;

use super::error::XdpError;

/// A filter as code of an XDP program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Steering {
    /// As [`assembly::redirect`](super::assembly::redirect) wants it.
    pub(crate) code: Vec<Instruction>,
}

impl Steering {
    /// Compiles a filter; `None` for one that every packet passes.
    pub(crate) fn new(filter: &Filter) -> Result<Option<Self>, XdpError> {
        if filter.expression().is_none() {
            return Ok(None);
        }
        let fragment = filter.xdp(&Options::file()).map_err(XdpError::Filter)?;
        let convert = |instruction: &EbpfInstruction| Instruction {
            code: instruction.code,
            registers: instruction.registers,
            offset: instruction.offset,
            immediate: instruction.immediate,
        };
        Ok(Some(Self { code: fragment.instructions().iter().map(convert).collect() }))
    }
}
