//! The way from a sink to the readers.

use std::sync::Arc;
use std::task::Waker;

use flow::{Flow, FlowId, FlowRecord, prefetch_bytes};

use crate::api::conversation::Conversation;
use crate::api::error::Error;
use crate::api::settings::Settings;
use crate::queue::gate::Gate;
use crate::queue::inbox::Inbox;
use crate::queue::{Entries, Pushed, Queue, Room, Taken};
use crate::select::Selected;

/// Readers of conversations: one for each conversation, or one for all.
pub(crate) trait Delivery<K: Clone>: Send + 'static {
    /// The way to the reader of one conversation.
    type Route: Send;

    /// `true` if the end of a conversation is handed over with the packet that brought it, so that
    /// it comes before the next one in the same slot; else with all others, see
    /// [`Sink`](crate::engine::sink::Sink).
    const ENDS_AT_ONCE: bool;

    /// `true` if [`route_of`](Self::route_of) knows the way.
    const RESTS: bool;

    /// The memory of a conversation of which nothing waits.
    const IDLE_BYTES: usize;

    /// The way to the reader of a conversation, if the flow's number is enough to know it. Then the
    /// sink keeps nothing of a conversation of which nothing is pending.
    fn route_of(id: FlowId) -> Option<Self::Route>;

    /// A conversation begins. The next [`flush`](Self::flush) hands it over.
    fn announce(
        &mut self,
        flow: &Flow<'_, K>,
        midway: bool,
        selected: Option<Selected>,
        settings: &Settings,
    ) -> Self::Route;

    /// Conversations that the next flush tells of.
    fn announced(&self) -> usize;

    /// Returns `true` if a source that cannot wait may announce another conversation.
    fn has_room(&self, settings: &Settings) -> bool;

    /// It takes a place among the most conversations that there may be.
    fn take_place(&mut self, route: &Self::Route);

    /// It takes no such place any more.
    fn leave_place(&mut self, route: &Self::Route);

    /// Takes over what was collected for a conversation. Where entries remain, they are to be
    /// offered again.
    fn push(
        &mut self,
        route: &Self::Route,
        entries: &mut Entries,
        room: &Room,
        wake: &mut Vec<Waker>,
    ) -> Pushed;

    /// A conversation has ended; these are its last entries, none of which remain.
    fn close(
        &mut self,
        route: &Self::Route,
        entries: &mut Entries,
        record: Box<FlowRecord<K>>,
        room: &Room,
        wake: &mut Vec<Waker>,
    ) -> Pushed;

    /// The engine panicked.
    fn fail(&mut self, route: &Self::Route, wake: &mut Vec<Waker>);

    /// Prefetches memory that a push will need.
    fn prefetch(route: &Self::Route);

    /// Returns `true` if nobody will read the conversation any more.
    fn is_abandoned(&self, route: &Self::Route) -> bool;

    /// Hands over what was announced, and wakes the waiters.
    fn flush(&mut self);

    /// Returns `true` if readers should take something before there is more.
    fn is_crowded(&mut self, settings: &Settings) -> bool;

    /// Returns `true` if nobody takes new conversations any more.
    fn is_gone(&self) -> bool;

    /// There will be no more.
    fn end(&mut self, error: Option<Error>);
}

/// A queue for each conversation.
#[derive(Debug)]
pub(crate) struct Queues<K: Clone> {
    inbox: Arc<Inbox<Conversation<K>>>,
    gate: Arc<Gate>,
    announced: Vec<Conversation<K>>,
    /// Queues over their limit.
    crowded: Vec<Arc<Queue<K>>>,
}

impl<K: Clone> Queues<K> {
    pub(crate) fn new(inbox: Arc<Inbox<Conversation<K>>>, gate: Arc<Gate>) -> Self {
        Self { inbox, gate, announced: Vec::new(), crowded: Vec::new() }
    }
}

impl<K: Clone + Send + 'static> Delivery<K> for Queues<K> {
    type Route = Arc<Queue<K>>;

    const ENDS_AT_ONCE: bool = false;

    const RESTS: bool = false;

    // The counters of the Arc, and what the allocator adds to each of the two.
    const IDLE_BYTES: usize = size_of::<Queue<K>>() + size_of::<Conversation<K>>() + 48;

    fn route_of(_: FlowId) -> Option<Self::Route> {
        None
    }

    fn announce(
        &mut self,
        flow: &Flow<'_, K>,
        midway: bool,
        selected: Option<Selected>,
        settings: &Settings,
    ) -> Self::Route {
        let queue = Arc::new(Queue::new(Arc::clone(&self.gate)));
        let taken = Taken::new(settings.at_once());
        self.announced.push(Conversation::new(flow, midway, Arc::clone(&queue), taken, selected));
        queue
    }

    fn announced(&self) -> usize {
        self.announced.len()
    }

    fn has_room(&self, settings: &Settings) -> bool {
        self.inbox.len() + self.announced.len() < settings.capacity
    }

    fn take_place(&mut self, queue: &Self::Route) {
        queue.take_place();
    }

    fn leave_place(&mut self, queue: &Self::Route) {
        queue.leave_place();
    }

    #[inline]
    fn push(
        &mut self,
        queue: &Self::Route,
        entries: &mut Entries,
        room: &Room,
        wake: &mut Vec<Waker>,
    ) -> Pushed {
        let pushed = queue.push(entries, room, wake);
        if pushed.crowded {
            self.crowded.push(Arc::clone(queue));
        }
        pushed
    }

    fn close(
        &mut self,
        queue: &Self::Route,
        entries: &mut Entries,
        record: Box<FlowRecord<K>>,
        room: &Room,
        wake: &mut Vec<Waker>,
    ) -> Pushed {
        let mut pushed = Pushed::default();
        if !entries.is_empty() {
            pushed = self.push(queue, entries, room, wake);
        }
        queue.close(record, wake);
        pushed
    }

    fn fail(&mut self, queue: &Self::Route, wake: &mut Vec<Waker>) {
        queue.fail(wake);
    }

    #[inline]
    fn prefetch(queue: &Self::Route) {
        prefetch_bytes(Arc::as_ptr(queue), size_of::<Queue<K>>());
    }

    fn is_abandoned(&self, queue: &Self::Route) -> bool {
        queue.is_abandoned()
    }

    fn flush(&mut self) {
        self.inbox.push(&mut self.announced);
    }

    fn is_crowded(&mut self, settings: &Settings) -> bool {
        let limit = settings.conversation_limit;
        self.crowded.retain(|queue| queue.is_over(limit));
        !self.crowded.is_empty()
            || self.gate.queued() > settings.total_limit
            || self.inbox.len() > settings.capacity
    }

    fn is_gone(&self) -> bool {
        self.inbox.is_gone()
    }

    fn end(&mut self, error: Option<Error>) {
        self.inbox.end(error);
    }
}
