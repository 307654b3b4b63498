//! Lowers an expression to tests of packet bytes for one link type.
//!
//! The semantics, including the order of the tests, are those of libpcap 1.10. Order is visible,
//! because a load beyond the end of a packet rejects the packet immediately. `vlan`, `mpls`,
//! `pppoes` and `geneve` move the offsets at which everything to their right looks for its headers,
//! whether `and` or `or` joins them.

mod address;
mod arithmetic;
mod decnet;
mod encapsulation;
mod layout;
mod link;
mod llc;
mod log;
mod port;
mod protocol;
mod wireless;

use crate::error::CompileError;
use crate::expression::{
    BinaryOperator, Direction, Expression, HostProtocol, Layer, MulticastLayer, Primitive,
    ProtocolLayer, Width,
};
use crate::ir::{Branch, Condition, Operand, Test, ValueId, Values};
use crate::link::Link;
use crate::options::{Options, Target};
use layout::{Framing, Layout, Offset};
use log::{LOG_INTERFACE, LOG_RULESET};

/// The maximum number of extension headers that are followed after an IPv6 header, and of
/// authentication headers after an IPv4 header.
pub const MAX_EXTENSION_HEADERS: usize = 8;

/// Offsets of the kernel variables in use (linux/filter.h, `SKF_AD_…`).
const PACKET_TYPE: u32 = 4;
const INTERFACE_INDEX: u32 = 8;
const VLAN_TAG: u32 = 44;
const VLAN_TAG_PRESENT: u32 = 48;

/// `PACKET_OUTGOING` (linux/if_packet.h). The headers of cooked captures use the same number.
const OUTGOING: u32 = 4;

pub(crate) struct Lowering<'a> {
    link_type: Link,
    options: &'a Options,
    values: Values,
    layout: Layout,
}

impl<'a> Lowering<'a> {
    pub(crate) fn new(link_type: Link, options: &'a Options) -> Self {
        let mut values = Values::default();
        let layout = Layout::new(link_type, &mut values);
        Self { link_type, options, values, layout }
    }

    pub(crate) fn into_values(self) -> Values {
        self.values
    }

    pub(crate) fn expression(
        &mut self,
        expression: Option<&Expression>,
    ) -> Result<Condition, CompileError> {
        expression.map_or(Ok(Condition::Always(true)), |expression| self.condition(expression))
    }

    fn condition(&mut self, expression: &Expression) -> Result<Condition, CompileError> {
        match expression {
            Expression::Primitive(primitive) => self.primitive(primitive),
            Expression::Relation(relation) => self.relation(relation),
            Expression::Not(inner) => Ok(self.condition(inner)?.negated()),
            // Every operand is lowered, even after one that decides the result: it may move the
            // offsets or be an error.
            Expression::And(operands) => {
                let mut whole = Condition::Always(true);
                for operand in operands.iter() {
                    whole = whole.and(self.condition(operand)?);
                }
                Ok(whole)
            }
            Expression::Or(operands) => {
                let mut whole = Condition::Always(false);
                for operand in operands.iter() {
                    whole = whole.or(self.condition(operand)?);
                }
                Ok(whole)
            }
        }
    }

    fn primitive(&mut self, primitive: &Primitive) -> Result<Condition, CompileError> {
        match *primitive {
            Primitive::Protocol(protocol) => self.protocol(protocol),
            Primitive::Host { protocol, direction, address } => {
                self.network(protocol, direction, address.into())
            }
            Primitive::Net { protocol, direction, network } => {
                self.network(protocol, direction, network)
            }
            Primitive::EtherHost { direction, address } => {
                self.mac(direction, address, "ether host")
            }
            Primitive::DecnetHost { direction, address } => self.decnet_host(direction, address),
            Primitive::Port { transport, direction, port } => {
                self.ports(transport, direction, port, port)
            }
            Primitive::PortRange { transport, direction, first, last } => {
                self.port_range(transport, direction, first, last)
            }
            Primitive::Proto { layer, number } => self.proto(layer, number),
            Primitive::ProtoChain { layer, number } => self.protochain(layer, number),
            Primitive::Llc(kind) => self.llc(kind),
            Primitive::Broadcast => self.broadcast(),
            Primitive::IpBroadcast => self.ip_broadcast(),
            Primitive::Multicast(layer) => self.multicast(layer),
            Primitive::Less(length) => Ok(self.length(Branch::Greater, length).negated()),
            Primitive::Greater(length) => Ok(self.length(Branch::GreaterOrEqual, length)),
            Primitive::Vlan(identifier) => self.vlan(identifier),
            Primitive::Mpls(label) => self.mpls(label),
            Primitive::PppoeDiscovery => self.ether_type(link::PPPOE_DISCOVERY),
            Primitive::PppoeSession(session) => self.pppoe(session),
            Primitive::Geneve(network) => self.geneve(network),
            Primitive::Inbound => self.direction(false),
            Primitive::Outbound => self.direction(true),
            Primitive::InterfaceIndex(index) => self.interface_index(index),
            Primitive::WirelessHost { field, address } => self.wireless_host(field, address),
            Primitive::WirelessType { kind, subtype } => self.wireless_type(kind, subtype),
            Primitive::WirelessDirection(bits) => self.wireless_direction(bits),
            Primitive::LogInterface(ref name) => self.log_text("ifname", LOG_INTERFACE, name),
            Primitive::LogRuleset(ref name) => self.log_text("ruleset", LOG_RULESET, name),
            Primitive::LogRule(number) => self.log_number("rulenum", 36, Width::Four, number),
            Primitive::LogSubrule(number) => self.log_number("subrulenum", 40, Width::Four, number),
            Primitive::LogReason(number) => self.log_number("reason", 3, Width::One, number),
            Primitive::LogAction(number) => self.log_number("action", 2, Width::One, number.into()),
        }
    }

    fn length(&mut self, branch: Branch, length: u32) -> Condition {
        let value = self.values.length();
        test(value, branch, length)
    }

    fn direction(&mut self, outbound: bool) -> Result<Condition, CompileError> {
        let value = match (self.link_type, self.options.target) {
            (Link::LinuxSll, _) => self.values.load(None, 0, Width::Two),
            (Link::LinuxSll2, _) => self.values.load(None, 10, Width::One),
            // The direction field of pflog(4): 1 in, 2 out.
            (Link::Pflog, _) => {
                let value = self.values.load(None, 60, Width::One);
                return Ok(test(value, Branch::Equal, 1 + u32::from(outbound)));
            }
            // 0 in, 1 out.
            (Link::PppPppd | Link::Slip, _) => {
                let value = self.values.load(None, 0, Width::One);
                return Ok(test(value, Branch::Equal, u32::from(outbound)));
            }
            (_, Target::Socket) => self.values.ancillary(PACKET_TYPE),
            (link_type, Target::File) => {
                let primitive = if outbound { "outbound" } else { "inbound" };
                return Err(CompileError::LiveOnly { primitive, link_type: link_type.into() });
            }
        };
        let is_outbound = test(value, Branch::Equal, OUTGOING);
        Ok(if outbound { is_outbound } else { is_outbound.negated() })
    }

    fn interface_index(&mut self, index: u32) -> Result<Condition, CompileError> {
        let value = match (self.link_type, self.options.target) {
            (Link::LinuxSll2, _) => self.values.load(None, 4, Width::Four),
            (_, Target::Socket) => self.values.ancillary(INTERFACE_INDEX),
            (link_type, Target::File) => {
                return Err(CompileError::LiveOnly {
                    primitive: "ifindex",
                    link_type: link_type.into(),
                });
            }
        };
        Ok(test(value, Branch::Equal, index))
    }

    /// Loads bytes at an offset.
    fn load(&mut self, at: Offset, more: u32, width: Width) -> ValueId {
        self.values.load(at.index, at.constant.wrapping_add(more), width)
    }

    /// A test that holds if the bytes equal a number.
    fn equal(&mut self, at: Offset, more: u32, width: Width, number: u32) -> Condition {
        let value = self.load(at, more, width);
        test(value, Branch::Equal, number)
    }

    /// A test that holds if the bytes, masked, equal a number.
    fn masked(&mut self, at: Offset, more: u32, width: Width, number: u32, mask: u32) -> Condition {
        let value = self.load(at, more, width);
        let mask = self.values.constant(mask);
        let value = self.values.binary(BinaryOperator::And, value, mask);
        self.compare(value, Branch::Equal, number)
    }

    /// A test, or its result if the value is constant.
    fn compare(&self, value: ValueId, branch: Branch, number: u32) -> Condition {
        match self.values.value(value) {
            crate::ir::Value::Constant(left) => Condition::Always(branch.holds(left, number)),
            _ => test(value, branch, number),
        }
    }
}

fn test(value: ValueId, comparison: Branch, right: u32) -> Condition {
    Condition::Test(Test { value, comparison, right: Operand::Constant(right) })
}
