//! Which sequence numbers can be true.

use super::Stream;
use crate::FlowHandler;
use crate::backlog::Suspect;
use crate::slot::DirectionFlags as F;

/// What is let pass beyond the window: what a capture shows of the two directions is not exactly simultaneous.
const SLACK: i64 = 1 << 20;
/// How far a segment may jump where the peer's windows are not seen.
const BLIND: i64 = 1 << 30;
/// How far from each other a segment and an acknowledgement outside the window may be to bear each other out.
const NEAR: u32 = 1 << 24;

impl<K, H: FlowHandler<K>> Stream<'_, K, H> {
    /// The last stream offset at which a segment may begin. Where bytes that are pending lie beyond the window, the
    /// capture has missed what opened it.
    pub(super) fn limit(&self) -> i64 {
        let direction = &self.direction;
        let next = direction.next.cast_signed();
        if direction.flags.has(F::ACKED) {
            let pending = self.backlog().and_then(|backlog| backlog.pending.end()).unwrap_or(0);
            let reached = direction.offset(direction.edge).max(pending.cast_signed()).max(next);
            reached.saturating_add(SLACK).min(next + BLIND)
        } else {
            next + BLIND
        }
    }

    /// Whether something outside the window fits what was seen of the other side outside the window: then it is the
    /// capture that missed a stretch of the flow.
    pub(super) fn borne_out(&mut self, new: Suspect) -> bool {
        let index = self.ensure_backlog();
        let Some(backlog) = self.backlogs.get(index) else { return false };
        let fits = match (new, backlog.suspect) {
            (Suspect::Segment(start, end), Some(Suspect::Acknowledgement(acknowledged))) => {
                acknowledged.wrapping_sub(start) < NEAR || end.wrapping_sub(acknowledged) < NEAR
            }
            (Suspect::Acknowledgement(acknowledged), Some(Suspect::Segment(start, _))) => {
                acknowledged.wrapping_sub(start) < NEAR
            }
            _ => false,
        };
        backlog.suspect = if fits { None } else { Some(new) };
        fits
    }
}
