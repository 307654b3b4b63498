//! Conversations that go on.

use std::collections::HashMap;

use conversation::{Chunk, FlowNumber};

use super::files::Files;
use super::view::{Talk, View};

/// Conversations that go on. One that has said nothing yet takes little memory: of a flood of SYNs there may be as many as the
/// table has flows.
///
/// Kept by the whole number and not by the slot in the table: a slot may begin its next flow before the reader has seen the
/// end of the last one.
#[derive(Default)]
pub(super) struct Open(HashMap<FlowNumber, Box<One>>);

struct One {
    talk: Talk,
    views: Option<Box<Views>>,
}

/// What shows one conversation.
pub(super) struct Views {
    pub(super) shown: Box<dyn View>,
    pub(super) written: Option<Box<Files>>,
}

impl Open {
    pub(super) fn insert(&mut self, id: FlowNumber, talk: Talk) {
        self.0.insert(id, Box::new(One { talk, views: None }));
    }

    /// What shows a conversation, made if it is not there yet.
    pub(super) fn views(
        &mut self,
        id: FlowNumber,
        make: impl FnOnce(&Talk) -> Views,
    ) -> Option<&mut Views> {
        let One { talk, views } = &mut **self.0.get_mut(&id)?;
        Some(views.get_or_insert_with(|| Box::new(make(talk))))
    }

    /// Forgets a conversation that has ended; what shows it, if it was made.
    pub(super) fn remove(&mut self, id: FlowNumber) -> Option<Views> {
        self.0.remove(&id)?.views.map(|views| *views)
    }

    /// What shows those that are left, in the order in which they began.
    pub(super) fn into_views(self) -> impl Iterator<Item = Views> {
        let mut left: Vec<_> = self.0.into_values().collect();
        left.sort_unstable_by_key(|one| one.talk.number);
        left.into_iter().filter_map(|one| one.views.map(|views| *views))
    }
}

impl Views {
    pub(super) fn chunk(&mut self, chunk: &Chunk) {
        self.shown.chunk(chunk);
        if let Some(written) = &mut self.written {
            written.chunk(chunk);
        }
    }

    pub(super) fn end(self) {
        self.shown.end();
        if let Some(written) = self.written {
            written.end();
        }
    }
}
