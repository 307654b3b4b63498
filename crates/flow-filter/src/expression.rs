//! The typed syntax tree of a condition.

mod build;
mod display;
pub(crate) mod value;

pub use value::{Member, Value};

use crate::field::Field;
use crate::pattern::Pattern;

/// A condition on a flow.
///
/// It is parsed from text, or built in code; the printed form parses to the same tree.
///
/// ```
/// use flow_filter::{Expression, Field, Operator};
///
/// let parsed: Expression = "port == 443 and not bytes < 1M".parse()?;
/// let built = Expression::compare(Field::Port, Operator::Equal, 443_u16)?
///     & !Expression::compare(Field::Bytes, Operator::Less, 1_000_000_u64)?;
/// assert_eq!(parsed, built);
/// assert_eq!(built.to_string(), "port == 443 and not bytes < 1M");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// A test of a field.
    Test(Test),
    /// The condition does not hold.
    Not(Box<Self>),
    /// All conditions hold.
    And(Operands),
    /// At least one condition holds.
    Or(Operands),
}

/// The operands of a conjunction or disjunction: two or more, none of which has the same kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operands(Vec<Expression>);

/// A test of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    field: Field,
    comparison: Comparison,
}

/// The condition on the values of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Comparison {
    /// The flow has the field.
    Exists,
    /// A value compares with another.
    Compare(Operator, Value),
    /// A value is in a set.
    In(Vec<Member>),
    /// A value has these bytes in it.
    Contains(Vec<u8>),
    /// A regular expression matches a value, or a part of it.
    Matches(Pattern),
}

/// A comparison operator.
///
/// A field may have several values, such as the two ports of a flow. An operator holds for any of
/// them or for all of them, as in Wireshark 4. None holds for a field that a flow does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `==`, `eq`, `any_eq`: any value is equal. An address is equal to a network that it lies in.
    Equal,
    /// `!=`, `ne`, `all_ne`: no value is equal.
    NotEqual,
    /// `===`, `all_eq`: all values are equal.
    AllEqual,
    /// `!==`, `any_ne`: any value is not equal.
    AnyNotEqual,
    /// `<`, `lt`: any value is less.
    Less,
    /// `<=`, `le`: any value is less or equal.
    LessOrEqual,
    /// `>`, `gt`: any value is greater.
    Greater,
    /// `>=`, `ge`: any value is greater or equal.
    GreaterOrEqual,
}

impl Test {
    /// The field that is tested.
    #[must_use]
    pub const fn field(&self) -> Field {
        self.field
    }

    /// The condition on its values.
    #[must_use]
    pub const fn comparison(&self) -> &Comparison {
        &self.comparison
    }
}

impl std::ops::Deref for Operands {
    type Target = [Expression];

    fn deref(&self) -> &[Expression] {
        &self.0
    }
}

impl Operator {
    /// The sign.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::AllEqual => "===",
            Self::AnyNotEqual => "!==",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Returns `true` for operators that need an order of the values.
    #[must_use]
    pub const fn is_order(self) -> bool {
        matches!(self, Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual)
    }
}
