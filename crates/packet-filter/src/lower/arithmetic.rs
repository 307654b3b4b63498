//! Lowers relations between numbers.
//!
//! Bytes of a header can be read only if the header is present, so a relation carries the tests for
//! the headers that it names. As in libpcap, the tests of a binary operation are those of its left
//! operand only.

use super::{Lowering, Offset, link, test};
use crate::error::CompileError;
use crate::expression::{Arithmetic, BinaryOperator, Comparison, Header, Protocol, Relation};
use crate::ir::{Branch, Condition, Operand, Test, Value, ValueId};
use crate::link::Link;

/// The kernel treats offsets above this as its own variables (linux/filter.h, `SKF_AD_OFF`,
/// `SKF_NET_OFF`).
const MAX_OFFSET: u32 = i32::MAX as u32;

/// A value, and the tests that must hold for the value to be defined.
struct Number {
    value: ValueId,
    present: Condition,
}

impl Lowering<'_> {
    pub(super) fn relation(&mut self, relation: &Relation) -> Result<Condition, CompileError> {
        let left = self.number(&relation.left)?;
        let right = self.number(&relation.right)?;
        let (branch, holds) = match relation.comparison {
            Comparison::Equal => (Branch::Equal, true),
            Comparison::NotEqual => (Branch::Equal, false),
            Comparison::Greater => (Branch::Greater, true),
            Comparison::LessOrEqual => (Branch::Greater, false),
            Comparison::GreaterOrEqual => (Branch::GreaterOrEqual, true),
            Comparison::Less => (Branch::GreaterOrEqual, false),
        };
        let compared = self.compared(left.value, branch, right.value);
        let compared = if holds { compared } else { compared.negated() };
        Ok(left.present.and(right.present).and(compared))
    }

    fn compared(&mut self, left: ValueId, branch: Branch, right: ValueId) -> Condition {
        match (self.values.value(left), self.values.value(right)) {
            (_, Value::Constant(number)) => self.masked_test(left, branch, number),
            (Value::Constant(number), _) => match branch {
                Branch::Equal => self.masked_test(right, Branch::Equal, number),
                // c > x is not x >= c
                Branch::Greater => test(right, Branch::GreaterOrEqual, number).negated(),
                Branch::GreaterOrEqual => test(right, Branch::Greater, number).negated(),
                Branch::AnyBit => test(right, Branch::AnyBit, number),
            },
            _ if left == right => Condition::Always(branch != Branch::Greater),
            _ => Condition::Test(Test {
                value: left,
                comparison: branch,
                right: Operand::Value(right),
            }),
        }
    }

    /// Lowers a comparison of `x & mask` with zero to the machine's own bit test (`JSET`).
    fn masked_test(&mut self, value: ValueId, branch: Branch, number: u32) -> Condition {
        if let (Value::Binary(BinaryOperator::And, inner, mask), Branch::Equal, 0) =
            (self.values.value(value), branch, number)
            && let Value::Constant(mask) = self.values.value(mask)
        {
            return test(inner, Branch::AnyBit, mask).negated();
        }
        self.compare(value, branch, number)
    }

    fn number(&mut self, arithmetic: &Arithmetic) -> Result<Number, CompileError> {
        let always = Condition::Always(true);
        Ok(match arithmetic {
            Arithmetic::Number(number) => {
                Number { value: self.values.constant(*number), present: always }
            }
            Arithmetic::Length => Number { value: self.values.length(), present: always },
            Arithmetic::Negate(inner) => {
                let inner = self.number(inner)?;
                Number { value: self.values.negate(inner.value), present: inner.present }
            }
            Arithmetic::Binary { operator, left, right } => {
                let left = self.number(left)?;
                let right = self.number(right)?;
                if let Value::Constant(number) = self.values.value(right.value) {
                    constant_operand(*operator, number)?;
                }
                let value = self.values.binary(*operator, left.value, right.value);
                Number { value, present: left.present }
            }
            Arithmetic::Load { header, offset, width } => {
                let offset = self.number(offset)?;
                let (at, present) = match header {
                    Header::Link => (self.layout.header, offset.present),
                    Header::Radio => (self.radio_header()?, offset.present),
                    Header::Tcp => self.transport(Protocol::Tcp, offset.present)?,
                    Header::Udp => self.transport(Protocol::Udp, offset.present)?,
                    Header::Sctp => self.transport(Protocol::Sctp, offset.present)?,
                    Header::Icmp => self.transport(Protocol::Icmp, offset.present)?,
                    Header::Igmp => self.transport(Protocol::Igmp, offset.present)?,
                    Header::Igrp => self.transport(Protocol::Igrp, offset.present)?,
                    Header::Pim => self.transport(Protocol::Pim, offset.present)?,
                    Header::Vrrp => self.transport(Protocol::Vrrp, offset.present)?,
                    Header::Carp => self.transport(Protocol::Carp, offset.present)?,
                    Header::Icmp6 => {
                        let ip6 = self.ether_type(link::IP6)?;
                        let network = self.layout.network();
                        let next = self.equal(network, 6, crate::expression::Width::One, 58);
                        (network.plus(40), offset.present.and(ip6).and(next))
                    }
                    Header::Ip => self.network_header(Protocol::Ip, offset.present)?,
                    Header::Ip6 => self.network_header(Protocol::Ip6, offset.present)?,
                    Header::Arp => self.network_header(Protocol::Arp, offset.present)?,
                    Header::Rarp => self.network_header(Protocol::Rarp, offset.present)?,
                    Header::Atalk => self.network_header(Protocol::Atalk, offset.present)?,
                    Header::Decnet => self.network_header(Protocol::Decnet, offset.present)?,
                    Header::Lat => self.network_header(Protocol::Lat, offset.present)?,
                    Header::Sca => self.network_header(Protocol::Sca, offset.present)?,
                    Header::Moprc => self.network_header(Protocol::Moprc, offset.present)?,
                    Header::Mopdl => self.network_header(Protocol::Mopdl, offset.present)?,
                };
                let index = match at.index {
                    Some(index) => self.values.binary(BinaryOperator::Add, index, offset.value),
                    None => offset.value,
                };
                let value = self.indexed(index, at.constant, *width)?;
                Number { value, present }
            }
        })
    }

    /// The header in front of an 802.11 frame, with which the packet begins.
    fn radio_header(&self) -> Result<Offset, CompileError> {
        match self.link_type {
            Link::Radiotap | Link::Avs | Link::Prism => Ok(Offset::at(0)),
            link_type => {
                Err(CompileError::LinkType { primitive: "radio", link_type: link_type.into() })
            }
        }
    }

    /// Bytes at a computed offset. The constant part of the offset moves into the instruction.
    fn indexed(
        &mut self,
        index: ValueId,
        constant: u32,
        width: crate::expression::Width,
    ) -> Result<ValueId, CompileError> {
        let (index, constant) = match self.values.value(index) {
            Value::Constant(more) => (None, constant.wrapping_add(more)),
            Value::Binary(BinaryOperator::Add, inner, more) => match self.values.value(more) {
                // The offset in an instruction cannot be negative. A load before the header keeps
                // its computed index.
                Value::Constant(more) if constant.wrapping_add(more) <= MAX_OFFSET => {
                    (Some(inner), constant.wrapping_add(more))
                }
                _ => (Some(index), constant),
            },
            _ => (Some(index), constant),
        };
        if index.is_none() && constant > MAX_OFFSET {
            return Err(CompileError::Offset { offset: constant });
        }
        Ok(self.values.load(index, constant, width))
    }

    fn network_header(
        &mut self,
        protocol: Protocol,
        before: Condition,
    ) -> Result<(Offset, Condition), CompileError> {
        let present = before.and(self.protocol(protocol)?);
        Ok((self.layout.network(), present))
    }

    fn transport(
        &mut self,
        protocol: Protocol,
        before: Condition,
    ) -> Result<(Offset, Condition), CompileError> {
        let ip = self.ether_type(link::IP)?;
        let protocol = self.protocol(protocol)?;
        let first_fragment = self.first_fragment();
        let present = before.and(ip).and(protocol).and(first_fragment);
        Ok((self.ip_transport(), present))
    }
}

fn constant_operand(operator: BinaryOperator, number: u32) -> Result<(), CompileError> {
    match operator {
        BinaryOperator::Divide | BinaryOperator::Modulo if number == 0 => {
            Err(CompileError::Arithmetic { what: "division by zero" })
        }
        BinaryOperator::ShiftLeft | BinaryOperator::ShiftRight if number > 31 => {
            Err(CompileError::Arithmetic { what: "a shift goes up to 31 bits" })
        }
        _ => Ok(()),
    }
}
