//! Filters: an expression, or no condition at all.

use std::fmt;
use std::net::IpAddr;
use std::ops::{BitAnd, BitOr, Not};
use std::str::FromStr;

use packet::LinkType;

use crate::compile;
use crate::ebpf::XdpFragment;
use crate::error::{CompileError, ParseError};
use crate::expression::{Direction, Expression, Primitive, Protocol};
use crate::mentions::Mentions;
use crate::network::Network;
use crate::options::{ExtensionHeaders, Options};
use crate::parser;
use crate::program::Program;

/// A condition on packets, parsed from an expression of pcap-filter(7) or built in code.
///
/// ```
/// use packet_filter::{Filter, Protocol};
///
/// let parsed: Filter = "tcp and not port 22".parse()?;
/// let built = Filter::from(Protocol::Tcp) & !Filter::port(22);
/// assert_eq!(parsed, built);
/// assert_eq!(built.to_string(), "tcp and not port 22");
/// # Ok::<(), packet_filter::ParseError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    expression: Option<Expression>,
}

impl Filter {
    /// The filter that matches every packet: the empty expression.
    pub fn everything() -> Self {
        Self::default()
    }

    /// `host address`
    pub fn host(address: IpAddr) -> Self {
        Primitive::Host { protocol: None, direction: Direction::Either, address }.into()
    }

    /// `net network`
    pub fn net(network: Network) -> Self {
        Primitive::Net { protocol: None, direction: Direction::Either, network }.into()
    }

    /// `port port`
    pub fn port(port: u16) -> Self {
        Primitive::Port { transport: None, direction: Direction::Either, port }.into()
    }

    /// The tree. `None` if every packet matches.
    pub fn expression(&self) -> Option<&Expression> {
        self.expression.as_ref()
    }

    /// Returns `true` if the expression tests fields that only the first fragment of an IP datagram
    /// has, such as ports, without looking at fragmentation itself (`ip[6:2]`). A program has no
    /// memory between packets, so it rejects the later fragments.
    pub fn misses_fragments(&self) -> bool {
        self.mentions().is_some_and(|seen| seen.transport && !seen.fragmentation)
    }

    fn mentions(&self) -> Option<Mentions> {
        self.expression.as_ref().map(Mentions::of)
    }

    /// Returns `true` if the conditions of the expression contradict each other, so that no packet
    /// can match. The check is conservative: `false` means that no contradiction was found.
    ///
    /// ```
    /// use packet_filter::{Filter, LinkType, Options};
    ///
    /// let rejects_all = |text: &str| {
    ///     text.parse::<Filter>().unwrap().rejects_all(LinkType::ETHERNET, &Options::file())
    /// };
    /// assert_eq!(rejects_all("icmp and tcp"), Ok(true));
    /// assert_eq!(rejects_all("icmp or tcp"), Ok(false));
    /// ```
    ///
    /// # Errors
    ///
    /// As [`compile`](Self::compile).
    pub fn rejects_all(
        &self,
        link_type: LinkType,
        options: &Options,
    ) -> Result<bool, CompileError> {
        let verdict = |options| -> Result<_, CompileError> {
            Ok(self.compile(link_type, &options)?.verdict())
        };
        let followed = options.extension_headers == ExtensionHeaders::Followed;
        Ok(verdict(*options)? == Some(0)
            // The many paths through a chain of extension headers hide contradictions. If the
            // expression does not mention these headers, ignoring them cannot change the answer.
            || followed
                && self.mentions().is_some_and(|seen| !seen.extension_headers)
                && verdict(options.extension_headers(ExtensionHeaders::Ignored))? == Some(0))
    }

    /// Compiles to a classic BPF program for packets that begin with a header of this link type.
    ///
    /// # Errors
    ///
    /// If the link type is not supported or has no field that a primitive could test, a number is
    /// out of range, or the program exceeds the maximum length for its target.
    pub fn compile(&self, link_type: LinkType, options: &Options) -> Result<Program, CompileError> {
        compile::compile(self.expression(), link_type.try_into()?, options)
    }

    /// Compiles to a fragment of an XDP program, for Ethernet frames with every VLAN tag in the
    /// frame.
    ///
    /// # Errors
    ///
    /// As [`compile`](Self::compile) for a file.
    pub fn xdp(&self, options: &Options) -> Result<XdpFragment, CompileError> {
        self.xdp_for(LinkType::ETHERNET, options)
    }

    /// Compiles to a fragment of an XDP program for packets that begin with a header of this link
    /// type. An interface without a link layer, such as a tunnel's, has [`LinkType::RAW`].
    ///
    /// # Errors
    ///
    /// As [`compile`](Self::compile) for a file.
    pub fn xdp_for(
        &self,
        link_type: LinkType,
        options: &Options,
    ) -> Result<XdpFragment, CompileError> {
        let options = options.target(crate::options::Target::File);
        XdpFragment::new(&self.compile(link_type, &options)?)
    }
}

impl FromStr for Filter {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Ok(Self { expression: parser::parse(text)? })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expression.as_ref().map_or(Ok(()), |expression| expression.fmt(f))
    }
}

impl From<Expression> for Filter {
    fn from(expression: Expression) -> Self {
        Self { expression: Some(expression) }
    }
}

impl From<Primitive> for Filter {
    fn from(primitive: Primitive) -> Self {
        Expression::from(primitive).into()
    }
}

impl From<Protocol> for Filter {
    fn from(protocol: Protocol) -> Self {
        Primitive::Protocol(protocol).into()
    }
}

/// Both filters. [`everything`](Filter::everything) is the neutral element.
impl BitAnd for Filter {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        match (self.expression, other.expression) {
            (Some(one), Some(other)) => one.and(other).into(),
            (one, other) => Self { expression: one.or(other) },
        }
    }
}

/// Either filter.
impl BitOr for Filter {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        match (self.expression, other.expression) {
            (Some(one), Some(other)) => one.or(other).into(),
            _ => Self::everything(),
        }
    }
}

/// The opposite filter. The opposite of [`everything`](Filter::everything) is
/// `less 0 and not less 0`, which matches no packet.
impl Not for Filter {
    type Output = Self;

    fn not(self) -> Self {
        match self.expression {
            Some(expression) => expression.negated().into(),
            None => {
                let empty = Expression::from(Primitive::Less(0));
                empty.clone().and(empty.negated()).into()
            }
        }
    }
}
