//! The parts of a packet that an expression refers to, as far as they decide how it is applied.

use crate::expression::{Arithmetic, Expression, Header, Primitive, Protocol, ProtocolLayer};

/// The parts of packets that an expression refers to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mentions {
    /// A transport header, which only the first fragment of a datagram has.
    pub(crate) transport: bool,
    /// The fields that distinguish fragments from whole datagrams.
    pub(crate) fragmentation: bool,
    /// IPv6 extension headers, or the bytes in which they would be.
    pub(crate) extension_headers: bool,
}

impl Mentions {
    pub(crate) fn of(expression: &Expression) -> Self {
        let mut seen = Self::default();
        let mut pending = vec![expression];
        while let Some(expression) = pending.pop() {
            match expression {
                Expression::Primitive(primitive) => seen.primitive(primitive),
                Expression::Relation(relation) => {
                    seen.arithmetic(&relation.left);
                    seen.arithmetic(&relation.right);
                }
                Expression::Not(inner) => pending.push(inner),
                Expression::And(operands) | Expression::Or(operands) => {
                    pending.extend(operands.iter());
                }
            }
        }
        seen
    }

    fn primitive(&mut self, primitive: &Primitive) {
        match primitive {
            Primitive::Port { .. } | Primitive::PortRange { .. } | Primitive::Geneve(_) => {
                self.transport = true;
            }
            Primitive::Proto { layer: ProtocolLayer::Any | ProtocolLayer::Ip6, number } => {
                // Hop-by-hop options, routing, fragment, authentication, destination options.
                self.extension_headers |= matches!(number, 0 | 43 | 44 | 51 | 60);
            }
            Primitive::ProtoChain { .. } | Primitive::Protocol(Protocol::Ah) => {
                self.extension_headers = true;
            }
            _ => {}
        }
    }

    fn arithmetic(&mut self, arithmetic: &Arithmetic) {
        let mut pending = vec![arithmetic];
        while let Some(arithmetic) = pending.pop() {
            match arithmetic {
                Arithmetic::Number(_) | Arithmetic::Length => {}
                Arithmetic::Load { header, offset, .. } => {
                    self.load(*header, offset);
                    pending.push(offset);
                }
                Arithmetic::Negate(inner) => pending.push(inner),
                Arithmetic::Binary { left, right, .. } => pending.extend([&**left, right]),
            }
        }
    }

    fn load(&mut self, header: Header, offset: &Arithmetic) {
        match (header, offset) {
            // Identification, flags and offset of IPv4 (RFC 791), and the bytes of an IPv6 fragment
            // header that follows the fixed header.
            (Header::Ip, Arithmetic::Number(4..=7))
            | (Header::Ip6, Arithmetic::Number(40..=47)) => {
                self.fragmentation = true;
            }
            (
                Header::Tcp
                | Header::Udp
                | Header::Sctp
                | Header::Icmp
                | Header::Icmp6
                | Header::Igmp
                | Header::Igrp
                | Header::Pim
                | Header::Vrrp
                | Header::Carp,
                _,
            ) => self.transport = true,
            _ => {}
        }
    }
}
