//! Regular expressions over streams that come in pieces.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use regex_automata::Anchored;
use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::util::syntax;

use crate::error::TypeError;

/// The maximum memory of a compiled pattern, in bytes.
pub(crate) const SIZE_LIMIT: usize = 8 << 20;

/// A regular expression in the syntax of the crate `regex`, compiled so that it finds matches in a
/// stream that comes in pieces: in linear time, with the memory of one number a stream.
///
/// It is about bytes: `.` is any byte but a line feed, `\w`, `\d` and `\b` are those of ASCII. As
/// in Wireshark, upper and lower case are the same; `(?-i)` in front of it tells them apart. `^`
/// and `$` are the beginning and end of a stream, `(?m)` makes them those of a line.
///
/// ```
/// use flow_filter::Pattern;
///
/// let pattern: Pattern = r"^get /[a-z]+ http/1\.[01]\r\n".parse()?;
/// let mut scan = pattern.scan();
/// assert!(!scan.feed(b"GET /ind"));
/// assert!(scan.feed(b"ex HTTP/1.1\r\nHost: "));
/// # Ok::<(), flow_filter::TypeError>(())
/// ```
#[derive(Clone)]
pub struct Pattern {
    text: Arc<str>,
    dfa: Arc<dense::DFA<Vec<u32>>>,
}

impl Pattern {
    /// Compiles a pattern of which upper and lower case differ.
    ///
    /// # Errors
    ///
    /// As [`from_str`](Self::from_str).
    pub fn case_sensitive(text: &str) -> Result<Self, TypeError> {
        format!("(?-i){text}").parse()
    }

    /// Compiles the pattern that matches these bytes and nothing else.
    pub(crate) fn literal(bytes: &[u8]) -> Result<Self, TypeError> {
        let text =
            bytes.iter().fold("(?-i)".to_owned(), |text, byte| text + &format!("\\x{byte:02x}"));
        text.parse()
    }

    /// Begins a search.
    #[must_use]
    pub fn scan(&self) -> Scan<'_> {
        Scan { pattern: self, state: self.begin() }
    }

    /// The text of the pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The pattern in quotation marks.
    pub(crate) fn quoted(&self) -> impl fmt::Display + '_ {
        format!("\"{}\"", mark(&self.text))
    }

    /// The state at the beginning of a stream.
    pub(crate) fn begin(&self) -> State {
        self.start(None)
    }

    /// The state after a gap, where it is not known what came before: neither the beginning of a
    /// stream nor that of a line.
    pub(crate) fn resume(&self) -> State {
        self.start(Some(0))
    }

    fn start(&self, before: Option<u8>) -> State {
        let config = start::Config::new().anchored(Anchored::No).look_behind(before);
        // It fails for bytes that make the automaton give up, which there are none of.
        State(self.dfa.start_state(&config).ok())
    }

    /// Takes the next bytes of a stream. Returns `true` if a match has ended before the last of
    /// them; a match that ends with it is known with the next byte or with the end.
    pub(crate) fn feed(&self, state: &mut State, bytes: &[u8]) -> bool {
        let dfa = &*self.dfa;
        let Some(mut at) = state.0 else { return false };
        let mut place = 0;
        while place < bytes.len() {
            at = dfa.next_state(at, bytes[place]);
            place += 1;
            if !dfa.is_special_state(at) {
                continue;
            }
            if dfa.is_match_state(at) {
                state.0 = Some(at);
                return true;
            }
            if dfa.is_dead_state(at) || dfa.is_quit_state(at) {
                break;
            }
            if dfa.is_accel_state(at) {
                place += skip(dfa.accelerator(at), &bytes[place..]);
            }
        }
        state.0 = Some(at);
        false
    }

    /// Returns `true` if a match ends in front of a gap. What comes is not known, and counts as a
    /// byte that is no part of a word and no line feed.
    pub(crate) fn interrupt(&self, state: State) -> bool {
        state.0.is_some_and(|at| self.dfa.is_match_state(self.dfa.next_state(at, 0)))
    }

    /// Returns `true` if a match ends where the stream does.
    pub(crate) fn finish(&self, state: State) -> bool {
        state.0.is_some_and(|at| self.dfa.is_match_state(self.dfa.next_eoi_state(at)))
    }

    /// Returns `true` if the pattern matches a text or a part of it.
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        let mut state = self.begin();
        self.feed(&mut state, text) || self.finish(state)
    }
}

/// The state of a search in one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State(Option<StateID>);

/// A search in a stream that comes in pieces.
#[derive(Debug)]
pub struct Scan<'p> {
    pattern: &'p Pattern,
    state: State,
}

impl Scan<'_> {
    /// Takes the next bytes. Returns `true` if a match has ended before the last of them; a match
    /// that ends with it is known with the next byte or with the end.
    pub fn feed(&mut self, bytes: &[u8]) -> bool {
        self.pattern.feed(&mut self.state, bytes)
    }

    /// Bytes are missing: no match extends over them. Returns `true` if a match ends before them.
    pub fn gap(&mut self) -> bool {
        let found = self.pattern.interrupt(self.state);
        self.state = self.pattern.resume();
        found
    }

    /// The stream has ended. Returns `true` if a match ends there.
    #[must_use]
    pub fn finish(self) -> bool {
        self.pattern.finish(self.state)
    }
}

impl FromStr for Pattern {
    type Err = TypeError;

    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// If it is not a regular expression of the crate `regex`, or takes more than 8 MiB.
    fn from_str(text: &str) -> Result<Self, TypeError> {
        let syntax = syntax::Config::new().unicode(false).utf8(false).case_insensitive(true);
        let limits = dense::Config::new()
            .start_kind(StartKind::Unanchored)
            .dfa_size_limit(Some(SIZE_LIMIT))
            .determinize_size_limit(Some(SIZE_LIMIT));
        let dfa = dense::Builder::new()
            .syntax(syntax.nest_limit(100))
            .thompson(thompson::Config::new().utf8(false).nfa_size_limit(Some(SIZE_LIMIT)))
            .configure(limits)
            .build(text);
        match dfa {
            Ok(dfa) => Ok(Self { text: text.into(), dfa: Arc::new(dfa) }),
            Err(error) => {
                Err(TypeError::Pattern { pattern: text.to_owned(), reason: reason(&error) })
            }
        }
    }
}

/// The number of bytes in front of the first that changes a state.
pub(crate) fn skip(needles: &[u8], bytes: &[u8]) -> usize {
    let next = match *needles {
        [a] => memchr::memchr(a, bytes),
        [a, b] => memchr::memchr2(a, b, bytes),
        [a, b, c] => memchr::memchr3(a, b, c, bytes),
        _ => Some(0),
    };
    next.unwrap_or(bytes.len())
}

/// The innermost cause in one line: the outer ones repeat the pattern.
pub(crate) fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// A pattern as it stands between quotation marks: with a backslash before each of them, and before
/// each backslash.
fn mark(pattern: &str) -> String {
    pattern.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The pattern that stands between quotation marks, as Wireshark takes it: two backslashes are one.
/// Other escapes are those of the regular expression, so that `"\d"` and `"\\d"` are the same.
pub(crate) fn unmark(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.as_str().chars().next()) {
            ('\\', Some(next @ ('\\' | '"'))) => {
                pattern.push(next);
                chars.next();
            }
            _ => pattern.push(c),
        }
    }
    pattern
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.text).finish()
    }
}
