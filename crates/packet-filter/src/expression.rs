//! The typed syntax tree of an expression.

mod arithmetic;
mod display;
mod llc;
pub(crate) mod log;
mod primitive;
mod protocol;
pub(crate) mod wireless;

use std::ops::Deref;

pub use arithmetic::{Arithmetic, BinaryOperator, Header, Width};
pub use llc::LlcType;
pub use primitive::{
    Direction, HostProtocol, Layer, MulticastLayer, Primitive, ProtocolLayer, Transport,
};
pub use protocol::Protocol;
pub use wireless::WirelessAddress;

/// A condition on a packet.
///
/// The printed form parses to the same tree. Conditions are evaluated from left to right. `vlan`,
/// `mpls`, `pppoes` and `geneve` move the offsets at which everything to their right looks for its
/// headers, as described in pcap-filter(7).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expression {
    /// A test by keyword.
    Primitive(Primitive),
    /// A comparison of two numbers.
    Relation(Relation),
    /// The condition does not hold.
    Not(Box<Self>),
    /// All conditions hold.
    And(Operands),
    /// At least one condition holds.
    Or(Operands),
}

impl Expression {
    /// Both conditions. If `self` is already a conjunction, `other` becomes its last operand.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match self {
            Self::And(mut operands) => {
                operands.0.push(other);
                Self::And(operands)
            }
            first => Self::And(Operands(vec![first, other])),
        }
    }

    /// Either condition. If `self` is already a disjunction, `other` becomes its last operand.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match self {
            Self::Or(mut operands) => {
                operands.0.push(other);
                Self::Or(operands)
            }
            first => Self::Or(Operands(vec![first, other])),
        }
    }

    /// The opposite condition.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// Returns `true` if no node of the tree has more than `limit` ancestors. Not recursive, so a
    /// deep tree cannot overflow the stack.
    pub(crate) fn is_within(&self, limit: usize) -> bool {
        let mut pending = vec![(self, 0)];
        while let Some((expression, depth)) = pending.pop() {
            if depth > limit {
                return false;
            }
            match expression {
                Self::Primitive(_) => {}
                Self::Relation(relation) => {
                    if !relation.left.is_within(limit - depth)
                        || !relation.right.is_within(limit - depth)
                    {
                        return false;
                    }
                }
                Self::Not(inner) => pending.push((inner, depth + 1)),
                Self::And(operands) | Self::Or(operands) => {
                    pending.extend(operands.iter().map(|operand| (operand, depth + 1)));
                }
            }
        }
        true
    }
}

impl From<Primitive> for Expression {
    fn from(primitive: Primitive) -> Self {
        Self::Primitive(primitive)
    }
}

impl From<Relation> for Expression {
    fn from(relation: Relation) -> Self {
        Self::Relation(relation)
    }
}

/// The operands of a conjunction or disjunction: two or more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operands(Vec<Expression>);

impl Operands {
    /// Creates the operand list. `None` if there are fewer than two.
    pub fn new(operands: Vec<Expression>) -> Option<Self> {
        (operands.len() >= 2).then_some(Self(operands))
    }

    pub(crate) fn pair(first: Expression, second: Expression) -> Self {
        Self(vec![first, second])
    }
}

impl Deref for Operands {
    type Target = [Expression];

    fn deref(&self) -> &[Expression] {
        &self.0
    }
}

/// A comparison of two unsigned 32-bit numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Relation {
    /// The number on the left.
    pub left: Arithmetic,
    /// The comparison operator.
    pub comparison: Comparison,
    /// The number on the right.
    pub right: Arithmetic,
}

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=` or `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}
