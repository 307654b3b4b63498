//! The model of one direction.

use flow::OverlapPolicy;

use super::seen::{Event, SideSeen};
use super::versions::Versions;

/// The minimum number of gaps for which late bytes are reported.
const REMEMBERED_GAPS: usize = 60;

/// The state of a direction.
pub(super) struct Stream {
    pub(super) side: usize,
    /// Sequence number of the first byte.
    pub(super) base: u32,
    /// The length of the stream.
    pub(super) len: usize,
    /// The captured versions of each byte.
    pub(super) captured: Vec<Versions>,
    /// The segment of the current operation, and the versions of its bytes captured before.
    pub(super) present: (usize, Vec<u8>),
    pub(super) before: Vec<Versions>,
    /// `true` for captured bytes that were reported as late.
    pub(super) late: Vec<bool>,
    /// `true` for single bytes that looked like keep-alives: before any other byte of the stream,
    /// when the peer had acknowledged them or the sender had continued after them.
    pub(super) keep_alives: Vec<bool>,
    /// The peer's last acknowledgement, and the position of the last segment without payload.
    pub(super) acknowledged: Option<usize>,
    pub(super) hint: Option<usize>,
    /// The position of stream offset 0, once it is known. 0 with a SYN.
    pub(super) origin: Option<usize>,
    /// The start of the earliest segment so far.
    pub(super) lowest: usize,
    /// The starts of segments of which no byte was captured.
    pub(super) blank_starts: Vec<usize>,
    pub(super) fin_sent: bool,
    /// The number of captured payload bytes, including copies and those of resets.
    pub(super) captured_bytes: usize,
    pub(super) compared: usize,
    pub(super) gaps: usize,
}

impl Stream {
    pub(super) fn new(side: usize, base: u32, len: usize) -> Self {
        Self {
            side,
            base,
            len,
            captured: vec![Versions::default(); len],
            present: (0, Vec::new()),
            before: Vec::new(),
            late: vec![false; len],
            keep_alives: vec![false; len],
            acknowledged: None,
            hint: None,
            origin: None,
            lowest: len,
            blank_starts: Vec::new(),
            fin_sent: false,
            captured_bytes: 0,
            compared: 0,
            gaps: 0,
        }
    }

    pub(super) fn sequence(&self, position: usize) -> u32 {
        self.base.wrapping_add(position as u32)
    }

    /// Records these bytes as captured.
    pub(super) fn capture(&mut self, start: usize, bytes: &[u8]) {
        self.present = (start, bytes.to_vec());
        self.before.clear();
        self.before.extend(&self.captured[start..start + bytes.len()]);
        for (at, version) in (start..).zip(bytes) {
            self.captured[at].push(at, *version);
        }
    }

    /// The end of the captured bytes.
    pub(super) fn end(&self) -> usize {
        self.captured.iter().rposition(|versions| versions.count > 0).map_or(0, |last| last + 1)
    }

    /// Begins an operation.
    pub(super) fn begin(&mut self) {
        self.before.clear();
        self.present = (0, Vec::new());
    }

    /// The versions captured before the current operation.
    pub(super) fn before(&self, at: usize) -> Versions {
        let within = at.checked_sub(self.present.0).and_then(|at| self.before.get(at));
        *within.unwrap_or(&self.captured[at])
    }

    /// Returns `true` if a byte may be delivered at a position. For the simple policies, the chosen
    /// version is known. A pause may have released a byte before the current operation brought
    /// another version of it.
    pub(super) fn may_be(&self, at: usize, byte: u8, policy: OverlapPolicy) -> bool {
        let (versions, before) = (self.captured[at], self.before(at));
        versions.count > 0
            && match policy {
                OverlapPolicy::First => versions.first == byte,
                OverlapPolicy::Last => {
                    versions.last == byte || (before.count > 0 && before.last == byte)
                }
                _ => versions.all & Versions::bit(at, byte) != 0,
            }
    }

    pub(super) fn compare(
        &mut self,
        seen: &SideSeen,
        policy: OverlapPolicy,
        packets: &[(usize, usize, u64)],
    ) {
        let side = self.side;
        for event in &seen.events[self.compared..] {
            match event {
                Event::Data(offset, bytes, number, time) => {
                    let (start, end, clock) = packets[*number as usize];
                    // A stream may begin within a packet if no byte of the earlier packet was
                    // captured, which may have begun anywhere in this one.
                    let fits = |from: usize| {
                        bytes.iter().zip(from..).all(|(byte, at)| self.may_be(at, *byte, policy))
                    };
                    let blank = self.blank_starts.iter().copied();
                    let first = [start, end - bytes.len()]
                        .into_iter()
                        .chain(blank.filter(|at| *at >= start && at + bytes.len() <= end))
                        .find(|from| fits(*from))
                        .unwrap_or(start);
                    let origin = *self.origin.get_or_insert_with(|| first - *offset as usize);
                    let from = origin + *offset as usize;
                    assert!(start <= from && from + bytes.len() <= end, "not of packet {number}");
                    assert_eq!(*time, clock * 1_000_000);
                    for (at, byte) in (from..).zip(bytes) {
                        let right = self.may_be(at, *byte, policy) || self.keep_alives[at];
                        assert!(right, "side {side} delivered at position {at}: {byte:#x}");
                    }
                }
                Event::Gap(gap) => {
                    self.gaps += 1;
                    // A stream may begin with a segment of which no byte was captured. If there
                    // were several, the events that follow show which one it was.
                    let blank = |at: &usize| self.before(*at).count == 0;
                    let first = (self.lowest..self.len).find(blank).unwrap_or(self.lowest);
                    if self.origin.is_none() && self.blank_starts.iter().any(|at| *at != first) {
                        continue;
                    }
                    let origin = *self.origin.get_or_insert(first);
                    let from = origin + gap.offset as usize;
                    for at in from..from + gap.len as usize {
                        assert_eq!(
                            self.before(at).count,
                            0,
                            "position {at} of side {side} is no gap"
                        );
                    }
                }
                Event::Late(offset, bytes) => {
                    // The stream began with a segment of which no byte was captured, or with a FIN.
                    let before = self.present.0 as i64 - offset;
                    let origin = *self.origin.get_or_insert(before as usize);
                    let from = origin.checked_add_signed(*offset as isize).expect("a position");
                    let skip = from - self.present.0;
                    assert_eq!(*bytes, self.present.1[skip..skip + bytes.len()]);
                    self.late[from..from + bytes.len()].fill(true);
                    // The rest of the gap may be two gaps.
                    self.gaps += 1;
                }
                Event::Repeat(offset, bytes) => {
                    // Delivered or held bytes arrive again, or the byte of a keep-alive. While a
                    // stream that is picked up midway has not begun, its offsets are unknown.
                    if bytes.len() == 1 || *offset >= 1 << 29 {
                        continue;
                    }
                    // A gap from one of several blank starts may have come before; see above.
                    if self.origin.is_none()
                        && self.blank_starts.iter().any(|at| *at != self.lowest)
                    {
                        continue;
                    }
                    let origin = self.origin.unwrap_or(self.lowest);
                    let from = origin + *offset as usize;
                    let known = |at: usize| self.keep_alives[at] || self.captured[at].count > 0;
                    let all = (from..from + bytes.len()).all(known);
                    assert!(all || self.gaps > REMEMBERED_GAPS, "nothing was there before");
                }
                Event::Unplaced(bytes) => {
                    assert!(!bytes.is_empty());
                }
                Event::Conflict(kept, discarded) => {
                    assert_eq!(kept.len(), discarded.len());
                    assert_ne!(kept, discarded);
                }
                Event::Fin(offset) => {
                    if !self.fin_sent {
                        // It was not captured, but the other side has closed and acknowledged it.
                        continue;
                    }
                    let origin = *self.origin.get_or_insert(self.len - *offset as usize);
                    assert_eq!(origin + *offset as usize, self.len);
                }
            }
        }
        self.compared = seen.events.len();
    }

    /// Checks that each captured byte was passed to the handler exactly once, by any callback.
    pub(super) fn account(&self, seen: &SideSeen) {
        let bytes = seen.events.iter().map(|event| match event {
            Event::Data(_, bytes, ..)
            | Event::Late(_, bytes)
            | Event::Repeat(_, bytes)
            | Event::Conflict(_, bytes)
            | Event::Unplaced(bytes) => bytes.len(),
            Event::Gap(_) | Event::Fin(_) => 0,
        });
        let told: usize = bytes.sum();
        assert_eq!(told, self.captured_bytes, "bytes of side {} are unaccounted for", self.side);
    }

    /// The flow has ended while the capture continues. Checks that all captured bytes were
    /// reported.
    pub(super) fn finish(&self, seen: &SideSeen) {
        let side = self.side;
        let Some(origin) = self.origin else {
            assert_eq!(self.end(), 0, "the stream of side {side} was swallowed");
            return;
        };
        let mut delivered = vec![false; self.len];
        for event in &seen.events {
            if let Event::Data(offset, bytes, ..) = event {
                let from = origin + *offset as usize;
                delivered[from..from + bytes.len()].fill(true);
            }
        }
        assert!(origin + seen.next as usize >= self.end(), "the stream of side {side} ends early");
        if self.gaps > REMEMBERED_GAPS {
            return;
        }
        for (at, delivered) in delivered.into_iter().enumerate() {
            let told = delivered || self.late[at] || self.captured[at].count == 0;
            // One byte right before the beginning also looks like a keep-alive.
            assert!(told || at + 1 == origin, "position {at} of side {side} was swallowed");
        }
    }
}
