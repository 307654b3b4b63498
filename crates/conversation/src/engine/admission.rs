//! Admission of flows as conversations.

use std::fmt;
use std::sync::Arc;

use flow::{FirstPacket, Flow};

use crate::api::settings::OnLimit;
use crate::engine::counters::Counters;

/// Decides by a flow's key and first packet.
pub(crate) type Predicate<K> =
    Arc<dyn Fn(&Flow<'_, K>, &FirstPacket<'_>) -> bool + Send + Sync + 'static>;

/// The rules of admission; shared by the engines of a stream.
pub(crate) struct Admission<K> {
    pub(crate) predicate: Option<Predicate<K>>,
    pub(crate) max: usize,
    pub(crate) on_limit: OnLimit,
}

impl<K> Admission<K> {
    /// Returns `true` if `max_conversations` was set.
    pub(crate) fn is_limited(&self) -> bool {
        self.max < usize::MAX
    }

    /// Returns `true` if the program's own predicate admits a flow; if not, it is counted.
    pub(crate) fn admits(
        &self,
        flow: &Flow<'_, K>,
        first: &FirstPacket<'_>,
        counters: &Counters,
    ) -> bool {
        let admits = self.predicate.as_ref().is_none_or(|predicate| predicate(flow, first));
        if !admits {
            counters.rejected.add(1);
        }
        admits
    }
}

impl<K> Default for Admission<K> {
    fn default() -> Self {
        Self { predicate: None, max: usize::MAX, on_limit: OnLimit::default() }
    }
}

impl<K> Clone for Admission<K> {
    fn clone(&self) -> Self {
        Self { predicate: self.predicate.clone(), max: self.max, on_limit: self.on_limit }
    }
}

impl<K> fmt::Debug for Admission<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("predicate", &self.predicate.is_some())
            .field("max", &self.max)
            .field("on_limit", &self.on_limit)
            .finish_non_exhaustive()
    }
}
