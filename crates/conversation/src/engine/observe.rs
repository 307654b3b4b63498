//! Reports of an engine while nobody looks at its counters: events of `tracing`, and metrics.

use std::fmt;
use std::sync::Arc;

use flow::{Flow, FlowRecord, FlowSide, Gap};
use tracing::{debug, error, trace, warn};

use crate::api::error::Error;
use crate::api::statistics::Statistics;

/// Reports what changed since the last look.
#[derive(Debug)]
pub(crate) struct Observer {
    /// The name of the source, if the program gave it one.
    #[cfg(feature = "metrics")]
    source: Option<Arc<str>>,
    last: Statistics,
}

impl Observer {
    /// Reports the start of an engine, and watches it from now on.
    pub(crate) fn new(source: Option<Arc<str>>, live: bool) -> Self {
        debug!(source = source.as_deref(), live, "an engine started");
        #[cfg(feature = "metrics")]
        crate::engine::metrics::describe();
        Self {
            #[cfg(feature = "metrics")]
            source,
            last: Statistics::default(),
        }
    }

    /// Compares the counters with what they were.
    pub(crate) fn look(&mut self, now: Statistics) {
        let last = std::mem::replace(&mut self.last, now);
        let drops = now.source.drops.saturating_sub(last.source.drops);
        if drops > 0 {
            warn!(packets = drops, total = now.source.drops, "the kernel had no room for packets");
        }
        let exhausted = now.source.ring_exhausted.saturating_sub(last.source.ring_exhausted);
        if exhausted > 0 {
            warn!(
                times = exhausted,
                blocks_on_loan = now.source.blocks_on_loan,
                "the ring's next block was still on loan"
            );
        }
        let dropped = now.dropped_bytes - last.dropped_bytes;
        if dropped > 0 {
            warn!(bytes = dropped, "readers of conversations were too slow");
        }
        let overruns = now.overruns - last.overruns;
        if overruns > 0 {
            warn!(conversations = overruns, "conversations of slow readers were given up");
        }
        let refused = now.refused - last.refused;
        if refused > 0 {
            warn!(conversations = refused, "there was no room for conversations");
        }
        let missed = now.missed_events - last.missed_events;
        if missed > 0 {
            warn!(events = missed, "readers of events were too slow");
        }
        let gaps = now.gap_bytes - last.gap_bytes;
        if gaps > 0 {
            debug!(bytes = gaps, "bytes of streams were not captured");
        }
        let poisoned = now.poisoned_parsers - last.poisoned_parsers;
        if poisoned > 0 {
            debug!(parsers = poisoned, "parsers gave up");
        }
        #[cfg(feature = "metrics")]
        crate::engine::metrics::publish(self.source.as_ref(), &last, &now);
    }

    /// The same for the last time. What is of the moment is no longer the engine's to tell.
    pub(crate) fn end(&mut self, now: Statistics, error: Option<&Error>) {
        self.look(now);
        match error {
            Some(error) => error!(%error, packets = now.packets, "an engine failed"),
            None => debug!(
                packets = now.packets,
                conversations = now.conversations,
                bytes = now.bytes,
                gap_bytes = now.gap_bytes,
                "an engine ended"
            ),
        }
        #[cfg(feature = "metrics")]
        {
            let mut gone = now;
            (gone.flows, gone.queued_bytes, gone.waiting, gone.source.blocks_on_loan) =
                (0, 0, 0, 0);
            crate::engine::metrics::publish(self.source.as_ref(), &now, &gone);
        }
    }
}

#[inline]
pub(crate) fn flow_started<K: fmt::Debug>(flow: &Flow<'_, K>) {
    trace!(slot = flow.id.slot(), key = ?flow.key, protocol = flow.protocol, "a flow started");
}

#[inline]
pub(crate) fn flow_ended<K: fmt::Debug>(flow: &Flow<'_, K>, record: &FlowRecord<K>) {
    trace!(slot = flow.id.slot(), key = ?flow.key, reason = ?record.reason, "a flow ended");
}

#[inline]
pub(crate) fn gap<K: fmt::Debug>(flow: &Flow<'_, K>, side: FlowSide, gap: &Gap) {
    trace!(
        slot = flow.id.slot(),
        key = ?flow.key,
        ?side,
        offset = gap.offset,
        len = gap.len,
        cause = ?gap.cause,
        "bytes of a stream were not captured"
    );
}
