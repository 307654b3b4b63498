#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod condition;
mod error;
mod evaluate;
mod expression;
pub mod field;
mod find;
mod implied;
mod key;
mod lexer;
mod parser;
mod pattern;
mod verdict;

pub use condition::Condition;
pub use error::{ParseError, ParseErrorKind, TypeError};
pub use evaluate::Evaluation;
pub use expression::{Comparison, Expression, Member, Operands, Operator, Test, Value};
pub use field::{Field, Kind, Stage};
pub use find::{Finder, Found, MAX_MATCH, Search};
pub use key::KeyFields;
pub use parser::{MAX_DEPTH, MAX_EXPRESSION_LEN};
pub use pattern::{Pattern, Scan};
pub use verdict::Verdict;
