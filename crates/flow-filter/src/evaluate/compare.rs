//! Comparisons of values.

use std::cmp::Ordering;

use crate::expression::{Comparison, Member, Operator, Value};

/// Returns `true` if a comparison holds for the values of a field. None holds without values.
pub(super) fn holds(comparison: &Comparison, values: &[Value]) -> bool {
    if values.is_empty() {
        return false;
    }
    match comparison {
        Comparison::Exists => true,
        Comparison::Compare(operator, other) => {
            let mut values = values.iter();
            let order = |value: &Value| order(value, other);
            match operator {
                Operator::Equal => values.any(|value| equal(value, other)),
                Operator::NotEqual => values.all(|value| !equal(value, other)),
                Operator::AllEqual => values.all(|value| equal(value, other)),
                Operator::AnyNotEqual => values.any(|value| !equal(value, other)),
                Operator::Less => values.any(|value| order(value) == Some(Ordering::Less)),
                Operator::LessOrEqual => {
                    values.any(|value| order(value).is_some_and(Ordering::is_le))
                }
                Operator::Greater => values.any(|value| order(value) == Some(Ordering::Greater)),
                Operator::GreaterOrEqual => {
                    values.any(|value| order(value).is_some_and(Ordering::is_ge))
                }
            }
        }
        Comparison::In(members) => {
            values.iter().any(|value| members.iter().any(|member| is_member(value, member)))
        }
        // Bytes are searched elsewhere.
        Comparison::Contains(_) | Comparison::Matches(_) => false,
    }
}

/// The answer of a comparison for a value that is at least `so_far`, and may grow.
pub(super) fn at_least(comparison: &Comparison, so_far: &Value) -> Option<bool> {
    let (operator, other) = match comparison {
        Comparison::Exists => return Some(true),
        Comparison::Compare(operator, other) => (*operator, other),
        Comparison::In(members) => {
            let is_beyond = |member: &Member| {
                let (Member::One(high) | Member::Range(_, high)) = member;
                order(so_far, high) == Some(Ordering::Greater)
            };
            return members.iter().all(is_beyond).then_some(false);
        }
        Comparison::Contains(_) | Comparison::Matches(_) => return None,
    };
    let order = order(so_far, other)?;
    match operator {
        Operator::Less => order.is_ge().then_some(false),
        Operator::LessOrEqual => order.is_gt().then_some(false),
        Operator::Greater => order.is_gt().then_some(true),
        Operator::GreaterOrEqual => order.is_ge().then_some(true),
        Operator::Equal | Operator::AllEqual => order.is_gt().then_some(false),
        Operator::NotEqual | Operator::AnyNotEqual => order.is_gt().then_some(true),
    }
}

fn is_member(value: &Value, member: &Member) -> bool {
    match member {
        Member::One(other) => equal(value, other),
        Member::Range(low, high) => {
            order(value, low).is_some_and(Ordering::is_ge)
                && order(value, high).is_some_and(Ordering::is_le)
        }
    }
}

/// Returns `true` if a value of a flow is another value, or lies in a network.
fn equal(value: &Value, other: &Value) -> bool {
    match (value, other) {
        (Value::Network(address), Value::Network(network)) => network.contains(address.address()),
        _ => value == other,
    }
}

fn order(value: &Value, other: &Value) -> Option<Ordering> {
    match (value, other) {
        (Value::Number(value), Value::Number(other)) => Some(value.cmp(other)),
        (Value::Duration(value), Value::Duration(other)) => Some(value.cmp(other)),
        _ => None,
    }
}
