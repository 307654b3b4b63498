//! The places of matches in streams that come in pieces.

use std::ops::Range;

use regex_automata::Anchored;
use regex_automata::dfa::{Automaton, StartKind, dense, regex};
use regex_automata::nfa::thompson;
use regex_automata::util::prefilter::Prefilter;
use regex_automata::util::primitives::StateID;
use regex_automata::util::{start, syntax};
use regex_automata::{Input, MatchError, MatchKind, Span};

use crate::error::TypeError;
use crate::pattern;

/// The longest match that is found whole, in bytes. What belongs to a longer one is found in part.
pub const MAX_MATCH: usize = 4096;

/// A regular expression that finds the places of matches, as `grep` does: leftmost, not
/// overlapping, and at least one byte long. Upper and lower case differ unless it begins with
/// `(?i)`.
///
/// ```
/// use flow_filter::Finder;
///
/// let finder = Finder::new("pass(word|phrase)")?;
/// let (mut search, mut found) = (finder.search(0), Vec::new());
/// search.feed(b"the pass", |one| found.push((one.offset, one.matched.to_vec())));
/// search.feed(b"word", |one| found.push((one.offset, one.matched.to_vec())));
/// search.finish(|one| found.push((one.offset, one.matched.to_vec())));
/// assert_eq!(found, [(4, b"password".to_vec())]);
/// # Ok::<(), flow_filter::TypeError>(())
/// ```
#[derive(Debug)]
pub struct Finder {
    regex: regex::Regex,
    skip: Option<Skip>,
}

/// A fast search for texts with which every match begins. It passes over bytes that the automaton
/// would take one by one.
#[derive(Debug)]
struct Skip {
    prefixes: Prefilter,
    /// The states in which the automaton waits for the beginning of a match.
    idle: [StateID; 2],
}

/// A match.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Found<'a> {
    /// The offset of its first byte in the stream.
    pub offset: u64,
    /// The bytes before it, as many as were requested and came.
    pub before: &'a [u8],
    /// Its bytes.
    pub matched: &'a [u8],
    /// The bytes after it.
    pub after: &'a [u8],
}

/// A search in one stream. It keeps at most [`MAX_MATCH`] bytes and the context, twice.
#[derive(Debug)]
pub struct Search<'f> {
    finder: &'f Finder,
    /// Bytes on both sides of a match that are passed on with it.
    context: usize,
    /// The latest bytes.
    bytes: Vec<u8>,
    /// The offset of the first of them in the stream.
    base: u64,
    /// The index of the next byte that the automaton takes.
    next: usize,
    state: Option<StateID>,
    /// The index behind the last match: the next one begins there or later.
    after: usize,
    /// The end of a match that may go on.
    end: Option<usize>,
    /// Matches whose context is incomplete.
    found: Vec<Range<usize>>,
}

impl Finder {
    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// If it is not a regular expression of the crate `regex`, or takes more than 8 MiB.
    pub fn new(text: &str) -> Result<Self, TypeError> {
        let syntax = syntax::Config::new().unicode(false).utf8(false).nest_limit(100);
        let limit = Some(pattern::SIZE_LIMIT);
        let limits = dense::Config::new()
            .start_kind(StartKind::Both)
            .dfa_size_limit(limit)
            .determinize_size_limit(limit);
        let built = regex::Builder::new()
            .syntax(syntax)
            .thompson(thompson::Config::new().utf8(false).nfa_size_limit(limit))
            .dense(limits)
            .build(text);
        match built {
            Ok(regex) => Ok(Self { skip: Skip::new(text, &syntax, &regex), regex }),
            Err(error) => {
                let reason = pattern::reason(&error);
                Err(TypeError::Pattern { pattern: text.to_owned(), reason })
            }
        }
    }

    /// Begins a search in a stream. With each match, up to `context` bytes on either side are
    /// passed on.
    #[must_use]
    pub fn search(&self, context: usize) -> Search<'_> {
        let mut search = Search {
            finder: self,
            context,
            bytes: Vec::new(),
            base: 0,
            next: 0,
            state: None,
            after: 0,
            end: None,
            found: Vec::new(),
        };
        search.state = search.start(None);
        search
    }
}

impl Skip {
    /// `None` if matches do not begin with one of a few texts.
    fn new(text: &str, syntax: &syntax::Config, regex: &regex::Regex) -> Option<Self> {
        let tree = syntax::parse_with(text, syntax).ok()?;
        let prefixes = Prefilter::from_hirs_prefix(MatchKind::LeftmostFirst, &[&tree])?;
        let dfa = regex.forward();
        // With a condition on the byte in front of a match, such as `\b`, there are several.
        let start = dfa.universal_start_state(Anchored::No).filter(|_| prefixes.is_fast())?;
        // A byte that no prefix begins with leads back: the state has the same transitions.
        let other = (0..=255).map(|byte| dfa.next_state(start, byte)).find(|state| {
            (0..=255).all(|byte| dfa.next_state(*state, byte) == dfa.next_state(start, byte))
        });
        Some(Self { prefixes, idle: [start, other?] })
    }

    /// Returns the index of the next byte that the automaton is to take, and an index in front of
    /// which no prefix begins that ends in these bytes.
    fn next(&self, bytes: &[u8], from: usize) -> (usize, usize) {
        match self.prefixes.find(bytes, Span { start: from, end: bytes.len() }) {
            Some(Span { start, .. }) => (start, start + 1),
            // One may begin in the last bytes, and end in those that have not come.
            None => {
                let tail = self.prefixes.max_needle_len().saturating_sub(1);
                (from.max(bytes.len().saturating_sub(tail)), bytes.len())
            }
        }
    }
}

impl Search<'_> {
    /// Takes the next bytes of the stream. Calls `each` with every match whose context is
    /// complete.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Found<'_>)) {
        // In parts, so that the memory does not depend on the length of the piece.
        for part in bytes.chunks(MAX_MATCH) {
            self.bytes.extend_from_slice(part);
            self.run();
            self.report(false, &mut each);
            self.trim();
        }
    }

    /// `len` bytes are missing: no match extends over them.
    pub fn gap(&mut self, len: u64, mut each: impl FnMut(Found<'_>)) {
        self.close(false);
        self.report(true, &mut each);
        self.base = self.base.saturating_add(self.bytes.len() as u64).saturating_add(len);
        self.bytes.clear();
        (self.next, self.after, self.end) = (0, 0, None);
        // Neither the beginning of the stream nor that of a line.
        self.state = self.start(Some(0));
    }

    /// The stream has ended.
    pub fn finish(&mut self, mut each: impl FnMut(Found<'_>)) {
        self.close(true);
        self.report(true, &mut each);
    }

    /// The memory in bytes that the search holds.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.found.capacity() * size_of::<Range<usize>>()
    }

    fn start(&self, before: Option<u8>) -> Option<StateID> {
        let config = start::Config::new().anchored(Anchored::No).look_behind(before);
        self.finder.regex.forward().start_state(&config).ok()
    }

    /// Takes all bytes that have come.
    fn run(&mut self) {
        let dfa = self.finder.regex.forward();
        let Some(mut at) = self.state else {
            self.next = self.bytes.len();
            return;
        };
        // Up to here, no prefix begins that ends in these bytes.
        let mut passed = 0;
        while self.next < self.bytes.len() {
            if let Some(skip) = &self.finder.skip
                && self.next >= passed
                && skip.idle.contains(&at)
            {
                (self.next, passed) = skip.next(&self.bytes, self.next);
                if self.next == self.bytes.len() {
                    break;
                }
            }
            at = dfa.next_state(at, self.bytes[self.next]);
            self.next += 1;
            if dfa.is_special_state(at) {
                if dfa.is_match_state(at) {
                    // The match ended in front of the byte that was taken.
                    self.end = Some(self.next - 1);
                } else if dfa.is_dead_state(at) || dfa.is_quit_state(at) {
                    let Some(state) = self.take() else { break };
                    at = state;
                } else if dfa.is_accel_state(at) && self.end.is_none() {
                    let rest = &self.bytes[self.next..];
                    self.next += pattern::skip(dfa.accelerator(at), rest);
                }
            }
            if self.end.is_some_and(|end| self.next - end > MAX_MATCH) {
                let Some(state) = self.take() else { break };
                at = state;
            }
        }
        self.state = Some(at);
    }

    /// Notes the match that has ended, and goes on behind it. `None` if nothing can match any more.
    fn take(&mut self) -> Option<StateID> {
        let Some(end) = self.end.take() else {
            // Dead without a match: only a pattern that is bound to the beginning.
            self.next = self.bytes.len();
            return None;
        };
        self.note(end);
        // A match of no bytes is not reported; the next one begins a byte later.
        let next = if end > self.after { end } else { end + 1 };
        (self.next, self.after) = (next, next);
        let before = next.checked_sub(1).and_then(|at| self.bytes.get(at).copied());
        self.start(before)
    }

    /// Finds the beginning of a match that ends here.
    fn note(&mut self, end: usize) {
        let input = Input::new(&self.bytes).span(self.after.min(end)..end).anchored(Anchored::Yes);
        let found: Result<_, MatchError> = self.finder.regex.reverse().try_search_rev(&input);
        // Of one that began before the bytes that are kept, the part that is there is found.
        let start = match found {
            Ok(Some(half)) => half.offset(),
            _ => self.after.min(end),
        };
        if start < end {
            self.found.push(start..end);
        }
    }

    /// Ends the run of bytes: with the stream, or at a gap.
    fn close(&mut self, at_end: bool) {
        let dfa = self.finder.regex.forward();
        while let Some(state) = self.state {
            let last = if at_end { dfa.next_eoi_state(state) } else { dfa.next_state(state, 0) };
            if dfa.is_match_state(last) {
                self.end = Some(self.bytes.len());
            }
            if self.end.is_none() {
                break;
            }
            self.state = self.take();
            if self.next > self.bytes.len() {
                break;
            }
            self.run();
        }
    }

    /// Passes matches on whose context is complete, or all of them.
    fn report(&mut self, all: bool, each: &mut impl FnMut(Found<'_>)) {
        let len = self.bytes.len();
        let ready = self.found.iter().take_while(|found| all || found.end + self.context <= len);
        let count = ready.count();
        for Range { start, end } in self.found.drain(..count) {
            each(Found {
                offset: self.base + start as u64,
                before: &self.bytes[start.saturating_sub(self.context)..start],
                matched: &self.bytes[start..end],
                after: &self.bytes[end..len.min(end + self.context)],
            });
        }
    }

    /// Drops bytes that no match and no context needs.
    fn trim(&mut self) {
        let first = self.found.first().map_or(self.bytes.len(), |found| found.start);
        let keep = first.min(self.next).saturating_sub(MAX_MATCH.max(self.context));
        // Moving the rest costs as much as there is: it is done once for many bytes.
        if keep < MAX_MATCH {
            return;
        }
        self.bytes.drain(..keep);
        self.base += keep as u64;
        self.next -= keep;
        self.after = self.after.saturating_sub(keep);
        self.end = self.end.map(|end| end.saturating_sub(keep));
        for found in &mut self.found {
            *found = found.start - keep..found.end - keep;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_passed_over_where_matches_begin_with_texts() {
        for (pattern, skips) in [
            ("needle", true),
            ("needle|pin", true),
            ("pass(word|phrase)[0-9]+", true),
            ("[0-9]{4}", false),
            (r"\bneedle", false),
            ("x*", false),
        ] {
            assert_eq!(Finder::new(pattern).unwrap().skip.is_some(), skips, "{pattern}");
        }
    }
}
