//! Fragments that are kept one by one, and the datagrams that they may form.
//!
//! A sender has 65,536 identifications for IPv4 and at 1 Gbit/s uses all of them in less than a
//! second (RFC 4963). If the capture lost a fragment, the rest of its datagram meets the fragments
//! of another one with the same identification. Their headers do not differ. Only the transport
//! checksum shows if a row of fragments is one datagram.

use crate::Timestamp;

use super::piece::Header;

/// A fragment as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) more: bool,
    /// The position of its bytes in the arena.
    pub(super) at: u32,
    pub(super) arrived: Timestamp,
    /// The hash that identifies copies of it.
    pub(super) hash: u64,
    /// The header, if the fragment begins a datagram.
    pub(super) header: Option<Header>,
}

/// Searches rows of fragments that contain the newest one and reach from the beginning to the end
/// of a datagram without overlap. Calls `is_it` with each, until it returns `true` or has been
/// called `attempts` times.
///
/// If several fragments fit somewhere, the latest is tried first, because the fragments of a
/// datagram are sent right after one another.
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
    // Rows are searched only where one exists. Otherwise an attacker's fragments without an end
    // would cost the whole search each time.
    if search.before[newest] && search.after[newest] {
        search.backwards();
    }
}

/// Computes for each fragment if it has an unbroken row to a fragment for which `ends` holds.
/// `joins` returns `true` if the first of two fragments may be next to the second on the way there.
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
    /// `true` for fragments from which a row reaches back to the beginning of a datagram.
    before: Vec<bool>,
    /// `true` for fragments from which a row reaches the end of a datagram.
    after: Vec<bool>,
    row: Vec<usize>,
    attempts: usize,
    is_it: F,
}

impl<F: FnMut(&[usize]) -> bool> Search<'_, F> {
    /// Prepends each fragment that may precede the row. Returns `true` once the search is over.
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

    /// Appends each fragment that may follow the row. Returns `true` once the search is over.
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
