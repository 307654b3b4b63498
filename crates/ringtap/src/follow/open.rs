//! Conversations that go on.

use std::collections::HashMap;

use conversation::{Chunk, FlowNumber};

use super::files::Files;
use super::view::{Talk, View};

/// Conversations that go on. One that has said nothing yet takes little memory: of a flood of SYNs
/// there may be as many as the table has flows.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// By source and by slot in its table.
    slots: Vec<Vec<Option<Stage>>>,
    /// Those whose slot has another one by now: a slot may begin its next flow before the reader
    /// has seen the end of the last.
    left: HashMap<FlowNumber, Stage>,
}

/// The state of a conversation, with the number that tells it from others in its slot. A slot takes
/// its two words also if its flow has ended, so there is no more in it.
#[derive(Debug)]
enum Stage {
    /// It has said nothing yet.
    Begun(Box<(FlowNumber, Talk)>),
    /// It has views.
    Shown(Box<(FlowNumber, Views)>),
}

/// The views that show one conversation.
#[derive(Debug)]
pub(super) struct Views {
    pub(super) number: u64,
    pub(super) shown: Box<dyn View>,
    pub(super) written: Option<Box<Files>>,
}

impl Open {
    pub(super) fn insert(&mut self, id: FlowNumber, talk: Talk) {
        let (source, slot) = (id.source(), id.id().slot());
        if source >= self.slots.len() {
            self.slots.resize_with(source + 1, Vec::new);
        }
        let slots = &mut self.slots[source];
        if slot >= slots.len() {
            slots.resize_with(slot + 1, || None);
        }
        let before = slots[slot].replace(Stage::Begun(Box::new((id, talk))));
        self.left.extend(before.map(|before| (before.id(), before)));
    }

    /// The views of a conversation, made if they are not there yet.
    pub(super) fn views(
        &mut self,
        id: FlowNumber,
        make: impl FnOnce(&Talk) -> Views,
    ) -> Option<&mut Views> {
        let Self { slots, left } = self;
        let one = match place(slots, id) {
            Some(place) => place.as_mut(),
            None => left.get_mut(&id),
        }?;
        if let Stage::Begun(begun) = one {
            *one = Stage::Shown(Box::new((id, make(&begun.1))));
        }
        match one {
            Stage::Begun(_) => None,
            Stage::Shown(shown) => Some(&mut shown.1),
        }
    }

    /// Forgets a conversation that has ended; what shows it, if it was made.
    pub(super) fn remove(&mut self, id: FlowNumber) -> Option<Views> {
        let one = match place(&mut self.slots, id) {
            Some(place) => place.take(),
            None => self.left.remove(&id),
        };
        one?.into_views()
    }

    /// The views of the conversations that are left, in the order in which they began.
    pub(super) fn into_views(self) -> impl Iterator<Item = Views> {
        let Self { slots, left } = self;
        let ones = slots.into_iter().flatten().flatten().chain(left.into_values());
        let mut views: Vec<_> = ones.filter_map(Stage::into_views).collect();
        views.sort_unstable_by_key(|views| views.number);
        views.into_iter()
    }
}

/// The place of a conversation that is in its slot.
fn place(slots: &mut [Vec<Option<Stage>>], id: FlowNumber) -> Option<&mut Option<Stage>> {
    let place = slots.get_mut(id.source())?.get_mut(id.id().slot())?;
    place.as_ref().is_some_and(|stage| stage.id() == id).then_some(place)
}

impl Stage {
    fn id(&self) -> FlowNumber {
        match self {
            Self::Begun(begun) => begun.0,
            Self::Shown(shown) => shown.0,
        }
    }

    fn into_views(self) -> Option<Views> {
        match self {
            Self::Begun(_) => None,
            Self::Shown(shown) => Some(shown.1),
        }
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
#[cfg(test)]
mod tests {
    use super::*;

    /// The limit of what a conversation takes here that has said nothing yet: a place, and what is
    /// known of it.
    #[test]
    fn conversations_that_say_nothing_take_little() {
        assert!(size_of::<Option<Stage>>() <= 16);
        assert!(size_of::<Talk>() <= 80);
    }

    /// And of one that goes on.
    #[test]
    fn conversations_that_are_printed_take_little() {
        assert!(size_of::<Views>() <= 32);
        assert!(size_of::<crate::follow::print::Printer>() <= 152);
    }
}
