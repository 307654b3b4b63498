//! The intermediate representation of an expression for one link type: logic over tests of values.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::expression::{BinaryOperator, Width};

/// A fast hasher for small keys that we generate ourselves: one multiplication and one rotation for
/// each word.
#[derive(Default)]
pub(crate) struct WordHasher(u64);

impl Hasher for WordHasher {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 29
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }
}

pub(crate) type WordMap<K, V> = HashMap<K, V, BuildHasherDefault<WordHasher>>;

/// A number that a program can compute from a packet. Equal numbers have equal identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ValueId(u32);

impl ValueId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    Constant(u32),
    /// Bytes of the packet at the sum of both offsets.
    Load {
        index: Option<ValueId>,
        offset: u32,
        width: Width,
    },
    /// The packet's length on the wire.
    Length,
    /// A kernel variable: the offset from `SKF_AD_OFF` (linux/filter.h).
    Ancillary(u32),
    Negate(ValueId),
    Binary(BinaryOperator, ValueId, ValueId),
}

/// Up to this number, values are searched linearly.
const LOOKED_THROUGH: usize = 32;

/// The values of a program, without duplicates.
#[derive(Debug, Default)]
pub(crate) struct Values {
    values: Vec<Value>,
    known: WordMap<Value, ValueId>,
}

impl Values {
    pub(crate) fn value(&self, id: ValueId) -> Value {
        self.values.get(id.index()).copied().unwrap_or(Value::Length)
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn constant(&mut self, number: u32) -> ValueId {
        self.intern(Value::Constant(number))
    }

    pub(crate) fn load(&mut self, index: Option<ValueId>, offset: u32, width: Width) -> ValueId {
        self.intern(Value::Load { index, offset, width })
    }

    pub(crate) fn length(&mut self) -> ValueId {
        self.intern(Value::Length)
    }

    pub(crate) fn ancillary(&mut self, offset: u32) -> ValueId {
        self.intern(Value::Ancillary(offset))
    }

    pub(crate) fn negate(&mut self, id: ValueId) -> ValueId {
        match self.value(id) {
            Value::Constant(number) => self.constant(number.wrapping_neg()),
            _ => self.intern(Value::Negate(id)),
        }
    }

    /// Combines two values and folds constants. The caller has checked constant divisors and
    /// shifts.
    pub(crate) fn binary(
        &mut self,
        operator: BinaryOperator,
        left: ValueId,
        right: ValueId,
    ) -> ValueId {
        use BinaryOperator::{
            Add, And, Divide, Modulo, Multiply, Or, ShiftLeft, ShiftRight, Subtract, Xor,
        };
        let (left_value, right_value) = (self.value(left), self.value(right));
        if let (Value::Constant(a), Value::Constant(b)) = (left_value, right_value)
            && let Some(number) = fold(operator, a, b)
        {
            return self.constant(number);
        }
        if let (Value::Constant(_), Add | Multiply | And | Or | Xor) = (left_value, operator)
            && !matches!(right_value, Value::Constant(_))
        {
            return self.binary(operator, right, left);
        }
        if let Value::Constant(number) = right_value {
            match (operator, number) {
                (Add | Subtract | Or | Xor | ShiftLeft | ShiftRight, 0)
                | (Multiply | Divide, 1)
                | (And, u32::MAX) => return left,
                (Multiply | And, 0) | (Modulo, 1) => return self.constant(0),
                _ => {}
            }
            if let (Add, Value::Binary(Add, inner, outer)) = (operator, left_value)
                && let Value::Constant(other) = self.value(outer)
            {
                let sum = self.constant(other.wrapping_add(number));
                return self.binary(Add, inner, sum);
            }
        }
        self.intern(Value::Binary(operator, left, right))
    }

    fn intern(&mut self, value: Value) -> ValueId {
        // Most expressions have so few values that a linear search is faster than hashing.
        if let Some(place) =
            self.values.iter().take(LOOKED_THROUGH).position(|known| *known == value)
        {
            return ValueId(place as u32);
        }
        let next = ValueId(self.values.len() as u32);
        if self.values.len() >= LOOKED_THROUGH {
            let id = *self.known.entry(value).or_insert(next);
            if id != next {
                return id;
            }
        }
        self.values.push(value);
        next
    }
}

/// Computes the result as the machine would. `None` if the machine would reject the packet.
pub(crate) fn fold(operator: BinaryOperator, a: u32, b: u32) -> Option<u32> {
    Some(match operator {
        BinaryOperator::Add => a.wrapping_add(b),
        BinaryOperator::Subtract => a.wrapping_sub(b),
        BinaryOperator::Multiply => a.wrapping_mul(b),
        BinaryOperator::Divide => a.checked_div(b)?,
        BinaryOperator::Modulo => a.checked_rem(b)?,
        BinaryOperator::And => a & b,
        BinaryOperator::Or => a | b,
        BinaryOperator::Xor => a ^ b,
        BinaryOperator::ShiftLeft => a.checked_shl(b).unwrap_or(0),
        BinaryOperator::ShiftRight => a.checked_shr(b).unwrap_or(0),
    })
}

/// A comparison that a program can branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Test {
    pub(crate) value: ValueId,
    pub(crate) comparison: Branch,
    pub(crate) right: Operand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Branch {
    Equal,
    Greater,
    GreaterOrEqual,
    /// At least one bit in common.
    AnyBit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Operand {
    Constant(u32),
    Value(ValueId),
    /// Any of these numbers. Used only with [`Branch::Equal`].
    OneOf(&'static [u32]),
}

impl Branch {
    pub(crate) fn holds(self, left: u32, right: u32) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::AnyBit => left & right != 0,
        }
    }
}

/// Logic over tests, which are evaluated from left to right.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Always(bool),
    Test(Test),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
}

impl Condition {
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Always(true), other) => other,
            (Self::Always(false), _) => Self::Always(false),
            (Self::All(mut all), other) => {
                all.push(other);
                Self::All(all)
            }
            (one, other) => Self::All(vec![one, other]),
        }
    }

    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Always(false), other) => other,
            (Self::Always(true), _) => Self::Always(true),
            (Self::Any(mut any), other) => {
                any.push(other);
                Self::Any(any)
            }
            (one, other) => Self::Any(vec![one, other]),
        }
    }

    pub(crate) fn negated(self) -> Self {
        match self {
            Self::Always(holds) => Self::Always(!holds),
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }
}
