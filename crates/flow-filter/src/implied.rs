//! The packet filter that a condition implies.

use flow::{Network, protocol};
use packet_filter::Filter;

use crate::expression::{Comparison, Expression, Member, Operator, Test, Value};
use crate::field::Field;

/// Longer filters cost more than they save, and a socket takes 4,096 instructions.
const MAX_PARTS: usize = 64;

/// Plain TCP: directly in IP, and no fragment. Ports of other fragments are not known, and those of
/// a tunnel's outer packet say nothing about the flow.
const PLAIN_TCP: &str = "(ip[9] = 6 and ip[6:2] & 0x3fff = 0 or ip6[6] = 6)";

/// A condition on a plain TCP packet that holds for each packet of a flow that is accepted.
#[derive(Clone, Debug, PartialEq)]
enum Implied {
    Always,
    Never,
    /// An expression of pcap-filter(7), and its number of parts.
    If(String, usize),
}

/// A filter that passes every packet of every flow that the expression accepts.
pub(crate) fn packet_filter(expression: &Expression) -> Option<Filter> {
    let text = match implied(expression, true) {
        Implied::Always => return None,
        Implied::Never => format!("not {PLAIN_TCP}"),
        Implied::If(_, parts) if parts > MAX_PARTS => return None,
        Implied::If(condition, _) => format!("not {PLAIN_TCP} or {condition}"),
    };
    // It is made of parts that the language has; without one, every packet passes.
    text.parse().ok()
}

/// The condition that is implied if the expression is true, or if it is false.
fn implied(expression: &Expression, holds: bool) -> Implied {
    match (expression, holds) {
        (Expression::Test(test), _) => of_test(test, holds),
        (Expression::Not(inner), _) => implied(inner, !holds),
        (Expression::And(operands), true) | (Expression::Or(operands), false) => operands
            .iter()
            .map(|operand| implied(operand, holds))
            .fold(Implied::Always, Implied::and),
        (Expression::And(operands), false) | (Expression::Or(operands), true) => {
            operands.iter().map(|operand| implied(operand, holds)).fold(Implied::Never, Implied::or)
        }
    }
}

fn of_test(test: &Test, holds: bool) -> Implied {
    match test.field() {
        Field::Protocol => protocol_is(test.comparison(), holds),
        // Each packet has both ports and both addresses of its flow, so that the test of the flow
        // is one of the packet.
        Field::Port => ports(test.comparison(), holds),
        Field::Address => addresses(test.comparison(), holds),
        // Packets go both ways: of a port or an address of one side, each packet has it on either.
        Field::InitiatorPort | Field::ResponderPort if holds => {
            any_of(test.comparison(), |comparison| ports(comparison, true))
        }
        Field::Source | Field::Destination if holds => {
            any_of(test.comparison(), |comparison| addresses(comparison, true))
        }
        _ => Implied::Always,
    }
}

/// The test of one side's value as one of either side's. A value that is unequal leaves the other
/// side's open.
fn any_of(comparison: &Comparison, test: impl Fn(&Comparison) -> Implied) -> Implied {
    match comparison {
        Comparison::Compare(Operator::NotEqual | Operator::AnyNotEqual, _) => Implied::Always,
        Comparison::Compare(Operator::AllEqual, value) => {
            test(&Comparison::Compare(Operator::Equal, value.clone()))
        }
        other => test(other),
    }
}

/// For TCP, a test of the protocol is decided.
fn protocol_is(comparison: &Comparison, holds: bool) -> Implied {
    let is_tcp = |value: &Value| *value == Value::Number(protocol::TCP.into());
    let found = match comparison {
        Comparison::Exists => true,
        Comparison::Compare(Operator::Equal | Operator::AllEqual, value) => is_tcp(value),
        Comparison::Compare(Operator::NotEqual | Operator::AnyNotEqual, value) => !is_tcp(value),
        Comparison::In(members) => {
            members.iter().any(|member| matches!(member, Member::One(value) if is_tcp(value)))
        }
        _ => return Implied::Always,
    };
    if found == holds { Implied::Always } else { Implied::Never }
}

fn ports(comparison: &Comparison, holds: bool) -> Implied {
    let range = |low: u64, high: u64| match (low, high.min(u16::MAX.into())) {
        (low, high) if low > high => Implied::Never,
        (low, high) if low == high => Implied::If(format!("port {low}"), 1),
        (low, high) => Implied::If(format!("portrange {low}-{high}"), 1),
    };
    let any = match comparison {
        Comparison::Exists => Implied::Always,
        Comparison::Compare(operator, Value::Number(port)) => match operator {
            Operator::Equal => range(*port, *port),
            Operator::NotEqual => return ports_unequal(*port, holds),
            Operator::Less => port.checked_sub(1).map_or(Implied::Never, |high| range(0, high)),
            Operator::LessOrEqual => range(0, *port),
            Operator::Greater => range(port + 1, u16::MAX.into()),
            Operator::GreaterOrEqual => range(*port, u16::MAX.into()),
            Operator::AllEqual if holds => range(*port, *port),
            Operator::AllEqual | Operator::AnyNotEqual => return Implied::Always,
        },
        Comparison::In(members) => members
            .iter()
            .map(|member| match member {
                Member::One(Value::Number(port)) => range(*port, *port),
                Member::Range(Value::Number(low), Value::Number(high)) => range(*low, *high),
                _ => Implied::Always,
            })
            .fold(Implied::Never, Implied::or),
        _ => return Implied::Always,
    };
    if holds { any } else { any.negated() }
}

/// No port is this one; or if that does not hold, one is.
fn ports_unequal(port: u64, holds: bool) -> Implied {
    let equal = Implied::If(format!("port {port}"), 1);
    if holds { equal.negated() } else { equal }
}

fn addresses(comparison: &Comparison, holds: bool) -> Implied {
    let any = match comparison {
        Comparison::Exists => Implied::Always,
        Comparison::Compare(Operator::Equal, Value::Network(network)) => part_of(network),
        Comparison::Compare(Operator::NotEqual, Value::Network(network)) => {
            let equal = part_of(network);
            return if holds { equal.negated() } else { equal };
        }
        Comparison::Compare(Operator::AllEqual, Value::Network(network)) if holds => {
            part_of(network)
        }
        Comparison::In(members) => members
            .iter()
            .map(|member| match member {
                Member::One(Value::Network(network)) => part_of(network),
                _ => Implied::Always,
            })
            .fold(Implied::Never, Implied::or),
        _ => return Implied::Always,
    };
    if holds { any } else { any.negated() }
}

fn part_of(network: &Network) -> Implied {
    let kind = if network.address().is_ipv4() { "ip" } else { "ip6" };
    match (network.prefix(), network.address().is_ipv4()) {
        (0, _) => Implied::If(kind.to_owned(), 1),
        (32, true) | (128, false) => Implied::If(format!("{kind} host {network}"), 1),
        _ => Implied::If(format!("{kind} net {network}"), 1),
    }
}

impl Implied {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Never, _) | (_, Self::Never) => Self::Never,
            (Self::Always, other) | (other, Self::Always) => other,
            (Self::If(a, m), Self::If(b, n)) => Self::If(format!("({a} and {b})"), m + n),
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Always, _) | (_, Self::Always) => Self::Always,
            (Self::Never, other) | (other, Self::Never) => other,
            (Self::If(a, m), Self::If(b, n)) => Self::If(format!("({a} or {b})"), m + n),
        }
    }

    /// The opposite. Only for a test that holds for a flow exactly if it holds for its packets.
    fn negated(self) -> Self {
        match self {
            Self::Always => Self::Never,
            Self::Never => Self::Always,
            Self::If(text, parts) => Self::If(format!("not {text}"), parts),
        }
    }
}
