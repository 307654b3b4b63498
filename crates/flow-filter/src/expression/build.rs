//! Trees that are built in code, with their types checked.

use std::ops::{BitAnd, BitOr, Not};

use super::{Comparison, Expression, Member, Operands, Operator, Test, Value};
use crate::error::TypeError;
use crate::field::{Field, Kind};
use crate::pattern::Pattern;

impl Expression {
    /// The flow has the field: a VLAN, a tunnel, a payload.
    #[must_use]
    pub const fn exists(field: Field) -> Self {
        Self::Test(Test { field, comparison: Comparison::Exists })
    }

    /// A comparison with a value.
    ///
    /// # Errors
    ///
    /// If the field has no such operator, or no values of this type.
    pub fn compare(
        field: Field,
        operator: Operator,
        value: impl Into<Value>,
    ) -> Result<Self, TypeError> {
        let value = value.into();
        let kind = field.kind();
        let has_order = matches!(kind, Kind::Port | Kind::Number | Kind::Duration);
        if kind == Kind::Bytes || operator.is_order() && !has_order {
            return Err(lacks(field, operator.sign()));
        }
        check(field, &value)?;
        Ok(Self::Test(Test { field, comparison: Comparison::Compare(operator, value) }))
    }

    /// A value of the field is in a set of values and ranges.
    ///
    /// # Errors
    ///
    /// If the field has no such operator or no values of these types, or the set or a range in it
    /// is empty.
    pub fn one_of(
        field: Field,
        members: impl IntoIterator<Item = Member>,
    ) -> Result<Self, TypeError> {
        let members: Vec<Member> = members.into_iter().collect();
        let kind = field.kind();
        if kind == Kind::Bytes {
            return Err(lacks(field, "in"));
        }
        for member in &members {
            match member {
                Member::One(value) => check(field, value)?,
                Member::Range(low, high) => {
                    check(field, low)?;
                    check(field, high)?;
                    let is_empty = match (low, high) {
                        (Value::Number(low), Value::Number(high)) => low > high,
                        (Value::Duration(low), Value::Duration(high)) => low > high,
                        _ => return Err(lacks(field, "..")),
                    };
                    if is_empty {
                        let range = format!("{low}..{high}");
                        return Err(TypeError::EmptyRange { range });
                    }
                }
            }
        }
        if members.is_empty() {
            return Err(TypeError::EmptySet);
        }
        Ok(Self::Test(Test { field, comparison: Comparison::In(members) }))
    }

    /// A value of the field, or a stream, has these bytes in it.
    ///
    /// # Errors
    ///
    /// If the field is neither text nor bytes, or there are no bytes, or too many of them.
    pub fn contains(field: Field, bytes: impl AsRef<[u8]>) -> Result<Self, TypeError> {
        let bytes = bytes.as_ref().to_vec();
        if !matches!(field.kind(), Kind::Bytes | Kind::Text) {
            return Err(lacks(field, "contains"));
        }
        if bytes.is_empty() {
            return Err(TypeError::EmptyText);
        }
        Ok(Self::Test(Test { field, comparison: Comparison::Contains(bytes) }))
    }

    /// A regular expression matches a value of the field, a stream, or a part of it.
    ///
    /// # Errors
    ///
    /// If the field is neither text nor bytes.
    pub fn matches(field: Field, pattern: Pattern) -> Result<Self, TypeError> {
        if !matches!(field.kind(), Kind::Bytes | Kind::Text) {
            return Err(lacks(field, "matches"));
        }
        Ok(Self::Test(Test { field, comparison: Comparison::Matches(pattern) }))
    }
}

/// The error for an operator that a field does not have.
fn lacks(field: Field, operator: &'static str) -> TypeError {
    let kind = field.kind();
    let has = match kind {
        Kind::Bytes => "contains and matches",
        Kind::Text => "==, !=, in, contains and matches",
        Kind::Address | Kind::Protocol | Kind::End | Kind::Bool => "==, != and in",
        Kind::Port | Kind::Number | Kind::Duration => "==, !=, <, <=, >, >= and in",
    };
    TypeError::Operator { field, kind, operator, has }
}

fn check(field: Field, value: &Value) -> Result<(), TypeError> {
    let kind = field.kind();
    if value.fits(kind) {
        return Ok(());
    }
    Err(TypeError::Value { field, kind, value: value.to_string() })
}

/// Both conditions. Operands that are conjunctions themselves are joined into one.
impl BitAnd for Expression {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        let parts = |expression| match expression {
            Self::And(Operands(operands)) => operands,
            other => vec![other],
        };
        let mut operands = parts(self);
        operands.append(&mut parts(other));
        Self::And(Operands(operands))
    }
}

/// Either condition. Operands that are disjunctions themselves are joined into one.
impl BitOr for Expression {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        let parts = |expression| match expression {
            Self::Or(Operands(operands)) => operands,
            other => vec![other],
        };
        let mut operands = parts(self);
        operands.append(&mut parts(other));
        Self::Or(Operands(operands))
    }
}

/// The opposite condition.
impl Not for Expression {
    type Output = Self;

    fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}
