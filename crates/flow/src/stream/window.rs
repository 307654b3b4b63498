//! Plausible sequence numbers.

use super::Stream;
use crate::FlowHandler;
use crate::slot::DirectionFlags as F;

/// Bytes beyond the window that are accepted: what a capture shows of the two directions is not
/// exactly simultaneous.
pub(super) const SLACK: i64 = 1 << 20;
/// The maximum jump of a segment while the peer's windows are not seen: the largest window (RFC
/// 7323, section 2.3).
const BLIND: i64 = 1 << 30;
impl<K, H: FlowHandler<K>> Stream<'_, K, H> {
    /// The last stream offset at which a segment may begin. If bytes that are pending lie beyond
    /// the window, the capture has missed what opened it.
    pub(super) fn limit(&self) -> i64 {
        let direction = &self.direction;
        let next = direction.next.cast_signed();
        if direction.flags.has(F::ACKED) {
            let pending =
                self.reassembly().and_then(|reassembly| reassembly.pending.end()).unwrap_or(0);
            let reached = direction.offset(direction.edge).max(pending.cast_signed()).max(next);
            reached.saturating_add(SLACK).min(next + BLIND)
        } else {
            next + BLIND
        }
    }
}
