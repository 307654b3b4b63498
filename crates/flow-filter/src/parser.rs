//! From tokens to a tree.

mod value;

use std::ops::Range;
use std::str::FromStr;

use crate::error::{ParseError, ParseErrorKind, TypeError, similar};
use crate::expression::{Expression, Member, Operator, Value};
use crate::field::{self, ALIASES, Alias, Field, Kind};
use crate::lexer::{self, Token, TokenKind, unescape};
use crate::pattern::{self, Pattern};

/// The maximum length of an expression in bytes.
pub const MAX_EXPRESSION_LEN: usize = 64 << 10;
/// The maximum number of levels of parentheses and negations.
pub const MAX_DEPTH: usize = 100;

const VALUE: &str = "a value";
const TEST: &str = "a field, \"not\" or \"(\"";

struct Parser<'t> {
    text: &'t str,
    tokens: std::iter::Peekable<std::vec::IntoIter<Token<'t>>>,
    depth: usize,
}

impl FromStr for Expression {
    type Err = ParseError;

    /// Parses an expression of at most [`MAX_EXPRESSION_LEN`] bytes and [`MAX_DEPTH`] levels.
    ///
    /// # Errors
    ///
    /// If the text is no expression; the error has the place.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() > MAX_EXPRESSION_LEN {
            return Err(lexer::error(text, 0..0, ParseErrorKind::TooLong));
        }
        let tokens = lexer::tokens(text)?.into_iter().peekable();
        let mut parser = Parser { text, tokens, depth: 0 };
        let expression = parser.either()?;
        let rest = parser.next();
        if rest.kind == TokenKind::End {
            return Ok(expression);
        }
        Err(parser.unexpected(&rest, "\"and\", \"or\" or the end"))
    }
}

impl<'t> Parser<'t> {
    fn next(&mut self) -> Token<'t> {
        let end = self.text.len();
        self.tokens.next().unwrap_or(Token { kind: TokenKind::End, span: end..end })
    }

    fn takes(&mut self, kind: &TokenKind<'_>) -> bool {
        self.tokens.next_if(|token| token.kind == *kind).is_some()
    }

    fn error(&self, span: Range<usize>, kind: impl Into<ParseErrorKind>) -> ParseError {
        lexer::error(self.text, span, kind.into())
    }

    fn unexpected(&self, token: &Token<'_>, expected: &'static str) -> ParseError {
        let kind = if token.kind == TokenKind::End {
            ParseErrorKind::UnexpectedEnd { expected }
        } else {
            ParseErrorKind::Unexpected { expected, found: self.text[token.span.clone()].to_owned() }
        };
        self.error(token.span.clone(), kind)
    }

    fn either(&mut self) -> Result<Expression, ParseError> {
        let mut left = self.both()?;
        while self.takes(&TokenKind::Or) {
            left = left | self.both()?;
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Expression, ParseError> {
        let mut left = self.one()?;
        while self.takes(&TokenKind::And) {
            left = left & self.one()?;
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Expression, ParseError> {
        let token = self.next();
        match token.kind {
            TokenKind::Not => self.deeper(&token.span, Self::one).map(|inner| !inner),
            TokenKind::Open => {
                let inner = self.deeper(&token.span, Self::either)?;
                let end = self.next();
                if end.kind != TokenKind::Close {
                    return Err(self.unexpected(&end, "\")\", \"and\" or \"or\""));
                }
                Ok(inner)
            }
            TokenKind::Word(word) => self.test(word, &token.span),
            _ => Err(self.unexpected(&token, TEST)),
        }
    }

    /// One level of recursion.
    fn deeper(
        &mut self,
        span: &Range<usize>,
        parse: impl FnOnce(&mut Self) -> Result<Expression, ParseError>,
    ) -> Result<Expression, ParseError> {
        if self.depth >= MAX_DEPTH {
            return Err(self.error(span.clone(), ParseErrorKind::TooDeep));
        }
        self.depth += 1;
        let inner = parse(self)?;
        self.depth -= 1;
        Ok(inner)
    }

    fn test(&mut self, word: &str, span: &Range<usize>) -> Result<Expression, ParseError> {
        if let Some(field) = Field::by_name(word) {
            return self.comparison(field, span);
        }
        if let Some(name) = field::applications().find(|name| *name == word) {
            let test = Expression::compare(Field::Application, Operator::Equal, name);
            return self.check(test, span);
        }
        let Some(Alias { field, only, .. }) = ALIASES.iter().find(|alias| alias.name == word)
        else {
            let name = word.to_owned();
            let suggestion = similar(word, field::names());
            return Err(self.error(span.clone(), ParseErrorKind::UnknownField { name, suggestion }));
        };
        let only = Expression::compare(only.0, Operator::Equal, only.1)
            .map_err(|error| self.error(span.clone(), error))?;
        match field {
            None => Ok(only),
            Some(field) => Ok(match self.comparison(*field, span)? {
                // "not in": flows of another kind are not in the set either.
                Expression::Not(inner) => !(only & *inner),
                test => only & test,
            }),
        }
    }

    /// The operator and value after a field.
    fn comparison(&mut self, field: Field, span: &Range<usize>) -> Result<Expression, ParseError> {
        let is_operator = |token: &Token<'_>| {
            use TokenKind::{Compare, Contains, In, Matches, Not};
            matches!(token.kind, Compare(_) | Contains | Matches | In | Not)
        };
        let Some(operator) = self.tokens.next_if(is_operator) else {
            return Ok(Expression::exists(field));
        };
        let at = operator.span.clone();
        match operator.kind {
            TokenKind::Compare(sign) => {
                // The operator is wrong for the type, whatever follows it.
                self.check(Expression::compare(field, sign, sample(field)), &at)?;
                let (value, place) = self.value(field)?;
                self.check(Expression::compare(field, sign, value), &place)
            }
            TokenKind::In => self.set(field, &at),
            TokenKind::Not => {
                let word = self.next();
                if word.kind != TokenKind::In {
                    return Err(self.unexpected(&word, "\"in\" after \"not\""));
                }
                self.set(field, &at).map(|set| !set)
            }
            TokenKind::Contains => {
                let (bytes, place) = self.text("a text in quotation marks")?;
                let place = if bytes.is_empty() { place } else { at };
                self.check(Expression::contains(field, bytes), &place)
            }
            _ => {
                let token = self.next();
                let TokenKind::Text(text, raw) = token.kind else {
                    return Err(self.unexpected(&token, "a regular expression in quotation marks"));
                };
                let text = if raw { text.to_owned() } else { pattern::unmark(text) };
                let pattern: Result<Pattern, _> = text.parse();
                let pattern = pattern.map_err(|error| self.error(token.span, error))?;
                let place = span.start..at.end;
                self.check(Expression::matches(field, pattern), &place)
            }
        }
    }

    fn check(
        &self,
        built: Result<Expression, TypeError>,
        span: &Range<usize>,
    ) -> Result<Expression, ParseError> {
        built.map_err(|error| self.error(span.clone(), error))
    }

    fn set(&mut self, field: Field, operator: &Range<usize>) -> Result<Expression, ParseError> {
        if field.kind() == Kind::Bytes {
            return self.check(Expression::one_of(field, []), operator);
        }
        let open = self.next();
        if open.kind != TokenKind::OpenSet {
            return Err(self.unexpected(&open, "\"{\""));
        }
        let mut members = Vec::new();
        loop {
            if self.takes(&TokenKind::CloseSet) {
                break;
            }
            let (low, place) = self.value(field)?;
            let member = if self.takes(&TokenKind::Range) {
                let (high, end) = self.value(field)?;
                let range = Member::Range(low, high);
                self.check(Expression::one_of(field, [range.clone()]), &(place.start..end.end))?;
                range
            } else {
                Member::One(low)
            };
            members.push(member);
            // Wireshark took sets without commas once.
            self.takes(&TokenKind::Comma);
        }
        let span =
            operator.start..self.tokens.peek().map_or(self.text.len(), |next| next.span.start);
        self.check(Expression::one_of(field, members), &span)
    }

    fn value(&mut self, field: Field) -> Result<(Value, Range<usize>), ParseError> {
        if field.kind() == Kind::Text {
            let (bytes, span) = self.text("a text in quotation marks")?;
            return Ok((Value::Text(bytes), span));
        }
        let token = self.next();
        let TokenKind::Word(word) = token.kind else {
            return Err(self.unexpected(&token, VALUE));
        };
        let value =
            value::parse(field, word).map_err(|kind| self.error(token.span.clone(), kind))?;
        Ok((value, token.span))
    }

    /// A text in quotation marks, or a word.
    fn text(&mut self, expected: &'static str) -> Result<(Vec<u8>, Range<usize>), ParseError> {
        let token = self.next();
        match token.kind {
            TokenKind::Word(word) => Ok((word.as_bytes().to_vec(), token.span)),
            TokenKind::Text(text, raw) => match unescape(text, raw) {
                Ok(bytes) => Ok((bytes, token.span)),
                Err((at, kind)) => {
                    let start = token.span.start + 1 + usize::from(raw) + at;
                    Err(self.error(start..start + 2, kind))
                }
            },
            _ => Err(self.unexpected(&token, expected)),
        }
    }
}

/// A value that the field can have.
fn sample(field: Field) -> Value {
    match field.kind() {
        Kind::Duration => Value::Duration(std::time::Duration::ZERO),
        Kind::Address => Value::from(std::net::IpAddr::from([0, 0, 0, 0])),
        Kind::Text | Kind::Bytes => Value::Text(Vec::new()),
        Kind::End => Value::End(flow::EndReason::Fin),
        Kind::Bool => Value::Bool(true),
        Kind::Port | Kind::Protocol | Kind::Number => Value::Number(0),
    }
}
