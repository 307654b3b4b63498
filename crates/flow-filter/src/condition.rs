//! An expression that is ready to be evaluated.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::ParseError;
use crate::expression::{Comparison, Expression, Test};
use crate::field::{Field, Stage};
use crate::implied;
use crate::pattern::Pattern;
use crate::verdict::Verdict;

/// An expression that is ready to be [evaluated](crate::Evaluation). Clones share it.
#[derive(Clone)]
pub struct Condition(Arc<Inner>);

struct Inner {
    expression: Expression,
    /// The expression in postfix order.
    steps: Vec<Step>,
    checks: Vec<Check>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The check with this number.
    Check(usize),
    Not,
    /// As many operands as this.
    And(usize),
    Or(usize),
}

/// A test, and how bytes are searched for it.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) field: Field,
    pub(crate) comparison: Comparison,
    pub(crate) search: Option<Pattern>,
}

impl Condition {
    /// Prepares an expression.
    ///
    /// # Errors
    ///
    /// If the automaton of a text that a stream is searched for takes more than 8 MiB.
    pub fn new(expression: Expression) -> Result<Self, crate::TypeError> {
        let (mut steps, mut checks) = (Vec::new(), Vec::new());
        flatten(&expression, &mut steps, &mut checks)?;
        Ok(Self(Arc::new(Inner { expression, steps, checks })))
    }

    /// The expression.
    #[must_use]
    pub fn expression(&self) -> &Expression {
        &self.0.expression
    }

    /// The stage at which all fields of the expression are known, at the latest. An evaluation is
    /// often decided earlier.
    #[must_use]
    pub fn stage(&self) -> Stage {
        let stages = self.0.checks.iter().map(|check| check.field.description().stage);
        stages.max().unwrap_or(Stage::FirstPacket)
    }

    /// A packet filter that passes every packet of every flow that the condition accepts, so that
    /// it can be put in front of a flow table. `None` if no packet can be left out.
    ///
    /// It leaves out packets only that carry TCP or UDP directly in IP, neither in a tunnel nor in
    /// fragments, and whose own addresses or ports show that their flow is rejected.
    ///
    /// ```
    /// use flow_filter::Condition;
    ///
    /// let condition: Condition = "tcp.port == 443 and bytes > 1M".parse()?;
    /// assert!(condition.packet_filter().is_some());
    /// let condition: Condition = "tcp.port == 443 or bytes > 1M".parse()?;
    /// assert!(condition.packet_filter().is_none());
    /// # Ok::<(), flow_filter::ParseError>(())
    /// ```
    #[must_use]
    pub fn packet_filter(&self) -> Option<packet_filter::Filter> {
        implied::packet_filter(&self.0.expression)
    }

    pub(crate) fn checks(&self) -> &[Check] {
        &self.0.checks
    }

    /// The verdict if checks have these.
    pub(crate) fn verdict(&self, of: impl Fn(usize) -> Verdict) -> Verdict {
        if let [Step::Check(only)] = self.0.steps[..] {
            return of(only);
        }
        let mut stack: Vec<Verdict> = Vec::with_capacity(8);
        for step in &self.0.steps {
            let (count, decides) = match *step {
                Step::Check(check) => {
                    stack.push(of(check));
                    continue;
                }
                Step::Not => {
                    let inner = stack.pop().unwrap_or(Verdict::Undecided);
                    stack.push(inner.not());
                    continue;
                }
                Step::And(count) => (count, Verdict::Reject),
                Step::Or(count) => (count, Verdict::Accept),
            };
            let operands = stack.split_off(stack.len().saturating_sub(count));
            let result = if operands.contains(&decides) {
                decides
            } else if operands.contains(&Verdict::Undecided) {
                Verdict::Undecided
            } else {
                decides.not()
            };
            stack.push(result);
        }
        stack.pop().unwrap_or(Verdict::Undecided)
    }
}

/// Appends an expression in postfix order.
fn flatten(
    expression: &Expression,
    steps: &mut Vec<Step>,
    checks: &mut Vec<Check>,
) -> Result<(), crate::TypeError> {
    match expression {
        Expression::Test(test) => {
            steps.push(Step::Check(checks.len()));
            checks.push(Check::new(test)?);
        }
        Expression::Not(inner) => {
            flatten(inner, steps, checks)?;
            steps.push(Step::Not);
        }
        Expression::And(operands) | Expression::Or(operands) => {
            for operand in operands.iter() {
                flatten(operand, steps, checks)?;
            }
            let count = operands.len();
            let is_and = matches!(expression, Expression::And(_));
            steps.push(if is_and { Step::And(count) } else { Step::Or(count) });
        }
    }
    Ok(())
}

impl Check {
    fn new(test: &Test) -> Result<Self, crate::TypeError> {
        let search = match test.comparison() {
            Comparison::Contains(bytes) => Some(Pattern::literal(bytes)?),
            Comparison::Matches(pattern) => Some(pattern.clone()),
            _ => None,
        };
        Ok(Self { field: test.field(), comparison: test.comparison().clone(), search })
    }
}

impl FromStr for Condition {
    type Err = ParseError;

    /// Parses and prepares an expression.
    ///
    /// # Errors
    ///
    /// If the text is no expression, or a text in it is too long to be searched for.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let expression: Expression = text.parse()?;
        Self::new(expression)
            .map_err(|error| crate::lexer::error(text, 0..text.len(), error.into()))
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&format_args!("{}", self.0.expression)).finish()
    }
}
