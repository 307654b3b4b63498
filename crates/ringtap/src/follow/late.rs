//! Bytes that came late, a run at a time.

use std::fmt;

use conversation::ChunkData;
use flow::{FlowSide, Timestamp};

use crate::names::{self, bytes};

/// Joins late segments that follow each other, so that thousands of them are one line.
#[derive(Debug, Default)]
pub(super) struct LateRuns {
    /// By side.
    runs: [Option<LateRun>; 2],
}

/// Late bytes that follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct LateRun {
    /// Time stamp of the first segment.
    pub(super) time: Timestamp,
    /// Negative before the first byte of a stream that was picked up midway.
    offset: i64,
    len: u64,
    segments: u64,
}

impl LateRuns {
    /// Adds a segment; returns the run that it does not continue.
    pub(super) fn add(&mut self, side: FlowSide, data: &ChunkData) -> Option<LateRun> {
        let (offset, len) = (data.offset().cast_signed(), data.len() as u64);
        let run = &mut self.runs[side as usize];
        if let Some(run) = run
            && run.offset.wrapping_add_unsigned(run.len) == offset
        {
            run.len += len;
            run.segments += 1;
            return None;
        }
        run.replace(LateRun { time: data.timestamp(), offset, len, segments: 1 })
    }

    /// Returns the run of a side, which is over.
    pub(super) fn take(&mut self, side: FlowSide) -> Option<LateRun> {
        self.runs[side as usize].take()
    }
}

impl fmt::Display for LateRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, len, segments, .. } = *self;
        let place = if offset < 0 {
            "before the first byte that was captured in order"
        } else {
            "after they had been reported as missing"
        };
        let (len, segments) = (bytes(len), names::count(segments, "segment", "segments"));
        write!(f, "{len} at {offset} came late, {place} ({segments})")
    }
}
