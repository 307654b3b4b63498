//! Random trees.

use std::net::IpAddr;
use std::time::Duration;

use flow::EndReason;
use flow_filter::field::FIELDS;
use flow_filter::{Expression, Field, Kind, Member, Operator, Pattern, Value};
use proptest::prelude::*;
use proptest::sample::select;

/// Any expression, with values that flows of tests have by chance.
pub(crate) fn expression() -> impl Strategy<Value = Expression> {
    test().prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| !inner),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a & b),
            (inner.clone(), inner).prop_map(|(a, b)| a | b),
        ]
    })
}

fn test() -> impl Strategy<Value = Expression> {
    let field = select(FIELDS).prop_map(|row| row.field);
    (field, operator(), any::<[u8; 4]>(), 0..6_u8).prop_filter_map(
        "the field has the operator",
        |(field, operator, seed, form)| match form {
            0 => Some(Expression::exists(field)),
            1 => Expression::contains(
                field,
                &seed.map(|byte| b'a' + byte % 2)[..1 + usize::from(seed[0] % 4)],
            )
            .ok(),
            2 => Expression::matches(field, pattern(seed)).ok(),
            3 => Expression::one_of(field, members(field, seed)).ok(),
            _ => Expression::compare(field, operator, value(field, seed)).ok(),
        },
    )
}

fn operator() -> impl Strategy<Value = Operator> {
    use Operator::{
        AllEqual, AnyNotEqual, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual,
    };
    select(vec![Equal, NotEqual, AllEqual, AnyNotEqual, Less, LessOrEqual, Greater, GreaterOrEqual])
}

fn pattern(seed: [u8; 4]) -> Pattern {
    let patterns =
        ["ab", "^a", "b$", "a.*b", "(?-i)A", r"\bb", "(?m)^a", "a\"b|[ab]{3}", "a|b+$", "^$"];
    patterns[usize::from(seed[0]) % patterns.len()].parse().unwrap()
}

fn members(field: Field, seed: [u8; 4]) -> Vec<Member> {
    let [a, b, c, d] = seed;
    let one = value(field, [a, b, c, d]);
    let (low, high) = (value(field, [a.min(b), 0, 0, 0]), value(field, [a.max(b), 0, 0, 0]));
    let is_ordered = matches!(field.kind(), Kind::Port | Kind::Number | Kind::Duration);
    if is_ordered && a.min(b) % 8 <= a.max(b) % 8 {
        vec![Member::One(one), Member::Range(low, high)]
    } else {
        vec![Member::One(one)]
    }
}

fn value(field: Field, seed: [u8; 4]) -> Value {
    let small = u64::from(seed[0] % 8);
    match field.kind() {
        Kind::Address => {
            let prefix = [0, 8, 31, 32][usize::from(seed[1] % 4)];
            let address = IpAddr::from([10, 0, 0, seed[0] % 4]);
            let network = format!("{address}/{prefix}").parse().ok();
            Value::Network(network.unwrap_or_else(|| "10.0.0.0/8".parse().unwrap()))
        }
        Kind::Protocol => Value::Number([6, 17, 1, 200][usize::from(seed[0] % 4)]),
        Kind::Duration => Value::Duration(Duration::from_secs(small)),
        Kind::Text | Kind::Bytes => Value::Text(vec![seed[0], b'"', seed[1]]),
        Kind::End => {
            let ends =
                [EndReason::Fin, EndReason::Rst, EndReason::IdleTimeout, EndReason::CaptureEnded];
            Value::End(ends[usize::from(seed[0] % 4)])
        }
        _ => Value::Number(small),
    }
}
