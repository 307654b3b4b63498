//! Conversations that go on.

use std::collections::{HashMap, VecDeque};

use conversation::{Chunk, FlowNumber};

use super::files::Files;
use super::idle::Idle;
use super::view::{MALLOC, Rest, Talk, View};

/// Views that are kept although their conversations may be silent: making them again takes time.
const AWAKE: usize = 1024;
/// Steps of conversations between two reports of the memory.
const REPORT: usize = 1024;

/// Conversations that go on. A silent one takes little memory: there may be as many as the table
/// has flows.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// By source and by slot in its table: the index into `kept` and one more, or 0.
    slots: Vec<Vec<u32>>,
    kept: Vec<Stage>,
    free: Vec<u32>,
    /// Those whose slot has another one by now: a slot may begin its next flow before the reader
    /// has seen the end of the last.
    left: HashMap<FlowNumber, Stage>,
    /// Conversations with views, those that got them first at the front.
    awake: VecDeque<FlowNumber>,
    /// Conversations.
    count: usize,
    /// The memory of those that are not silent.
    held_bytes: usize,
    /// Steps since the memory was reported.
    unreported: usize,
}

/// The state of a conversation.
#[derive(Debug)]
enum Stage {
    Idle(Idle),
    /// `None` if there is no conversation.
    Held(Option<Box<Held>>),
}

const _: () = assert!(size_of::<Stage>() == 40);

/// A conversation that takes more memory.
#[derive(Debug)]
enum Held {
    /// It is silent, but [`Idle`] has no space for it.
    Silent(FlowNumber, Talk, Rest),
    Shown(Shown),
}

#[derive(Debug)]
struct Shown {
    id: FlowNumber,
    views: Views,
    /// Something was shown since it was looked at last.
    busy: bool,
    /// It is in [`Open::awake`].
    listed: bool,
    /// The memory of the views.
    bytes: usize,
}

/// The views that show one conversation.
#[derive(Debug)]
pub(super) struct Views {
    pub(super) number: u64,
    pub(super) shown: Box<dyn View>,
    pub(super) written: Option<Box<Files>>,
}

impl Open {
    pub(super) fn insert(&mut self, id: FlowNumber, talk: Talk, rest: Rest) {
        let (source, slot) = (id.source(), id.id().slot());
        if source >= self.slots.len() {
            self.slots.resize_with(source + 1, Vec::new);
        }
        let slots = &mut self.slots[source];
        if slot >= slots.len() {
            slots.resize(slot + 1, 0);
        }
        let stage = Stage::silent(id, talk, rest);
        self.held_bytes += stage.bytes();
        self.count += 1;
        self.unreported += 1;
        if let Some(place) = (slots[slot] as usize).checked_sub(1) {
            let before = std::mem::replace(&mut self.kept[place], stage);
            self.left.extend(before.id().map(|id| (id, before)));
            return;
        }
        let place = match self.free.pop() {
            Some(place) => {
                self.kept[place as usize] = stage;
                place
            }
            None => {
                self.kept.push(stage);
                (self.kept.len() - 1) as u32
            }
        };
        slots[slot] = place + 1;
    }

    /// Shows the next step of a conversation, with views that are made if they are not there.
    pub(super) fn chunk(
        &mut self,
        id: FlowNumber,
        chunk: &Chunk,
        make: impl FnOnce(&Talk, Rest) -> Views,
    ) {
        self.unreported += 1;
        let Some(stage) = self.stage(id) else { return };
        let before = stage.bytes();
        let Some(shown) = stage.wake(make) else { return };
        shown.views.chunk(chunk);
        shown.bytes = shown.views.bytes();
        shown.busy = true;
        let listed = std::mem::replace(&mut shown.listed, true);
        let after = stage.bytes();
        self.held_bytes = self.held_bytes + after - before;
        if !listed {
            self.awake.push_back(id);
            self.put_to_rest();
        }
    }

    /// Drops the views of conversations that are silent.
    fn put_to_rest(&mut self) {
        while self.awake.len() > AWAKE
            && let Some(id) = self.awake.pop_front()
        {
            let Some(stage) = self.stage(id) else { continue };
            let Stage::Held(Some(held)) = stage else { continue };
            let Held::Shown(shown) = &mut **held else { continue };
            if std::mem::take(&mut shown.busy) {
                self.awake.push_back(id);
                continue;
            }
            shown.listed = false;
            if let Some((talk, rest)) = shown.views.rest() {
                let before = stage.bytes();
                *stage = Stage::silent(id, talk, rest);
                let after = stage.bytes();
                self.held_bytes = self.held_bytes + after - before;
            }
        }
    }

    /// Forgets a conversation that has ended. Returns what shows it, if it was made.
    pub(super) fn remove(&mut self, id: FlowNumber) -> Option<Views> {
        let slot = self.slots.get_mut(id.source()).and_then(|slots| slots.get_mut(id.id().slot()));
        let place = slot.filter(|at| holds(&self.kept, **at, id));
        let stage = if let Some(at) = place {
            let place = std::mem::take(at) - 1;
            self.free.push(place);
            std::mem::replace(&mut self.kept[place as usize], Stage::Held(None))
        } else {
            self.left.remove(&id)?
        };
        self.count -= 1;
        self.held_bytes -= stage.bytes();
        stage.into_views()
    }

    /// The views of the conversations that are left, in the order in which they began.
    pub(super) fn into_views(self) -> impl Iterator<Item = Views> {
        let Self { kept, left, .. } = self;
        let stages = kept.into_iter().chain(left.into_values());
        let mut views: Vec<_> = stages.filter_map(Stage::into_views).collect();
        views.sort_unstable_by_key(|views| views.number);
        views.into_iter()
    }

    /// The memory that a conversation takes on average, from time to time.
    pub(super) fn takes_bytes(&mut self) -> Option<usize> {
        if self.unreported < REPORT {
            return None;
        }
        self.unreported = 0;
        let slots: usize = self.slots.iter().map(Vec::len).sum();
        let all = slots * size_of::<u32>()
            + self.kept.len() * size_of::<Stage>()
            + self.free.len() * size_of::<u32>()
            + self.left.len() * 2 * size_of::<(FlowNumber, Stage)>()
            + self.held_bytes;
        Some(all / self.count.max(1))
    }

    fn stage(&mut self, id: FlowNumber) -> Option<&mut Stage> {
        let at = self.slots.get(id.source()).and_then(|slots| slots.get(id.id().slot()));
        match at.copied().filter(|at| holds(&self.kept, *at, id)) {
            Some(at) => self.kept.get_mut(at as usize - 1),
            None => self.left.get_mut(&id),
        }
    }
}

/// Returns `true` if the conversation of a slot is this one.
fn holds(kept: &[Stage], at: u32, id: FlowNumber) -> bool {
    let stage = (at as usize).checked_sub(1).and_then(|place| kept.get(place));
    stage.is_some_and(|stage| stage.id() == Some(id))
}

impl Stage {
    fn silent(id: FlowNumber, talk: Talk, rest: Rest) -> Self {
        match Idle::new(id, &talk, rest) {
            Some(idle) => Self::Idle(idle),
            None => Self::Held(Some(Box::new(Held::Silent(id, talk, rest)))),
        }
    }

    fn id(&self) -> Option<FlowNumber> {
        match self {
            Self::Idle(idle) => Some(idle.id),
            Self::Held(None) => None,
            Self::Held(Some(held)) => match &**held {
                Held::Silent(id, ..) | Held::Shown(Shown { id, .. }) => Some(*id),
            },
        }
    }

    /// The memory that it takes elsewhere.
    fn bytes(&self) -> usize {
        match self {
            Self::Idle(_) | Self::Held(None) => 0,
            Self::Held(Some(held)) => {
                let views = if let Held::Shown(shown) = &**held { shown.bytes } else { 0 };
                size_of::<Held>() + MALLOC + views
            }
        }
    }

    /// Makes the views if they are not there.
    fn wake(&mut self, make: impl FnOnce(&Talk, Rest) -> Views) -> Option<&mut Shown> {
        let silent = match self {
            Self::Idle(idle) => Some((idle.id, idle.wake())),
            Self::Held(held) => match held.as_deref() {
                Some(Held::Silent(id, talk, rest)) => Some((*id, (*talk, *rest))),
                Some(Held::Shown(_)) | None => None,
            },
        };
        if let Some((id, (talk, rest))) = silent {
            let (views, busy, listed) = (make(&talk, rest), false, false);
            let shown = Shown { id, bytes: views.bytes(), views, busy, listed };
            *self = Self::Held(Some(Box::new(Held::Shown(shown))));
        }
        match self {
            Self::Held(Some(held)) => match &mut **held {
                Held::Shown(shown) => Some(shown),
                Held::Silent(..) => None,
            },
            _ => None,
        }
    }

    fn into_views(self) -> Option<Views> {
        match self {
            Self::Held(Some(held)) => match *held {
                Held::Shown(shown) => Some(shown.views),
                Held::Silent(..) => None,
            },
            _ => None,
        }
    }
}

impl Views {
    fn chunk(&mut self, chunk: &Chunk) {
        self.shown.chunk(chunk);
        if let Some(written) = &mut self.written {
            written.chunk(chunk);
        }
    }

    fn rest(&self) -> Option<(Talk, Rest)> {
        if self.written.is_some() { None } else { self.shown.rest() }
    }

    fn bytes(&self) -> usize {
        let written = self.written.as_ref().map_or(0, |files| files.bytes() + MALLOC);
        self.shown.bytes() + MALLOC + written
    }

    pub(super) fn end(self) {
        self.shown.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit of what a conversation that is printed takes while it is not silent.
    #[test]
    fn conversations_that_are_printed_take_little() {
        assert!(size_of::<Held>() <= 128);
        assert!(size_of::<crate::follow::print::Printer>() <= 152);
    }
}
