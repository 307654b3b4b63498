//! Admission of flows as conversations.

use std::fmt;
use std::sync::Arc;

use flow::{Flow, Opening};

use crate::engine::counters::Counters;

/// The policy for a conversation that begins when there are as many as there may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Excess {
    /// It is not announced, nothing of it is kept, and it is counted as refused.
    #[default]
    Refuse,
    /// One makes room that has brought nothing for long: the most silent of sixteen that are looked
    /// at. Its flow ends as [`Evicted`](flow::EndReason::Evicted), and is counted. This happens
    /// once a batch, so that for a moment there may be more.
    EvictIdlest,
}

/// Decides by a flow's key and first packet.
pub(crate) type Predicate<K> =
    Arc<dyn Fn(&Flow<'_, K>, &Opening<'_>) -> bool + Send + Sync + 'static>;

/// The rules of admission; shared by the engines of a stream.
pub(crate) struct Admission<K> {
    pub(crate) predicate: Option<Predicate<K>>,
    pub(crate) most: usize,
    pub(crate) excess: Excess,
}

impl<K> Admission<K> {
    /// Returns `true` if `max_conversations` was set.
    pub(crate) fn is_limited(&self) -> bool {
        self.most < usize::MAX
    }

    /// Returns `true` if the program's own predicate admits a flow; if not, it is counted.
    pub(crate) fn admits(
        &self,
        flow: &Flow<'_, K>,
        opening: &Opening<'_>,
        counters: &Counters,
    ) -> bool {
        let admits = self.predicate.as_ref().is_none_or(|predicate| predicate(flow, opening));
        if !admits {
            counters.rejected.add(1);
        }
        admits
    }
}

impl<K> Default for Admission<K> {
    fn default() -> Self {
        Self { predicate: None, most: usize::MAX, excess: Excess::default() }
    }
}

impl<K> Clone for Admission<K> {
    fn clone(&self) -> Self {
        Self { predicate: self.predicate.clone(), most: self.most, excess: self.excess }
    }
}

impl<K> fmt::Debug for Admission<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("predicate", &self.predicate.is_some())
            .field("most", &self.most)
            .field("excess", &self.excess)
            .finish_non_exhaustive()
    }
}
