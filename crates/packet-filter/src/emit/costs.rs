//! The cost of computing each value, which decides whether it is cached.

use crate::expression::{BinaryOperator, Width};
use crate::graph::{Graph, NodeId};
use crate::ir::{Operand, Value, ValueId, Values};

/// The minimum cost, in instructions, of a value that is cached in scratch memory.
const WORTH_KEEPING: u32 = 2;

#[derive(Clone, Copy, Default)]
struct Cost {
    /// The number of values and tests that use it.
    uses: u32,
    /// The maximum number of instructions to compute it.
    instructions: u32,
    takes_x: bool,
    tested: bool,
}

pub(super) struct Costs(Vec<Cost>);

impl Costs {
    pub(super) fn new(graph: &Graph, order: &[NodeId], values: &Values) -> Self {
        let mut costs = Self(vec![Cost::default(); values.len()]);
        for id in order {
            let Some(node) = graph.node(*id) else { continue };
            costs.test(values, node.test.value);
            if let Operand::Value(right) = node.test.right {
                costs.test(values, right);
            }
        }
        costs
    }

    /// Returns `true` if computing the value may change the index register.
    pub(super) fn takes_x(&self, id: ValueId) -> bool {
        self.0.get(id.index()).is_none_or(|cost| cost.takes_x)
    }

    /// Returns `true` if the value is worth a scratch word.
    pub(super) fn is_kept(&self, id: ValueId) -> bool {
        self.0
            .get(id.index())
            .is_some_and(|cost| cost.uses >= 2 && cost.instructions >= WORTH_KEEPING)
    }

    /// Counts a use by tests. A value counts once however many tests use it, because its tests are
    /// adjacent.
    fn test(&mut self, values: &Values, id: ValueId) {
        if let Some(cost) = self.0.get_mut(id.index())
            && !cost.tested
        {
            cost.tested = true;
            self.count(values, id);
        }
    }

    fn count(&mut self, values: &Values, id: ValueId) {
        let Some(cost) = self.0.get_mut(id.index()) else { return };
        cost.uses += 1;
        if cost.uses > 1 {
            return;
        }
        let mut instructions = 1u32;
        let mut takes_x = false;
        let mut part = |costs: &mut Self, part: ValueId| {
            costs.count(values, part);
            let part = costs.0.get(part.index()).copied().unwrap_or_default();
            instructions = instructions.saturating_add(part.instructions);
            takes_x |= part.takes_x;
        };
        match values.value(id) {
            Value::Constant(_)
            | Value::Length
            | Value::Ancillary(_)
            | Value::Load { index: None, .. } => {}
            Value::Load { index: Some(index), .. } => {
                part(self, index);
                takes_x = true;
            }
            Value::Negate(inner) => part(self, inner),
            Value::Binary(_, left, right) => {
                part(self, left);
                if !matches!(values.value(right), Value::Constant(_)) {
                    part(self, right);
                    takes_x = true;
                }
            }
        }
        if header_length(values, id).is_some() {
            instructions = 1;
        }
        if let Some(cost) = self.0.get_mut(id.index()) {
            cost.instructions = instructions;
            cost.takes_x = takes_x;
        }
    }
}

/// The offset of the byte whose lower half, times four, is the value. One instruction (`MSH`) loads
/// such a value, which is the length of an IPv4 header.
pub(super) fn header_length(values: &Values, id: ValueId) -> Option<u32> {
    let constant = |id| match values.value(id) {
        Value::Constant(number) => Some(number),
        _ => None,
    };
    let Value::Binary(operator, masked, factor) = values.value(id) else { return None };
    let four = match operator {
        BinaryOperator::Multiply => constant(factor)? == 4,
        BinaryOperator::ShiftLeft => constant(factor)? == 2,
        _ => false,
    };
    let Value::Binary(BinaryOperator::And, byte, mask) = values.value(masked) else { return None };
    match values.value(byte) {
        Value::Load { index: None, offset, width: Width::One }
            if four && constant(mask)? == 0xf =>
        {
            Some(offset)
        }
        _ => None,
    }
}
