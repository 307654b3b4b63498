//! Segments in doubt before a stretch that the capture missed.

use super::Held;
use crate::table::lookup::Lookup;
use crate::{Defect, FlowExtractor, FlowHandler, FlowTable, TcpFlags};

impl<E: FlowExtractor> FlowTable<E> {
    /// The sender has gone on far ahead, and this segment is about to show that the capture missed
    /// a stretch. A receiver that has said nothing to the segments beyond its window is not seen,
    /// so they belong before that stretch.
    pub(super) fn settle_before_outage(
        &mut self,
        slot: u32,
        lookup: &Lookup,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let Some(list) = self.doubts.flows.get(&slot) else { return };
        let sender = self.slots[slot].side(lookup.orientation);
        let goes_on = |held: &Held| {
            if held.defect != Defect::Window || held.refused {
                return false;
            }
            let own = &self.slots[slot].directions[held.side as usize];
            let reassembly = self.reassemblies.peek(own.reassembly);
            let quarantine = reassembly.and_then(|reassembly| reassembly.quarantine.as_ref());
            quarantine.is_some_and(|quarantine| {
                if held.side == sender {
                    quarantine.is_nearly_row(lookup.tcp.sequence)
                } else {
                    lookup.tcp.flags.contains(TcpFlags::ACK)
                        && quarantine.is_borne_out_by(lookup.tcp.acknowledgement)
                }
            })
        };
        if list.iter().any(goes_on) {
            self.take_open(slot, true, handler);
        }
    }
}
