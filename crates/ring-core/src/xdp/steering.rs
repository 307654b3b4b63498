//! Selection of the packets for sockets; all others go to the kernel's stack.

use packet_filter::{EbpfInstruction, Filter, Options};
use ring_sys::bpf::Instruction;

use super::error::Error;
use crate::LinkType;
use crate::hardware;

/// The packets to redirect to sockets: a filter expression or its text.
///
/// ```
/// use ring_core::xdp;
///
/// let builder = xdp::Socket::builder("eth0").steer("udp port 53");
/// # let _ = builder;
/// ```
#[derive(Clone, Debug)]
pub struct SteeringFilter(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Expression(Filter, Options),
    /// The text of an expression, parsed when a socket is opened.
    Text(Box<str>),
}

impl SteeringFilter {
    /// An expression compiled with these options.
    #[must_use]
    pub fn expression(filter: Filter, options: Options) -> Self {
        Self(Kind::Expression(filter, options))
    }

    /// Compiles the filter for an interface of this hardware type. `None` if every packet passes.
    pub(crate) fn compile(&self, hardware_type: u16) -> Result<Option<Steering>, Error> {
        let parsed;
        let (filter, options) = match &self.0 {
            Kind::Expression(filter, options) => (filter, options),
            Kind::Text(expression) => {
                let filter: Filter = expression.parse().map_err(Error::FilterSyntax)?;
                parsed = (filter, Options::file());
                (&parsed.0, &parsed.1)
            }
        };
        let is_some = filter.expression().is_some();
        is_some.then(|| Steering::new(filter, options, hardware_type)).transpose()
    }
}

/// Accepts a filter expression.
impl From<Filter> for SteeringFilter {
    fn from(filter: Filter) -> Self {
        Self::expression(filter, Options::file())
    }
}

/// Accepts the text of a filter expression. It is parsed when a socket is opened, which returns
/// [`Error::FilterSyntax`] if it is invalid.
impl From<&str> for SteeringFilter {
    fn from(expression: &str) -> Self {
        Self(Kind::Text(expression.into()))
    }
}

/// As for `&str`.
impl From<String> for SteeringFilter {
    fn from(expression: String) -> Self {
        Self(Kind::Text(expression.into()))
    }
}

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
