//! Fragments that are kept one by one, and the datagrams that they may be joined to.
//!
//! A sender has 65,536 identifications for IPv4 and uses them up in less than a second at 1 Gbit/s (RFC 4963). If the
//! capture lost a fragment, what is left of its datagram meets the fragments of another one with the same
//! identification. Nothing in their headers tells them apart; whether a row of fragments is one datagram shows only in
//! its transport checksum.

use crate::Timestamp;

use super::piece::Header;

/// A fragment as it came.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) more: bool,
    /// Where its bytes are in the arena.
    pub(super) at: u32,
    pub(super) arrived: Timestamp,
    /// For recognising copies of it.
    pub(super) hash: u64,
    /// Of one that begins a datagram.
    pub(super) header: Option<Header>,
}

/// Shows rows of fragments that reach from the beginning to the end of a datagram without overlap and contain the newest
/// one, until `is_it` returns `true` or has been called `attempts` times. Of several fragments that fit somewhere, the
/// latest is tried first, since the fragments of a datagram are sent one right after another.
pub(super) fn rows(kept: &[Kept], attempts: usize, is_it: impl FnMut(&[usize]) -> bool) {
    let Some(newest) = kept.len().checked_sub(1) else { return };
    let mut search = Search {
        kept,
        before: reachable(
            kept,
            |one| one.start == 0,
            |one, next| one.end == next.start && one.more,
        ),
        after: reachable(kept, |one| !one.more, |one, next| one.start == next.end && next.more),
        row: vec![newest],
        attempts,
        is_it,
    };
    if search.before[newest] && search.after[newest] {
        search.backwards();
    }
}

/// Which fragments have an unbroken row from themselves to a fragment for which `ends` holds; `joins` says whether the
/// first of two may be next to the second on the way there.
fn reachable(
    kept: &[Kept],
    ends: impl Fn(&Kept) -> bool,
    joins: impl Fn(&Kept, &Kept) -> bool,
) -> Vec<bool> {
    let mut reached: Vec<bool> = kept.iter().map(ends).collect();
    let mut found: Vec<usize> = (0..kept.len()).filter(|at| reached[*at]).collect();
    while let Some(at) = found.pop() {
        for (next, one) in kept.iter().enumerate() {
            if !reached[next] && joins(&kept[at], one) {
                reached[next] = true;
                found.push(next);
            }
        }
    }
    reached
}

struct Search<'k, F> {
    kept: &'k [Kept],
    /// Fragments from which there is a way back to the beginning of a datagram.
    before: Vec<bool>,
    /// Fragments from which there is a way to the end of one.
    after: Vec<bool>,
    row: Vec<usize>,
    attempts: usize,
    is_it: F,
}

impl<F: FnMut(&[usize]) -> bool> Search<'_, F> {
    /// Puts what may come before the row in front of it. Returns `true` once the search is over.
    fn backwards(&mut self) -> bool {
        let kept = self.kept;
        let first = &kept[self.row[0]];
        if first.start == 0 {
            return self.forwards();
        }
        for (at, one) in kept.iter().enumerate().rev() {
            if one.end == first.start && one.more && self.before[at] {
                self.row.insert(0, at);
                if self.backwards() {
                    return true;
                }
                self.row.remove(0);
            }
        }
        false
    }

    /// Appends what may come after the row.
    fn forwards(&mut self) -> bool {
        let kept = self.kept;
        let Some(last) = self.row.last().map(|at| &kept[*at]) else { return true };
        if !last.more {
            self.attempts = self.attempts.saturating_sub(1);
            return (self.is_it)(&self.row) || self.attempts == 0;
        }
        for (at, one) in kept.iter().enumerate().rev() {
            if one.start == last.end && self.after[at] {
                self.row.push(at);
                if self.forwards() {
                    return true;
                }
                self.row.pop();
            }
        }
        false
    }
}

impl Kept {
    pub(super) const fn len(&self) -> usize {
        (self.end - self.start) as usize
    }
}
