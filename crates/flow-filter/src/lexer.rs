//! From text to tokens.

use std::ops::Range;

use crate::error::{ParseError, ParseErrorKind};
use crate::expression::Operator;

/// A token and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token<'t> {
    pub(crate) kind: TokenKind<'t>,
    pub(crate) span: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenKind<'t> {
    /// A name, a number or an address.
    Word(&'t str),
    /// A text in quotation marks; `true` if its escapes are not resolved.
    Text(&'t str, bool),
    Compare(Operator),
    Contains,
    Matches,
    In,
    And,
    Or,
    Not,
    Open,
    Close,
    OpenSet,
    CloseSet,
    Comma,
    Range,
    End,
}

const SIGNS: &[(&str, TokenKind<'static>)] = &[
    ("===", TokenKind::Compare(Operator::AllEqual)),
    ("!==", TokenKind::Compare(Operator::AnyNotEqual)),
    ("==", TokenKind::Compare(Operator::Equal)),
    ("!=", TokenKind::Compare(Operator::NotEqual)),
    ("<=", TokenKind::Compare(Operator::LessOrEqual)),
    (">=", TokenKind::Compare(Operator::GreaterOrEqual)),
    ("&&", TokenKind::And),
    ("||", TokenKind::Or),
    ("..", TokenKind::Range),
    ("<", TokenKind::Compare(Operator::Less)),
    (">", TokenKind::Compare(Operator::Greater)),
    ("!", TokenKind::Not),
    ("~", TokenKind::Matches),
    ("(", TokenKind::Open),
    (")", TokenKind::Close),
    ("{", TokenKind::OpenSet),
    ("}", TokenKind::CloseSet),
    (",", TokenKind::Comma),
];

const WORDS: &[(&str, TokenKind<'static>)] = &[
    ("and", TokenKind::And),
    ("or", TokenKind::Or),
    ("not", TokenKind::Not),
    ("in", TokenKind::In),
    ("contains", TokenKind::Contains),
    ("matches", TokenKind::Matches),
    ("eq", TokenKind::Compare(Operator::Equal)),
    ("any_eq", TokenKind::Compare(Operator::Equal)),
    ("ne", TokenKind::Compare(Operator::NotEqual)),
    ("all_ne", TokenKind::Compare(Operator::NotEqual)),
    ("all_eq", TokenKind::Compare(Operator::AllEqual)),
    ("any_ne", TokenKind::Compare(Operator::AnyNotEqual)),
    ("lt", TokenKind::Compare(Operator::Less)),
    ("le", TokenKind::Compare(Operator::LessOrEqual)),
    ("gt", TokenKind::Compare(Operator::Greater)),
    ("ge", TokenKind::Compare(Operator::GreaterOrEqual)),
];

/// Splits a text into tokens; the last is the end.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (kind, len) = token(text, at)?;
        tokens.push(Token { kind, span: at..at + len });
        at += len;
    }
    tokens.push(Token { kind: TokenKind::End, span: text.len()..text.len() });
    Ok(tokens)
}

/// The token at a place, and its length.
fn token(text: &str, at: usize) -> Result<(TokenKind<'_>, usize), ParseError> {
    let rest = &text[at..];
    if rest.starts_with('"') {
        let len = quoted(text, at)?;
        return Ok((TokenKind::Text(&rest[1..len - 1], false), len));
    }
    if rest.starts_with("r\"") {
        let len = 1 + quoted(text, at + 1)?;
        return Ok((TokenKind::Text(&rest[2..len - 1], true), len));
    }
    let len = word_len(rest);
    if len > 0 {
        let word = &rest[..len];
        let known = WORDS.iter().find(|(name, _)| *name == word);
        let kind = known.map_or(TokenKind::Word(word), |(_, kind)| kind.clone());
        return Ok((kind, len));
    }
    if let Some((sign, kind)) = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
        return Ok((kind.clone(), sign.len()));
    }
    let character = rest.chars().next().unwrap_or_default();
    Err(error(text, at..at + character.len_utf8(), ParseErrorKind::Character { character }))
}

/// The length of a text with its quotation marks. A backslash keeps the next character from ending
/// it, in a text with and without escapes.
fn quoted(text: &str, at: usize) -> Result<usize, ParseError> {
    let mut bytes = text.as_bytes()[at + 1..].iter().enumerate();
    while let Some((place, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'"' => return Ok(place + 2),
            _ => {}
        }
    }
    Err(error(text, at..text.len(), ParseErrorKind::OpenText))
}

/// The length of a word: up to the next sign, space, or `..` of a range.
fn word_len(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let part = |at: usize| {
        let byte = bytes[at];
        let dots = byte == b'.' && bytes.get(at + 1) == Some(&b'.');
        (byte.is_ascii_alphanumeric() || b"_.:/-".contains(&byte)) && !dots
    };
    (0..bytes.len()).find(|&at| !part(at)).unwrap_or(bytes.len())
}

/// The bytes of a text, its escapes resolved.
pub(crate) fn unescape(text: &str, raw: bool) -> Result<Vec<u8>, (usize, ParseErrorKind)> {
    if raw {
        return Ok(text.as_bytes().to_vec());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escaped = chars.next().map(|(_, c)| c);
        let byte = match escaped {
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('t') => b'\t',
            Some('a') => 0x07,
            Some('b') => 0x08,
            Some('v') => 0x0b,
            Some('f') => 0x0c,
            Some(c @ ('\\' | '"' | '\'')) => c as u8,
            Some('x') => {
                let digits = text.get(at + 2..at + 4);
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                let Some(byte) = byte.filter(|_| !text[at + 2..].starts_with('+')) else {
                    return Err((at, ParseErrorKind::Escape { escape: "\\x".to_owned() }));
                };
                chars.nth(1);
                byte
            }
            Some('0') => 0,
            other => {
                let escape =
                    other.into_iter().fold("\\".to_owned(), |text, c| text + &c.to_string());
                return Err((at, ParseErrorKind::Escape { escape }));
            }
        };
        bytes.push(byte);
    }
    Ok(bytes)
}

/// An error at a place of the text.
pub(crate) fn error(text: &str, span: Range<usize>, kind: ParseErrorKind) -> ParseError {
    let before = text.get(..span.start).map_or(0, |before| before.chars().count());
    ParseError { span, before, kind }
}
