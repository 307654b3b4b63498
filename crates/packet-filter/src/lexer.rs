//! Splits text into tokens.

use std::net::Ipv6Addr;

use packet::MacAddress;

use crate::error::{ParseError, ParseErrorKind};

/// A token and its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind<'a>,
    /// The token as written.
    pub(crate) text: &'a str,
    /// The byte offset of the token in the text.
    pub(crate) start: usize,
}

impl Token<'_> {
    /// Returns `true` if the token is this symbol or word.
    pub(crate) fn is(&self, text: &str) -> bool {
        match self.kind {
            TokenKind::Word(word) => word == text,
            TokenKind::Symbol(symbol) => symbol == text,
            _ => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind<'a> {
    /// A keyword or name.
    Word(&'a str),
    /// A name after a backslash, which is never a keyword.
    Escaped(&'a str),
    Number(u32),
    /// Two to four numbers joined by dots: the bytes from the left, and the number of parts.
    Dotted {
        bytes: [u8; 4],
        count: u8,
    },
    /// Two numbers joined by a dot, at least one of which is too large for a byte.
    Pair(u16, u16),
    Ip6(Ipv6Addr),
    Mac(MacAddress),
    /// An operator or parenthesis, in its canonical spelling.
    Symbol(&'static str),
}

/// All tokens of a text.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let mut lexer = Lexer { text, at: 0, brackets: 0 };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next()? {
        tokens.push(token);
    }
    Ok(tokens)
}

/// Builds the error for a byte offset.
pub(crate) fn error(text: &str, start: usize, kind: ParseErrorKind) -> ParseError {
    let before = text.get(..start).unwrap_or(text);
    ParseError { column: before.chars().count() + 1, kind }
}

const SYMBOLS: &[(&str, &str)] = &[
    ("&&", "and"),
    ("||", "or"),
    ("<<", "<<"),
    (">>", ">>"),
    ("<=", "<="),
    (">=", ">="),
    ("!=", "!="),
    ("==", "="),
    ("=", "="),
    ("<", "<"),
    (">", ">"),
    ("!", "not"),
    ("(", "("),
    (")", ")"),
    ("[", "["),
    ("]", "]"),
    (":", ":"),
    ("/", "/"),
    ("+", "+"),
    ("-", "-"),
    ("*", "*"),
    ("%", "%"),
    ("&", "&"),
    ("|", "|"),
    ("^", "^"),
];

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// The number of open brackets. Inside brackets a colon separates offset and width; outside it
    /// is part of an address.
    brackets: usize,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Result<Option<Token<'a>>, ParseError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let start = self.at + rest.len() - trimmed.len();
        let Some(first) = trimmed.chars().next() else { return Ok(None) };
        let address = self.brackets == 0 && first == ':' && trimmed.starts_with("::");
        let (kind, length) = if first.is_ascii_alphanumeric() || address {
            let length = self.word_length(trimmed);
            let word = trimmed.get(..length).unwrap_or_default();
            (self.word(word).map_err(|kind| error(self.text, start, kind))?, length)
        } else if first == '\\' {
            let name = trimmed.get(1..).unwrap_or_default();
            let length = name.find([' ', '!', '(', ')', '\t', '\r', '\n']).unwrap_or(name.len());
            if length == 0 {
                let kind = ParseErrorKind::Character { character: '\\' };
                return Err(error(self.text, start, kind));
            }
            (TokenKind::Escaped(name.get(..length).unwrap_or_default()), length + 1)
        } else if let Some((spelling, symbol)) =
            SYMBOLS.iter().find(|symbol| trimmed.starts_with(symbol.0))
        {
            match *symbol {
                "[" => self.brackets += 1,
                "]" => self.brackets = self.brackets.saturating_sub(1),
                _ => {}
            }
            (TokenKind::Symbol(symbol), spelling.len())
        } else {
            return Err(error(self.text, start, ParseErrorKind::Character { character: first }));
        };
        self.at = start + length;
        Ok(Some(Token { kind, text: trimmed.get(..length).unwrap_or_default(), start }))
    }

    /// The length of a word. Outside brackets a word ends with a letter, a digit, a dot or a colon.
    /// Inside brackets a word that starts with a digit contains only letters and digits.
    fn word_length(&self, text: &str) -> usize {
        let digits = text.starts_with(|first: char| first.is_ascii_digit());
        let inside = self.brackets > 0;
        let part = |byte: u8| {
            byte.is_ascii_alphanumeric()
                || (matches!(byte, b'.' | b'_' | b'-') && !(inside && digits))
                || (byte == b':' && !inside)
        };
        let run = text.bytes().take_while(|byte| part(*byte)).count();
        let tail =
            text.bytes().take(run).rev().take_while(|byte| matches!(byte, b'-' | b'_')).count();
        run - tail
    }

    fn word(&self, word: &'a str) -> Result<TokenKind<'a>, ParseErrorKind> {
        if self.brackets == 0 {
            if let Ok(address) = word.parse::<MacAddress>() {
                return Ok(TokenKind::Mac(address));
            }
            if word.contains(':') {
                return match word.parse() {
                    Ok(address) => Ok(TokenKind::Ip6(address)),
                    Err(_) => Err(ParseErrorKind::Address { text: word.to_owned() }),
                };
            }
        }
        if !word.starts_with(|first: char| first.is_ascii_digit()) {
            return Ok(TokenKind::Word(word));
        }
        if let Some(number) = number(word)? {
            return Ok(TokenKind::Number(number));
        }
        if word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return dotted(word)
                .or_else(|| pair(word))
                .ok_or_else(|| ParseErrorKind::Address { text: word.to_owned() });
        }
        if word.contains(|c: char| !c.is_ascii_hexdigit() && c != 'x' && c != 'X')
            || self.brackets == 0
        {
            return Ok(TokenKind::Word(word));
        }
        Err(ParseErrorKind::Number { text: word.to_owned() })
    }
}

/// Parses a number as C writes it: decimal, `0x` hexadecimal, `0` octal. `None` if the word is not
/// a number.
pub(crate) fn number(word: &str) -> Result<Option<u32>, ParseErrorKind> {
    let (digits, radix) =
        if let Some(digits) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
            (digits, 16)
        } else if word.len() > 1 && word.starts_with('0') {
            (word, 8)
        } else {
            (word, 10)
        };
    let of_radix = |c: char| c.is_digit(radix);
    if digits.is_empty() || !digits.chars().all(of_radix) {
        let plain = word.bytes().all(|byte| byte.is_ascii_digit());
        return if plain {
            Err(ParseErrorKind::Number { text: word.to_owned() })
        } else {
            Ok(None)
        };
    }
    u32::from_str_radix(digits, radix).map(Some).map_err(|_| ParseErrorKind::TooLarge {
        number: word.to_owned(),
        what: "a number",
        maximum: u32::MAX,
    })
}

/// Parses two to four decimal numbers up to 255, joined by dots. Leading zeros do not mean octal:
/// `010.1.2.3` is `10.1.2.3`.
fn dotted(word: &str) -> Option<TokenKind<'_>> {
    let mut bytes = [0u8; 4];
    let mut count = 0u8;
    for part in word.split('.') {
        let number = part.parse().ok()?;
        *bytes.get_mut(usize::from(count))? = number;
        count += 1;
    }
    (count >= 2).then_some(TokenKind::Dotted { bytes, count })
}

fn pair(word: &str) -> Option<TokenKind<'_>> {
    let (area, node) = word.split_once('.')?;
    Some(TokenKind::Pair(area.parse().ok()?, node.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind<'_>> {
        tokens(text).expect(text).into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn words_take_dashes_and_symbols_do_not() {
        use TokenKind::{Number, Symbol, Word};
        assert_eq!(
            kinds("tcp[13:1]&tcp-syn!=0x2"),
            [
                Word("tcp"),
                Symbol("["),
                Number(13),
                Symbol(":"),
                Number(1),
                Symbol("]"),
                Symbol("&"),
                Word("tcp-syn"),
                Symbol("!="),
                Number(2)
            ]
        );
        assert_eq!(kinds("6000-6008"), [Word("6000-6008")]);
        assert_eq!(
            kinds("ip[12-010]"),
            [Word("ip"), Symbol("["), Number(12), Symbol("-"), Number(8), Symbol("]")]
        );
    }

    #[test]
    fn addresses_are_told_apart() {
        use TokenKind::{Dotted, Ip6, Mac};
        assert_eq!(kinds("10.1"), [Dotted { bytes: [10, 1, 0, 0], count: 2 }]);
        assert_eq!(kinds("::1"), [Ip6(Ipv6Addr::LOCALHOST)]);
        let address = MacAddress([1, 2, 3, 4, 5, 0xff]);
        for text in
            ["1:2:3:4:5:ff", "01-02-03-04-05-ff", "0102.0304.05ff", "0102030405ff", "1.2.3.4.5.ff"]
        {
            assert_eq!(kinds(text), [Mac(address)], "{text}");
        }
        assert_eq!(kinds("fe80::1"), [Ip6("fe80::1".parse().expect("an address"))]);
    }

    #[test]
    fn nonsense_is_pointed_at() {
        for (text, column) in
            [("tcp ä", 5), ("host 1.2.3.400", 6), ("port 09", 6), ("4294967296 = 1", 1), ("a:b", 1)]
        {
            assert_eq!(tokens(text).map_err(|error| error.column), Err(column), "{text}");
        }
    }
}
