//! The streams as the handler sees them, compared with the true ones.

use std::ops::Range;

use flow::{
    Conflict, Data, FiveTupleKey, Flow, FlowHandler, FlowRecord, FlowSide, Gap, TableStatistics,
    Unplaced,
};

use super::{Sent, byte};

/// The reported events of the two streams.
pub(super) struct Seen<'a> {
    /// The captured packets, by number less one.
    captured: Vec<&'a Sent>,
    /// The lengths of the streams, and `true` if a FIN ends them.
    ends: [(u64, bool); 2],
    flows: u32,
    sides: [Side; 2],
    /// `true` if the flow's initiator is the server.
    reversed: Option<bool>,
    told: u64,
    wrong: Option<String>,
}

#[derive(Default)]
struct Side {
    /// The offset after the last event.
    next: u64,
    /// The true position at offset 0, from the first data.
    base: Option<i128>,
    /// Parts of the stream in gaps, by position, and gaps before the base is known, by offset.
    gaps: Vec<Range<i128>>,
    /// The offset of the FIN.
    finished: Option<u64>,
    /// `true` if the length of a gap is an estimate, and all offsets behind it with it.
    estimated: bool,
    late: Vec<Range<i128>>,
}

impl<'a> Seen<'a> {
    pub(super) fn new(packets: &'a [Sent], ends: [(u64, bool); 2]) -> Self {
        Self {
            captured: packets.iter().filter(|sent| sent.captured).collect(),
            ends,
            flows: 0,
            sides: Default::default(),
            reversed: None,
            told: 0,
            wrong: None,
        }
    }

    fn fail(&mut self, wrong: impl FnOnce() -> String) {
        if self.wrong.is_none() {
            self.wrong = Some(wrong());
        }
    }

    /// The position of a piece, by the packet that brought it.
    fn position(&mut self, side: FlowSide, data: &Data<'_>) -> Option<i128> {
        let number = data.packet_number;
        let Some(sent) = number.checked_sub(1).and_then(|at| self.captured.get(at as usize)) else {
            self.fail(|| format!("packet {number} does not exist"));
            return None;
        };
        let (host, from, to) = (sent.host, sent.at, sent.at + u64::from(sent.len));
        let reversed = *self.reversed.get_or_insert((side as usize) != (host as usize));
        if reversed != ((side as usize) != (host as usize)) {
            self.fail(|| format!("packet {number} is on the wrong side"));
            return None;
        }
        // The piece is a part of the packet's payload.
        let len = data.bytes.len() as u64;
        let place = (from..=to.saturating_sub(len)).take(1).next()?;
        let fits = |at: u64| {
            data.bytes.iter().zip(at..).all(|(seen, at)| *seen == byte(host as usize, at))
        };
        // Behind a captured SYN the first byte has offset 0.
        let captured = &self.captured;
        let begins = |sent: &&&Sent| sent.host == host && sent.flags.contains('S');
        let begun = captured.iter().find(begins).map(|_| 0);
        let state = &self.sides[side as usize];
        let guess = state.base.or(begun).map(|base| base + i128::from(data.offset.cast_signed()));
        let guess = guess.and_then(|guess| u64::try_from(guess).ok()).unwrap_or(place);
        if guess < from || guess + len > to || !fits(guess) {
            let estimated = state.estimated;
            if estimated {
                // Any length with the same remainder will do.
                let exact = (guess as u32).wrapping_sub(from as u32);
                let at = from + u64::from(exact);
                if at + len <= to && fits(at) {
                    let base = i128::from(at) - i128::from(data.offset.cast_signed());
                    self.sides[side as usize].base = Some(base);
                    return Some(i128::from(at));
                }
            }
            self.fail(|| {
                let shown = i128::from(guess) - i128::from(from);
                format!("packet {number}: {len} bytes are {shown} from their place")
            });
            return None;
        }
        Some(i128::from(guess))
    }

    fn piece(&mut self, side: FlowSide, data: &Data<'_>) -> Option<Range<i128>> {
        self.told += data.bytes.len() as u64;
        let at = self.position(side, data)?;
        Some(at..at + data.bytes.len() as i128)
    }

    /// Compares what was reported with the truth.
    pub(super) fn verdict(mut self, statistics: &TableStatistics) -> Result<(), String> {
        let captured: u64 = self.captured.iter().map(|sent| u64::from(sent.len)).sum();
        let (told, after_end) = (self.told, statistics.after_end_bytes);
        if told + after_end != captured {
            self.fail(|| format!("{told} of {captured} bytes told, {after_end} after the end"));
        }
        if after_end > 0 {
            self.fail(|| format!("{after_end} bytes after the end"));
        }
        let flows = self.flows;
        if flows > 1 {
            self.fail(|| format!("{flows} flows"));
        }
        let reversed = self.reversed.unwrap_or(false);
        for side in 0..2 {
            let host = if reversed { 1 - side } else { side };
            self.check_gaps(side, host);
        }
        self.wrong.map_or(Ok(()), Err)
    }

    fn check_gaps(&mut self, side: usize, host: usize) {
        let state = &self.sides[side];
        let begun =
            self.captured.iter().any(|sent| sent.host as usize == host && sent.flags.contains('S'));
        let base = state.base.unwrap_or(0);
        if begun && base != 0 && !state.estimated {
            self.fail(|| format!("side {side} begins at {base}"));
            return;
        }
        if state.estimated || (state.base.is_none() && !begun) {
            return;
        }
        let mut first: Vec<Range<i128>> = self
            .captured
            .iter()
            .filter(|sent| sent.host as usize == host && sent.len > 0)
            .map(|sent| i128::from(sent.at)..i128::from(sent.at) + i128::from(sent.len))
            .collect();
        first.sort_by_key(|range| range.start);
        let (end, closed) = self.ends[host];
        let end = i128::from(end);
        // Without the FIN, the last acknowledgement may be of it.
        let has_fin =
            self.captured.iter().any(|sent| sent.host as usize == host && sent.flags.contains('F'));
        let mut wrong = None;
        for gap in &state.gaps {
            let gap = gap.start + base..gap.end + base;
            if gap.end > end + i128::from(closed && !has_fin) || gap.start < 0 {
                wrong = Some(format!("side {side}: a gap at {gap:?} of {end} bytes"));
                break;
            }
            let covered = first.iter().find(|range| {
                range.start < gap.end
                    && gap.start < range.end
                    && !state.late.iter().any(|late| {
                        late.start <= range.start.max(gap.start)
                            && late.end >= range.end.min(gap.end)
                    })
            });
            if let Some(covered) = covered {
                wrong = Some(format!("side {side}: a gap at {gap:?} covers {covered:?}"));
                break;
            }
        }
        if let Some(finished) = state.finished.map(|finished| i128::from(finished) + base)
            && finished != end
            && (has_fin || finished + 1 < end || finished > end)
        {
            wrong = Some(format!("side {side}: finished at {finished} of {end}, {closed}"));
        }
        // The last captured byte or FIN.
        let reached = i128::from(state.next) + base;
        let own = self.captured.iter().filter(|sent| sent.host as usize == host);
        let shows = own.filter(|sent| sent.len > 0 || sent.flags.contains('F'));
        let least = shows.map(|sent| i128::from(sent.at) + i128::from(sent.len));
        let least = least.max().unwrap_or(0).min(end);
        if wrong.is_none() && reached < least {
            wrong = Some(format!("side {side}: {reached} of at least {least} bytes"));
        }
        if let Some(wrong) = wrong {
            self.fail(|| wrong);
        }
    }
}

impl FlowHandler<FiveTupleKey> for Seen<'_> {
    fn on_start(&mut self, _: &Flow<'_, FiveTupleKey>) {
        self.flows += 1;
    }

    fn on_data(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        let Some(piece) = self.piece(side, &data) else { return };
        let state = &mut self.sides[side as usize];
        let next = state.next;
        state.next = data.offset + data.bytes.len() as u64;
        state.base.get_or_insert(piece.start - i128::from(data.offset));
        if next != data.offset {
            self.fail(|| format!("data at {} behind {next}", data.offset));
        }
    }

    fn on_gap(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, gap: Gap) {
        let state = &mut self.sides[side as usize];
        let next = state.next;
        state.next = gap.offset + gap.len;
        state.estimated |= gap.estimated;
        state.gaps.push(i128::from(gap.offset)..i128::from(gap.offset + gap.len));
        if next != gap.offset || gap.len == 0 {
            self.fail(|| format!("a gap at {} behind {next}", gap.offset));
        }
    }

    fn on_late(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        if let Some(piece) = self.piece(side, &data) {
            self.sides[side as usize].late.push(piece);
        }
    }

    fn on_repeat(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        let _ = self.piece(side, &data);
    }

    fn on_keep_alive(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        self.told += data.bytes.len() as u64;
        let number = data.packet_number;
        let retransmitted = {
            let sent = self.captured[number as usize - 1];
            self.captured[..number as usize - 1]
                .iter()
                .any(|before| before.host == sent.host && before.at == sent.at && before.len > 0)
        };
        if !retransmitted {
            self.fail(|| format!("packet {number} is taken for a keep-alive of {side:?}"));
        }
    }

    fn on_conflict(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, conflict: Conflict<'_>) {
        self.told += conflict.discarded.len() as u64;
        self.fail(|| format!("{side:?}: a conflict at {}", conflict.offset));
    }

    fn on_unplaced(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, unplaced: Unplaced<'_>) {
        self.told += unplaced.bytes.len() as u64;
        let Unplaced { cause, packet_number, bytes, .. } = unplaced;
        self.fail(|| {
            format!("packet {packet_number}: {} bytes of {side:?} unplaced, {cause:?}", bytes.len())
        });
    }

    fn on_fin(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, offset: u64) {
        self.sides[side as usize].finished = Some(offset);
    }

    fn on_end(&mut self, _: &Flow<'_, FiveTupleKey>, _: &FlowRecord<FiveTupleKey>) {}
}
