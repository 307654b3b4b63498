//! Selection of the packets for sockets; all others go to the kernel's stack.

use packet_filter::{EbpfInstruction, Filter, Options};
use ring_sys::bpf::Instruction;
use ring_sys::interface;

use super::error::Error;
use crate::LinkType;
use crate::hardware;

/// A filter compiled for an XDP program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Steering {
    /// Code in the form that [`assembly::redirect`](super::assembly::redirect) takes.
    pub(crate) code: Vec<Instruction>,
}

impl Steering {
    /// Compiles a filter for the packets of an interface of this hardware type.
    pub(crate) fn new(
        filter: &Filter,
        options: &Options,
        hardware_type: u16,
    ) -> Result<Self, Error> {
        let link_type = link_type(hardware_type);
        let fragment = filter.xdp_for(link_type, options).map_err(Error::Filter)?;
        let convert = |instruction: &EbpfInstruction| Instruction {
            code: instruction.code,
            registers: instruction.registers,
            offset: instruction.offset,
            immediate: instruction.immediate,
        };
        Ok(Self { code: fragment.instructions().iter().map(convert).collect() })
    }
}

/// The link type of packets of an interface, as an XDP program sees them.
pub(crate) fn link_type(hardware_type: u16) -> LinkType {
    // XDP programs run on Ethernet frames and, in generic mode, on the bare IP packets of links
    // without a header.
    match hardware::of_hardware(hardware_type) {
        LinkType::RAW => LinkType::RAW,
        _ => LinkType::ETHERNET,
    }
}

/// The hardware type of an interface. A missing interface counts as Ethernet; opening it fails
/// anyway.
pub(crate) fn hardware_type(interface: &str) -> u16 {
    interface::hardware_type(interface).unwrap_or(interface::ARPHRD_ETHER)
}
