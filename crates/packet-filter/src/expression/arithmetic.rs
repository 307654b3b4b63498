//! Numbers that are computed from a packet.

use super::{Comparison, Expression, Relation};

/// An unsigned 32-bit number, computed modulo 2³².
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// A constant.
    Number(u32),
    /// The length of the packet on the wire, in bytes: `len`.
    Length,
    /// Bytes of a header, in network byte order: `tcp[2:2]`. A packet without that header does not
    /// match the relation. A packet too short for the bytes is rejected, whatever the rest of the
    /// expression is.
    Load {
        /// The header.
        header: Header,
        /// The offset from the start of the header, in bytes.
        offset: Box<Self>,
        /// The number of bytes.
        width: Width,
    },
    /// The negative number.
    Negate(Box<Self>),
    /// A binary operation.
    Binary {
        /// The operator.
        operator: BinaryOperator,
        /// The number on the left.
        left: Box<Self>,
        /// The number on the right.
        right: Box<Self>,
    },
}

impl Arithmetic {
    /// Bytes of a header at a constant offset.
    pub fn load(header: Header, offset: u32, width: Width) -> Self {
        Self::Load { header, offset: Box::new(Self::Number(offset)), width }
    }

    /// Combines this number with another.
    #[must_use]
    pub fn binary(self, operator: BinaryOperator, right: Self) -> Self {
        Self::Binary { operator, left: Box::new(self), right: Box::new(right) }
    }

    /// The condition that compares this number with another.
    pub fn compare(self, comparison: Comparison, right: Self) -> Expression {
        Expression::Relation(Relation { left: self, comparison, right })
    }

    /// Returns `true` if no node of the tree has more than `limit` ancestors. Not recursive, so a
    /// deep tree cannot overflow the stack.
    pub(crate) fn is_within(&self, limit: usize) -> bool {
        let mut pending = vec![(self, 0)];
        while let Some((arithmetic, depth)) = pending.pop() {
            if depth > limit {
                return false;
            }
            match arithmetic {
                Self::Number(_) | Self::Length => {}
                Self::Load { offset: inner, .. } | Self::Negate(inner) => {
                    pending.push((inner, depth + 1));
                }
                Self::Binary { left, right, .. } => {
                    pending.push((left, depth + 1));
                    pending.push((right, depth + 1));
                }
            }
        }
        true
    }
}

impl From<u32> for Arithmetic {
    fn from(number: u32) -> Self {
        Self::Number(number)
    }
}

/// A binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOperator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`: a packet for which the divisor is zero does not match.
    Divide,
    /// `%`: a packet for which the divisor is zero does not match.
    Modulo,
    /// `&`
    And,
    /// `|`
    Or,
    /// `^`
    Xor,
    /// `<<`: a shift by 32 or more gives zero.
    ShiftLeft,
    /// `>>`: a shift by 32 or more gives zero.
    ShiftRight,
}

impl BinaryOperator {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::And => "&",
            Self::Or => "|",
            Self::Xor => "^",
            Self::ShiftLeft => "<<",
            Self::ShiftRight => ">>",
        }
    }
}

/// A header whose bytes can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Header {
    /// The link-layer header: `ether[…]`, `link[…]`.
    Link,
    /// `radio[…]`: the header in front of an 802.11 frame.
    Radio,
    /// `ip[…]`
    Ip,
    /// `ip6[…]`
    Ip6,
    /// `arp[…]`
    Arp,
    /// `rarp[…]`
    Rarp,
    /// `tcp[…]`: over IPv4, in the first fragment.
    Tcp,
    /// `udp[…]`: over IPv4, in the first fragment.
    Udp,
    /// `sctp[…]`: over IPv4, in the first fragment.
    Sctp,
    /// `icmp[…]`: in the first fragment.
    Icmp,
    /// `igmp[…]`: in the first fragment.
    Igmp,
    /// `igrp[…]`: in the first fragment.
    Igrp,
    /// `pim[…]`: over IPv4, in the first fragment.
    Pim,
    /// `vrrp[…]`: in the first fragment.
    Vrrp,
    /// `carp[…]`: in the first fragment.
    Carp,
    /// `icmp6[…]`
    Icmp6,
    /// `atalk[…]`
    Atalk,
    /// `decnet[…]`
    Decnet,
    /// `lat[…]`
    Lat,
    /// `sca[…]`
    Sca,
    /// `moprc[…]`
    Moprc,
    /// `mopdl[…]`
    Mopdl,
}

impl Header {
    pub(crate) fn keyword(self) -> &'static str {
        match self {
            Self::Link => "ether",
            Self::Radio => "radio",
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Arp => "arp",
            Self::Rarp => "rarp",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
            Self::Icmp => "icmp",
            Self::Igmp => "igmp",
            Self::Igrp => "igrp",
            Self::Pim => "pim",
            Self::Vrrp => "vrrp",
            Self::Carp => "carp",
            Self::Icmp6 => "icmp6",
            Self::Atalk => "atalk",
            Self::Decnet => "decnet",
            Self::Lat => "lat",
            Self::Sca => "sca",
            Self::Moprc => "moprc",
            Self::Mopdl => "mopdl",
        }
    }
}

/// The number of bytes in a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// One byte.
    One,
    /// Two bytes.
    Two,
    /// Four bytes.
    Four,
}
