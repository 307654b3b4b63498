//! The printed form, which parses to the same tree.

use std::fmt::{self, Display, Write as _};

use super::value::{ENDS, PROTOCOLS, TIMES, UNITS};
use super::{Comparison, Expression, Member, Test, Value};
use crate::field::{Field, Kind};

impl Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Test(test) => test.fmt(f),
            Self::Not(inner) => {
                f.write_str("not ")?;
                inside(inner, matches!(**inner, Self::And(_) | Self::Or(_)), f)
            }
            Self::And(operands) => {
                join(operands, " and ", |inner| matches!(inner, Self::And(_) | Self::Or(_)), f)
            }
            Self::Or(operands) => join(operands, " or ", |inner| matches!(inner, Self::Or(_)), f),
        }
    }
}

fn join(
    operands: &[Expression],
    between: &str,
    needs: impl Fn(&Expression) -> bool,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    for (place, operand) in operands.iter().enumerate() {
        if place > 0 {
            f.write_str(between)?;
        }
        inside(operand, needs(operand), f)?;
    }
    Ok(())
}

/// An operand, in parentheses if it needs them.
fn inside(inner: &Expression, needs: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if needs { write!(f, "({inner})") } else { inner.fmt(f) }
}

impl Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = self.field;
        match &self.comparison {
            Comparison::Exists => field.fmt(f),
            Comparison::Compare(operator, value) => {
                write!(f, "{field} {} {}", operator.sign(), Of(field, value))
            }
            Comparison::In(members) => {
                write!(f, "{field} in {{")?;
                for (place, member) in members.iter().enumerate() {
                    f.write_str(if place > 0 { ", " } else { "" })?;
                    match member {
                        Member::One(value) => Of(field, value).fmt(f)?,
                        Member::Range(low, high) => {
                            write!(f, "{}..{}", Of(field, low), Of(field, high))?;
                        }
                    }
                }
                f.write_str("}")
            }
            Comparison::Contains(bytes) => {
                write!(f, "{field} contains ")?;
                quoted(bytes, f)
            }
            Comparison::Matches(pattern) => write!(f, "{field} matches {}", pattern.quoted()),
        }
    }
}

/// A value of a field: protocols have names.
struct Of<'a>(Field, &'a Value);

impl Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(field, value) = self;
        match (field.kind(), value) {
            (Kind::Protocol, Value::Number(number)) => {
                match PROTOCOLS.iter().find(|(_, known)| u64::from(*known) == *number) {
                    Some((name, _)) => f.write_str(name),
                    None => number.fmt(f),
                }
            }
            (Kind::Port, Value::Number(number)) => number.fmt(f),
            _ => value.fmt(f),
        }
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => with_unit(u128::from(*number), &UNITS, f),
            Self::Duration(time) => with_unit(time.as_nanos(), &TIMES, f),
            Self::Network(network) => network.fmt(f),
            Self::Text(bytes) => quoted(bytes, f),
            Self::Bool(holds) => holds.fmt(f),
            Self::End(reason) => {
                let name = ENDS.iter().find(|(_, known)| known == reason).map(|(name, _)| *name);
                f.write_str(name.unwrap_or("other"))
            }
        }
    }
}

/// A number in the largest unit that divides it.
fn with_unit(number: u128, units: &[(&str, u64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let divides = |unit: &u64| number != 0 && number.is_multiple_of(u128::from(*unit));
    match units.iter().find(|(_, unit)| divides(unit)) {
        Some((name, unit)) => write!(f, "{}{name}", number / u128::from(*unit)),
        None => number.fmt(f),
    }
}

/// Bytes as text in quotation marks; those that are not printable as escapes.
fn quoted(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() => {
                    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                        write!(f, "\\x{byte:02x}")?;
                    }
                }
                c => f.write_char(c)?,
            }
        }
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    f.write_char('"')
}
