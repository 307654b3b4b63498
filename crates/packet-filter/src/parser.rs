//! Parses tokens to a tree, by recursive descent over the grammar of pcap-filter(7).

mod arithmetic;
mod fields;
mod identifier;
mod qualifiers;

use crate::error::{ParseError, ParseErrorKind};
use crate::expression::{Arithmetic, Expression, Operands, Relation};
use crate::lexer::{self, Token, TokenKind};
use qualifiers::Qualifiers;

/// The maximum nesting depth of conditions, parentheses and arithmetic.
pub const MAX_NESTING: usize = 256;

/// The maximum length of an expression in bytes, both as written and as printed.
pub const MAX_EXPRESSION_LEN: usize = 1 << 20;

/// Trees up to this depth always print to a text that nests within [`MAX_NESTING`]. One level of
/// the tree costs up to three levels of the parser, because every operand is printed in
/// parentheses. The worst case is `a + (b + (c + …`.
const SURELY_PRINTABLE_DEPTH: usize = MAX_NESTING / 4;

/// Texts up to this length always print within [`MAX_EXPRESSION_LEN`]. Names without qualifiers are
/// printed with those they inherit: `||2` becomes ` or tcp src and dst port 2`, which is nine times
/// as long.
const SURELY_PRINTABLE_LEN: usize = MAX_EXPRESSION_LEN / 16;

/// Parses a text. `None` for a text of white space only, which matches everything.
pub(crate) fn parse(text: &str) -> Result<Option<Expression>, ParseError> {
    let expression = tree(text)?;
    if let Some(expression) = &expression
        && (text.len() > SURELY_PRINTABLE_LEN || !expression.is_within(SURELY_PRINTABLE_DEPTH))
    {
        // An accepted expression may be printed, logged and passed to another process, which must
        // be able to parse it. So the printed form is parsed here too.
        tree(&expression.to_string()).map_err(|error| ParseError { column: 1, ..error })?;
    }
    Ok(expression)
}

fn tree(text: &str) -> Result<Option<Expression>, ParseError> {
    if text.len() > MAX_EXPRESSION_LEN {
        let kind = ParseErrorKind::TooLong { limit: MAX_EXPRESSION_LEN };
        return Err(ParseError { column: 1, kind });
    }
    let tokens = lexer::tokens(text)?;
    if tokens.is_empty() {
        return Ok(None);
    }
    let mut parser = Parser { text, tokens: &tokens, at: 0, depth: 0 };
    let (item, _) = parser.expression(None)?;
    let expression = parser.condition(item, None)?;
    if parser.peek().is_some() {
        return Err(parser.unexpected("`and`, `or` or the end"));
    }
    if !expression.is_within(MAX_NESTING) {
        return Err(ParseError { column: 1, kind: ParseErrorKind::TooDeep { limit: MAX_NESTING } });
    }
    Ok(Some(expression))
}

/// Returns `true` if a name without a backslash is neither a keyword nor anything but a name.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let tokens = lexer::tokens(name).unwrap_or_default();
    matches!(&tokens[..], [Token { kind: TokenKind::Word(word), .. }] if *word == name)
        && !qualifiers::is_keyword(name)
}

/// The content of a parenthesis: a condition, as in `(tcp or udp)`, or a number, as in
/// `(ip[0] & 15)`.
enum Item {
    Condition(Expression),
    Number(Arithmetic),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Conjunction {
    And,
    Or,
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token<'a>],
    at: usize,
    depth: usize,
}

/// The qualifiers that a name without any inherits from the name before it. `None` if there are
/// none to inherit.
type Inherited = Option<Qualifiers>;

impl<'a> Parser<'a> {
    /// Parses terms joined by `and` and `or`, which have equal precedence and associate to the
    /// left.
    fn expression(&mut self, inherited: Inherited) -> Result<(Item, Inherited), ParseError> {
        let depth = self.enter()?;
        let (first, mut scope) = self.term(inherited)?;
        let Some(mut conjunction) = self.conjunction() else {
            self.depth = depth;
            return Ok((first, scope));
        };
        let mut tree = self.condition(first, inherited)?;
        // Only a chain that started here is extended. An expression in parentheses stays a subtree
        // of its own.
        let mut chain = None;
        loop {
            let (item, next) = self.term(scope)?;
            let operand = self.condition(item, scope)?;
            let continued = chain == Some(conjunction);
            if !continued {
                self.enter()?;
            }
            tree = match (conjunction, continued) {
                (Conjunction::And, true) => tree.and(operand),
                (Conjunction::Or, true) => tree.or(operand),
                (Conjunction::And, false) => Expression::And(Operands::pair(tree, operand)),
                (Conjunction::Or, false) => Expression::Or(Operands::pair(tree, operand)),
            };
            chain = Some(conjunction);
            scope = next;
            match self.conjunction() {
                Some(next) => conjunction = next,
                None => break,
            }
        }
        self.depth = depth;
        Ok((Item::Condition(tree), scope))
    }

    /// Parses a condition without `and` and `or` outside parentheses, or a number in parentheses.
    fn term(&mut self, inherited: Inherited) -> Result<(Item, Inherited), ParseError> {
        if self.accept("not") {
            let depth = self.enter()?;
            let (item, scope) = self.term(inherited)?;
            let inner = self.condition(item, inherited)?;
            self.depth = depth;
            return Ok((Item::Condition(inner.negated()), scope));
        }
        if self.accept("(") {
            let (item, _) = self.expression(inherited)?;
            self.expect(")")?;
            return match item {
                Item::Condition(expression) => Ok((Item::Condition(expression), inherited)),
                Item::Number(left) => {
                    let left = self.arithmetic_from(left, 0)?;
                    self.relation(left, inherited)
                }
            };
        }
        if self.starts_arithmetic() {
            let left = self.arithmetic(0)?;
            return self.relation(left, inherited);
        }
        if let Some((expression, scope)) = self.keyword()? {
            return Ok((Item::Condition(expression), scope));
        }
        match inherited {
            Some(qualifiers) => {
                let expression = self.identifier(qualifiers)?;
                Ok((Item::Condition(expression), inherited))
            }
            None => Err(self.no_term()),
        }
    }

    /// Parses the comparison that may follow a number.
    fn relation(
        &mut self,
        left: Arithmetic,
        inherited: Inherited,
    ) -> Result<(Item, Inherited), ParseError> {
        let Some(comparison) = self.comparison() else {
            return Ok((Item::Number(left), inherited));
        };
        let right = self.arithmetic(0)?;
        Ok((Item::Condition(Relation { left, comparison, right }.into()), None))
    }

    /// Turns an item into a condition. A number alone is a name that inherits its qualifiers:
    /// `port 80 or 443`.
    fn condition(&self, item: Item, inherited: Inherited) -> Result<Expression, ParseError> {
        match (item, inherited) {
            (Item::Condition(expression), _) => Ok(expression),
            (Item::Number(Arithmetic::Number(number)), Some(qualifiers)) => {
                let start = self
                    .at
                    .checked_sub(1)
                    .and_then(|at| self.tokens.get(at))
                    .map_or(0, |token| token.start);
                qualifiers.number(number).map_err(|kind| lexer::error(self.text, start, kind))
            }
            _ => Err(self.unexpected("a comparison such as `=`")),
        }
    }

    fn conjunction(&mut self) -> Option<Conjunction> {
        if self.accept("and") {
            Some(Conjunction::And)
        } else if self.accept("or") {
            Some(Conjunction::Or)
        } else {
            None
        }
    }

    /// Increments the depth. Returns the previous depth, to restore afterwards.
    fn enter(&mut self) -> Result<usize, ParseError> {
        if self.depth == MAX_NESTING {
            return Err(self.fail(ParseErrorKind::TooDeep { limit: MAX_NESTING }));
        }
        self.depth += 1;
        Ok(self.depth - 1)
    }

    fn peek(&self) -> Option<&'a Token<'a>> {
        self.tokens.get(self.at)
    }

    fn peek_second(&self) -> Option<&'a Token<'a>> {
        self.tokens.get(self.at + 1)
    }

    /// Consumes the next token if it is this symbol or keyword. Returns `true` if it was.
    fn accept(&mut self, text: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is(text));
        if found {
            self.at += 1;
        }
        found
    }

    fn expect(&mut self, symbol: &'static str) -> Result<(), ParseError> {
        if self.accept(symbol) { Ok(()) } else { Err(self.unexpected(symbol)) }
    }

    /// The error for a next token that is not one of those expected.
    fn unexpected(&self, expected: &'static str) -> ParseError {
        self.fail(match self.peek() {
            Some(token) => ParseErrorKind::Unexpected { expected, found: token.text.to_owned() },
            None => ParseErrorKind::UnexpectedEnd { expected },
        })
    }

    /// An error at the next token.
    fn fail(&self, kind: ParseErrorKind) -> ParseError {
        lexer::error(self.text, self.peek().map_or(self.text.len(), |token| token.start), kind)
    }

    /// The error for a next token that cannot begin a term.
    fn no_term(&self) -> ParseError {
        let Some(token) = self.peek() else { return self.unexpected("a condition") };
        let text = token.text.to_owned();
        match token.kind {
            TokenKind::Word(word) => match qualifiers::unsupported(word) {
                Some(reason) => self.fail(ParseErrorKind::Unsupported { keyword: text, reason }),
                None if qualifiers::is_keyword(word) => self.unexpected("a condition"),
                None => {
                    self.fail(ParseErrorKind::UnknownWord { word: text, expected: "a condition" })
                }
            },
            TokenKind::Symbol(_) => self.unexpected("a condition"),
            _ => self.fail(ParseErrorKind::MissingQualifier { text }),
        }
    }
}
