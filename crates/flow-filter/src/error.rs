//! Errors of expressions, with their place.

use std::ops::Range;

use thiserror::Error;

use crate::field::{Field, Kind};

/// The text is not a valid expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("column {}: {kind}", self.column())]
#[non_exhaustive]
pub struct ParseError {
    /// The part of the text that is wrong, in bytes.
    pub span: Range<usize>,
    /// The characters in front of it.
    pub(crate) before: usize,
    /// The cause.
    pub kind: ParseErrorKind,
}

impl ParseError {
    /// The position of the error in characters. The first character is 1.
    #[must_use]
    pub const fn column(&self) -> usize {
        self.before + 1
    }

    /// The text, and below it carets at the place of the error. Control characters are shown as
    /// spaces.
    ///
    /// ```
    /// let text = "port == 443 and ip.adr == 192.0.2.1";
    /// let error = text.parse::<flow_filter::Expression>().unwrap_err();
    /// assert_eq!(error.column(), 17);
    /// assert!(error.to_string().ends_with("did you mean \"ip.addr\"?"));
    /// assert!(error.pointed(text).ends_with("\n                ^^^^^^"));
    /// ```
    #[must_use]
    pub fn pointed(&self, text: &str) -> String {
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let wrong = text.get(self.span.clone()).map_or(1, |part| part.chars().count().max(1));
        format!("{line}\n{}{}", " ".repeat(self.before), "^".repeat(wrong))
    }
}

/// The cause of a [`ParseError`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// An unexpected token.
    #[error("expected {expected}, found {found:?}")]
    Unexpected {
        /// The tokens that would be valid here.
        expected: &'static str,
        /// The token that was found.
        found: String,
    },
    /// The text ends too early.
    #[error("expected {expected}, found the end of the expression")]
    UnexpectedEnd {
        /// The tokens that would be valid here.
        expected: &'static str,
    },
    /// A character that is not part of the language.
    #[error("{character:?} cannot stand in an expression; write text in quotation marks")]
    Character {
        /// The character.
        character: char,
    },
    /// A text without its closing quotation mark.
    #[error("the text has no closing quotation mark")]
    OpenText,
    /// An unknown escape in a text.
    #[error("{escape:?} is no escape of a text; write \\\\ for a backslash, or r\"…\"")]
    Escape {
        /// The backslash and the next character.
        escape: String,
    },
    /// A name that is not in the table of fields.
    #[error("unknown field {name:?}{}", suggest(*.suggestion))]
    UnknownField {
        /// The name.
        name: String,
        /// A field with a similar name.
        suggestion: Option<&'static str>,
    },
    /// A value that a field cannot have.
    #[error("{field} is compared with {expected}, not with {found:?}{}", suggest(*.suggestion))]
    Value {
        /// The field.
        field: Field,
        /// The values that would be valid.
        expected: &'static str,
        /// The value that was found.
        found: String,
        /// A similar value.
        suggestion: Option<&'static str>,
    },
    /// The field, operator and value do not go together.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// More levels of parentheses and negations than [`MAX_DEPTH`](crate::MAX_DEPTH).
    #[error("more than {} levels of parentheses and negations", crate::MAX_DEPTH)]
    TooDeep,
    /// A text longer than [`MAX_EXPRESSION_LEN`](crate::MAX_EXPRESSION_LEN).
    #[error("the expression has more than {} bytes", crate::MAX_EXPRESSION_LEN)]
    TooLong,
}

fn suggest(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
}

/// A field, an operator and a value that do not go together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TypeError {
    /// The field has no such operator.
    #[error("{field} ({kind}) has no operator {operator}; it has {has}")]
    Operator {
        /// The field.
        field: Field,
        /// The type of the field's values.
        kind: Kind,
        /// The operator.
        operator: &'static str,
        /// The operators that the type has.
        has: &'static str,
    },
    /// The value has another type than the field.
    #[error("{field} has values of the type {kind}; {value} is something else")]
    Value {
        /// The field.
        field: Field,
        /// The type of the field's values.
        kind: Kind,
        /// The value, printed.
        value: String,
    },
    /// A set without values.
    #[error("the set is empty, so that nothing can be in it")]
    EmptySet,
    /// A range whose end is below its beginning.
    #[error("the range {range} is empty: its end is below its beginning")]
    EmptyRange {
        /// The range, printed.
        range: String,
    },
    /// An empty text, which every stream contains.
    #[error("an empty text is contained everywhere")]
    EmptyText,
    /// A regular expression with an error, or one that is too large.
    #[error("the regular expression {pattern:?} cannot be used: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// The reason.
        reason: String,
    },
}

/// The name that is most like `name`, if one is.
pub(crate) fn similar(
    name: &str,
    names: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    let limit = if lower.len() < 5 { 1 } else { 2 };
    names
        .map(|known| (distance(lower.as_bytes(), known.as_bytes()), known))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, known)| known)
}

/// Bytes to insert, remove or replace to get from one text to the other.
fn distance(a: &[u8], b: &[u8]) -> usize {
    if a.len().abs_diff(b.len()) > 2 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
