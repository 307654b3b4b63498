//! Plausible sequence numbers.

use super::Stream;
use crate::FlowHandler;
use crate::history::Seen;
use crate::quarantine::FASTEST;
use crate::slot::DirectionFlags as F;

/// Bytes beyond the window that are accepted: what a capture shows of the two directions is not
/// exactly simultaneous.
pub(super) const SLACK: i64 = 1 << 20;
/// The maximum jump of a segment if nothing is seen of the peer: the largest window (RFC 7323,
/// section 2.3), as far as a link can have brought it in the time since the flow's last packet.
const BLIND: i64 = 1 << 30;

impl<K, H: FlowHandler<K>> Stream<'_, K, H> {
    /// The last stream offset at which a segment may begin. If bytes that are pending lie beyond
    /// the window, the capture has missed what opened it.
    pub(super) fn limit(&self) -> i64 {
        let direction = &self.direction;
        let next = direction.next.cast_signed();
        let pending =
            self.reassembly().and_then(|reassembly| reassembly.pending.end()).unwrap_or(0);
        let reached = pending.cast_signed().max(next);
        let reached = if direction.flags.has(F::ACKED) {
            direction.offset(direction.edge).max(reached)
        } else if self.peer == Seen::NONE {
            let silence = self.now.saturating_sub(self.previous);
            let brought = i64::try_from(silence.saturating_mul(FASTEST)).unwrap_or(i64::MAX);
            reached.saturating_add(brought)
        } else {
            // The window of a SYN is not scaled (RFC 7323, section 2.2), so it is small.
            reached
        };
        reached.saturating_add(SLACK).min(next + BLIND)
    }
}
