//! What values cost, and which are worth keeping.

use crate::expression::{BinaryOperator, Width};
use crate::graph::{Graph, NodeId};
use crate::ir::{Operand, Value, ValueId, Values};

/// Instructions that a value must take to be kept in scratch memory.
const WORTH_KEEPING: u32 = 2;

#[derive(Clone, Copy, Default)]
struct Cost {
    /// Values and tests that use it.
    uses: u32,
    /// Instructions to compute it, at most.
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

    /// Whether computing the value may change the index register.
    pub(super) fn takes_x(&self, id: ValueId) -> bool {
        self.0.get(id.index()).is_none_or(|cost| cost.takes_x)
    }

    /// Whether the value is worth a scratch word.
    pub(super) fn is_kept(&self, id: ValueId) -> bool {
        self.0
            .get(id.index())
            .is_some_and(|cost| cost.uses >= 2 && cost.instructions >= WORTH_KEEPING)
    }

    /// A value that is tested counts once, however often: its tests stand side by side.
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

/// The offset of the byte whose lower half, times four, is the value: one instruction loads the length of an IPv4
/// header.
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
