//! Numbers, times, addresses and names.

use std::time::Duration;

use crate::error::{ParseErrorKind, similar};
use crate::expression::Value;
use crate::expression::value::{ENDS, PROTOCOLS, TIMES, UNITS};
use crate::field::{Field, Kind};

/// The value that a word is for a field.
pub(super) fn parse(field: Field, word: &str) -> Result<Value, ParseErrorKind> {
    let found = || word.to_owned();
    let no = |expected, suggestion| ParseErrorKind::Value {
        field,
        expected,
        found: found(),
        suggestion,
    };
    match field.kind() {
        Kind::Address => word.parse().map(Value::Network).map_err(|_| {
            no("an address or a network without bits after its prefix, as 192.0.2.0/24", None)
        }),
        Kind::Port => number(word)
            .filter(|number| *number <= u64::from(u16::MAX))
            .map(Value::Number)
            .ok_or_else(|| no("a number up to 65535", None)),
        Kind::Protocol => named(word, &PROTOCOLS)
            .map(u64::from)
            .or_else(|| number(word).filter(|number| *number <= u64::from(u8::MAX)))
            .map(Value::Number)
            .ok_or_else(|| {
                let names = PROTOCOLS.iter().map(|(name, _)| *name);
                no("a protocol or its number, as tcp or 6", similar(word, names))
            }),
        Kind::Number => with_unit(word, &UNITS)
            .and_then(|number| u64::try_from(number).ok())
            .map(Value::Number)
            .ok_or_else(|| no("a number, as 1500, 10k or 4Mi", None)),
        Kind::Duration => seconds(word)
            .map(Value::Duration)
            .ok_or_else(|| no("a time, as 1.5, 30s or 200ms", None)),
        Kind::End => named(word, &ENDS).map(Value::End).ok_or_else(|| {
            let names = ENDS.iter().map(|(name, _)| *name);
            no("fin, rst, idle, evicted, capture-ended or replaced", similar(word, names))
        }),
        Kind::Bool => named(word, &BOOLS).map(Value::Bool).ok_or_else(|| no("true or false", None)),
        Kind::Text | Kind::Bytes => Ok(Value::Text(word.as_bytes().to_vec())),
    }
}

const BOOLS: [(&str, bool); 4] = [("true", true), ("false", false), ("1", true), ("0", false)];

fn named<T: Copy>(word: &str, names: &[(&str, T)]) -> Option<T> {
    names.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, value)| *value)
}

/// A number in decimal or, behind `0x`, in hexadecimal.
fn number(word: &str) -> Option<u64> {
    let (digits, radix) = word.strip_prefix("0x").map_or((word, 10), |digits| (digits, 16));
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_number { u64::from_str_radix(digits, radix).ok() } else { None }
}

/// A number with a unit, in decimals if wanted: `1.5M`.
fn with_unit(word: &str, units: &[(&str, u64)]) -> Option<u128> {
    if let Some(number) = number(word) {
        return Some(number.into());
    }
    let unit_at = word.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (digits, unit) = word.split_at(unit_at);
    let find = |(name, _): &&(&str, u64)| *name == unit || *name == "k" && unit == "K";
    let (_, unit) = units.iter().find(find)?;
    decimal(digits, u128::from(*unit))
}

/// A decimal number times a unit, if that is an integer.
fn decimal(digits: &str, unit: u128) -> Option<u128> {
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |digits: &str| digits.len() <= 18 && digits.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(part) {
        return None;
    }
    let scale = 10_u128.pow(part.len() as u32);
    let part: u128 = if part.is_empty() { 0 } else { part.parse().ok()? };
    let number = whole.parse::<u128>().ok()? * unit;
    let rest = part * unit;
    rest.is_multiple_of(scale).then(|| number + rest / scale)
}

/// A time; without a unit in seconds.
fn seconds(word: &str) -> Option<Duration> {
    let unit = TIMES.iter().find(|(name, _)| *name == "s").map_or(0, |(_, unit)| *unit);
    let nanos = decimal(word, unit.into()).or_else(|| with_unit(word, &TIMES))?;
    u64::try_from(nanos).ok().map(Duration::from_nanos)
}
