//! Compiles an expression tree to a program: lowering, test graph, optimisation, instructions.

use crate::emit;
use crate::error::CompileError;
use crate::expression::Expression;
use crate::graph::Graph;
use crate::link::Link;
use crate::lower::Lowering;
use crate::options::Options;
use crate::parser::MAX_NESTING;
use crate::program::Program;

/// Compiles an expression. Without an expression, the program accepts every packet.
pub(crate) fn compile(
    expression: Option<&Expression>,
    link_type: Link,
    options: &Options,
) -> Result<Program, CompileError> {
    if expression.is_some_and(|expression| !expression.is_within(MAX_NESTING)) {
        return Err(CompileError::TooDeep { limit: MAX_NESTING });
    }
    let mut lowering = Lowering::new(link_type, options);
    let condition = lowering.expression(expression)?;
    let values = lowering.into_values();
    let mut graph = Graph::new(&condition)?;
    if options.optimise {
        graph.optimise();
    }
    emit::program(&graph, &values, options)
}
