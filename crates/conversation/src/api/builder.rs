//! From a source to its flows and conversations.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use flow::{Flow, FlowExtractor, FlowTable, FlowTableBuilder, Opening, Timeouts};
use futures_core::Stream;
use ring_core::PacketSource;

use crate::api::chunk_stream::{ChunkStream, Merged};
use crate::api::conversations::Conversations;
use crate::api::error::Error;
use crate::api::handle::{Control, Handle};
use crate::api::settings::{Overflow, Retention, Settings};
use crate::engine::admission::{Admission, Excess};
use crate::engine::counters::Counters;
use crate::engine::delivery::Queues;
use crate::engine::sink::Sink;
use crate::engine::{self, Engine};
use crate::events::broadcast::Broadcast;
use crate::events::event::{Details, EventSink, FlowEvent};
use crate::events::outlet::{Event, Outlet, To};
use crate::events::state::StatefulFlowStream;
use crate::events::stream::{EventStream, Start};
use crate::queue::gate::Gate;
use crate::queue::inbox::Inbox;

#[cfg(not(loom))]
use crate::engine::driver::Driver;
#[cfg(feature = "flowscope")]
use crate::messages::{
    DatagramMessage, DatagramStream, Mail, MessageSink, MessageStream, SessionMessage,
    SessionStream,
};
#[cfg(feature = "flowscope")]
use flow::flowscope::{Datagrams, Sessions};
#[cfg(feature = "flowscope")]
use flowscope::{DatagramParserFactory, SessionParserFactory};

/// A sink whose conversations have a queue each.
type QueueSink<K> = Sink<K, Queues<K>>;

/// The flows of a source: a [`Stream`] of [`FlowEvent`]s, or the way to its
/// [conversations](Self::into_conversations).
///
/// Its methods set how flows are tracked and conversations kept, before either begins.
pub struct FlowStream<S, E: FlowExtractor> {
    settings: Settings,
    admission: Admission<E::Key>,
    details: Details,
    state: State<S, E>,
}

enum State<S, E: FlowExtractor> {
    Ready(Result<Vec<Member<S, E>>, ring_core::Error>),
    Running(EventStream<FlowEvent<E::Key>>),
    Done,
}

/// A source and the table for its flows.
struct Member<S, E> {
    source: S,
    table: FlowTableBuilder<E>,
}

impl<S, E> FlowStream<S, E>
where
    S: PacketSource + Send + 'static,
    E: FlowExtractor + Send + 'static,
{
    pub(crate) fn new(source: Result<S, ring_core::Error>, extractor: E) -> Self {
        Self::of(source.map(|source| vec![Member::new(source, extractor)]))
    }

    pub(crate) fn merge(sources: Result<Vec<S>, ring_core::Error>, extractor: E) -> Self
    where
        E: Clone,
    {
        let member = |source| Member::new(source, extractor.clone());
        Self::of(sources.map(|sources| sources.into_iter().map(member).collect()))
    }

    fn of(members: Result<Vec<Member<S, E>>, ring_core::Error>) -> Self {
        let (settings, admission) = (Settings::default(), Admission::default());
        Self { settings, admission, details: Details::None, state: State::Ready(members) }
    }

    /// Changes how flows are tracked: timeouts, limits, the overlap policy. Where there are several
    /// sources, each has a table of its own, and `change` is called for each.
    #[must_use]
    pub fn table(mut self, change: impl Fn(FlowTableBuilder<E>) -> FlowTableBuilder<E>) -> Self {
        if let State::Ready(Ok(members)) = &mut self.state {
            let changed = members
                .drain(..)
                .map(|Member { source, table }| Member { source, table: change(table) })
                .collect();
            *members = changed;
        }
        self
    }

    /// Decides by a flow's key and first packet whether it becomes a conversation, or is reported
    /// by streams of events. If it does not, nothing of it is kept from then on but its place in
    /// the table, which tells its packets from those of a new flow; it is counted as
    /// [`rejected`](crate::Statistics::rejected).
    ///
    /// Asked once a flow, on the engine's thread, for flows that would be conversations: TCP, and
    /// others where [`datagrams`](Self::datagrams) are asked for. The first packet of a TCP flow
    /// has no payload as a rule.
    #[must_use]
    pub fn admit(
        mut self,
        predicate: impl Fn(&Flow<'_, E::Key>, &Opening<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.admission.predicate = Some(Arc::new(predicate));
        self
    }

    /// Limits the conversations that go on at the same time, and sets what happens to one more. One
    /// that was dropped does not count. [default: the flow table's
    /// [`max_flows`](FlowTableBuilder::max_flows)]
    #[must_use]
    pub fn max_conversations(mut self, most: usize, excess: Excess) -> Self {
        self.admission.most = most.max(1);
        self.admission.excess = excess;
        self
    }

    /// Where the bytes of chunks live. The default is [`Retention::Adaptive`].
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.settings.retention = retention;
        self
    }

    /// Sets the policy for slow readers. [default: [`Overflow::Drop`]]
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.settings.overflow = overflow;
        self
    }

    /// Sets the bytes that may wait for the reader of one side of one conversation. [default: 64
    /// MiB]
    #[must_use]
    pub fn conversation_limit(mut self, bytes: usize) -> Self {
        self.settings.conversation_limit = bytes;
        self
    }

    /// Sets the bytes that may wait for all readers together. [default: 1 GiB]
    #[must_use]
    pub fn total_limit(mut self, bytes: usize) -> Self {
        self.settings.total_limit = bytes;
        self
    }

    /// Bounds what may wait: one half for readers (the [`total_limit`](Self::total_limit)), one
    /// half behind holes in the tables of all sources (each gets its part of it as its
    /// [`table_limit`](FlowTableBuilder::table_limit)). What happens beyond either is said there.
    /// Besides this, flows take memory ([`max_flows`](FlowTableBuilder::max_flows)), and the source
    /// has buffers of its own. It holds where readers can be waited for: see
    /// [`into_chunk_stream`](Self::into_chunk_stream).
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.settings.total_limit = bytes / 2;
        let members = match &self.state {
            State::Ready(Ok(members)) => members.len().max(1),
            _ => 1,
        };
        self.table(|table| table.table_limit(bytes / 2 / members))
    }

    /// Sets the longest capture time between the packets of one chunk. [default: 1 ms] The time
    /// stamp of a chunk is that of its first packet, so this is how much later any of its bytes may
    /// have come. With zero, only packets with the same time stamp are joined.
    #[must_use]
    pub fn chunk_span(mut self, span: Duration) -> Self {
        self.settings.span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self
    }

    /// Makes flows that are not TCP conversations too: each of their chunks is the payload of one
    /// packet. Where the capture cut that short, a [gap](crate::Chunk::Gap) follows it.
    #[must_use]
    pub fn datagrams(mut self, yes: bool) -> Self {
        self.settings.datagrams = yes;
        self
    }

    /// Delivers the two sides in causal order: the bytes of a side do not come before the bytes of
    /// the other side that their packets acknowledge. So a request comes before its response even
    /// if the capture swapped their packets. Off by default.
    ///
    /// It holds for readers of the whole conversation; each half is in order anyway. Nothing waits
    /// for what the capture lacks longer than the table's [grace](FlowTableBuilder::grace): then
    /// the missing bytes are a gap, which comes first. Nothing waits for a direction of which no
    /// packet was captured yet, for a single byte (which cannot be told from a FIN that was
    /// missed), or once half of the limits of waiting bytes are used up.
    ///
    /// A stream that was picked up midway begins when the other side answers it, see
    /// [`answer_ends_pickup`](FlowTableBuilder::answer_ends_pickup).
    #[must_use]
    pub fn causal_order(mut self, yes: bool) -> Self {
        self.settings.causal = yes;
        self
    }

    /// Promises that a task of its own reads each conversation, or each half, and waits for nothing
    /// else, and that another takes new conversations meanwhile. Off by default; nothing changes
    /// for a wire.
    ///
    /// With the promise a file waits for slow readers even while others wait for more, so that the
    /// limits bound what is queued. A program that breaks it may wait for ever, for example if it
    /// reads one conversation to its end before it takes the next one. There is no effect with
    /// [causal order](Self::causal_order), where one side's bytes wait for those of the other.
    ///
    /// ```
    /// # use conversation::FlowStreamExt as _;
    /// # use flow::FiveTuple;
    /// # use futures::StreamExt as _;
    /// # use ring_core::{LinkType, MemorySource};
    /// # use tokio::task::JoinSet;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), conversation::Error> {
    /// # let file = MemorySource::new(LinkType::ETHERNET);
    /// let key = FiveTuple::bidirectional();
    /// let mut conversations =
    ///     file.flow_stream(key).independent_readers(true).into_conversations();
    /// let mut readers = JoinSet::new();
    /// while let Some(conversation) = conversations.next().await {
    ///     let mut conversation = conversation?;
    ///     readers.spawn(async move {
    ///         while let Some(chunk) = conversation.next_chunk().await {
    ///             println!("{chunk:?}");
    ///         }
    ///     });
    ///     // Tasks that are done leave the set.
    ///     while readers.try_join_next().is_some() {}
    /// }
    /// readers.join_all().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn independent_readers(mut self, yes: bool) -> Self {
        self.settings.independent = yes;
        self
    }

    /// Starts an engine on a thread of its own for each source, and gives every TCP conversation
    /// from now on.
    ///
    /// An error, at the start or later, is the stream's last item.
    #[must_use]
    pub fn into_conversations(self) -> Conversations<E::Key> {
        let (conversations, engines) = self.prepare();
        engines.into_iter().for_each(engine::thread::spawn);
        conversations
    }

    /// The same, with room for `capacity` conversations that nobody has taken yet. [default:
    /// 16,384] If there are more, a live source's are refused and counted, a file's wait.
    #[must_use]
    pub fn into_conversations_with_capacity(self, capacity: usize) -> Conversations<E::Key> {
        self.capacity(capacity).into_conversations()
    }

    /// Sets the number of conversations, or events, that may wait to be taken. [default: 16,384] If
    /// there are more, a live source's are refused and counted, a file's wait.
    #[must_use]
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.settings.capacity = capacity.max(1);
        self
    }

    /// The conversations, and the engines as a future instead of threads: to be spawned, or polled
    /// beside what reads the conversations. See [`Driver`] for what that means for a live source.
    ///
    /// ```
    /// # use conversation::FlowStreamExt as _;
    /// # use flow::FiveTuple;
    /// # use futures::StreamExt as _;
    /// # use ring_core::{LinkType, MemorySource};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), conversation::Error> {
    /// # let source = MemorySource::new(LinkType::ETHERNET);
    /// let (mut conversations, driver) =
    ///     source.flow_stream(FiveTuple::bidirectional()).into_driven_conversations();
    /// tokio::spawn(driver);
    /// while let Some(conversation) = conversations.next().await {
    ///     let mut conversation = conversation?;
    ///     while let Some(chunk) = conversation.next_chunk().await {
    ///         println!("{chunk:?}");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(not(loom))]
    pub fn into_driven_conversations(self) -> (Conversations<E::Key>, Driver) {
        let (conversations, engines) = self.prepare();
        let mut driver = Driver::new();
        for engine in engines {
            driver.add(engine);
        }
        (conversations, driver)
    }

    #[expect(clippy::type_complexity, reason = "said once")]
    fn prepare(mut self) -> (Conversations<E::Key>, Vec<Engine<S, E, QueueSink<E::Key>>>) {
        if self.settings.causal {
            self = self.table(|table| table.answer_ends_pickup(true));
        }
        let (gate, settings) = (Arc::new(Gate::default()), self.settings);
        // A reader in causal order waits although its queue holds bytes, for others that the engine
        // has yet to read.
        if settings.independent && !settings.causal {
            gate.readers_are_independent();
        }
        let members = mem::replace(&mut self.state, State::Done).into_members();
        let inbox = Arc::new(Inbox::new(Arc::clone(&gate), members.as_ref().map_or(1, Vec::len)));
        let (control, engines) = match members {
            Ok(members) => engines(members, &gate, |_, live, counters| {
                let queues = Queues::new(Arc::clone(&inbox), Arc::clone(&gate));
                let admission = self.admission.clone();
                Sink::new(settings, admission, live, queues, Arc::clone(&gate), counters)
            }),
            Err(error) => {
                inbox.end(Some(error.into()));
                (Control::new([], gate), Vec::new())
            }
        };
        (Conversations::new(inbox, control), engines)
    }

    /// Starts the engines, and gives the chunks of all conversations as one stream: for a reader
    /// that is one task, and for memory that stays bounded whatever the source holds.
    #[must_use]
    pub fn into_chunk_stream(self) -> ChunkStream<E::Key> {
        let (chunks, engines) = self.prepare_merged();
        engines.into_iter().for_each(engine::thread::spawn);
        chunks
    }

    /// The same, with the engines as a future instead of threads, see [`Driver`].
    #[cfg(not(loom))]
    pub fn into_driven_chunk_stream(self) -> (ChunkStream<E::Key>, Driver) {
        let (chunks, engines) = self.prepare_merged();
        let mut driver = Driver::new();
        for engine in engines {
            driver.add(engine);
        }
        (chunks, driver)
    }

    #[expect(clippy::type_complexity, reason = "said once")]
    fn prepare_merged(
        mut self,
    ) -> (ChunkStream<E::Key>, Vec<Engine<S, E, Sink<E::Key, Merged<E::Key>>>>) {
        // Causal order needs a queue for each conversation.
        self.settings.causal = false;
        let (gate, settings) = (Arc::new(Gate::default()), self.settings);
        let members = mem::replace(&mut self.state, State::Done).into_members();
        let inbox = Arc::new(Inbox::new(Arc::clone(&gate), members.as_ref().map_or(1, Vec::len)));
        let (control, engines) = match members {
            Ok(members) => engines(members, &gate, |source, live, counters| {
                let merged = Merged::new(Arc::clone(&inbox), Arc::clone(&gate), source);
                let admission = self.admission.clone();
                Sink::new(settings, admission, live, merged, Arc::clone(&gate), counters)
            }),
            Err(error) => {
                inbox.end(Some(error.into()));
                (Control::new([], gate), Vec::new())
            }
        };
        (ChunkStream::new(inbox, control, &settings), engines)
    }

    /// Reports what lies between a flow's beginning and its end as well (off by default): bytes,
    /// gaps, datagrams and what else [`FlowEvent`] names.
    #[must_use]
    pub fn details(mut self, yes: bool) -> Self {
        self.details = if yes { Details::All } else { Details::None };
        self
    }

    /// Reports, of what lies between a flow's beginning and its end, only what is suspicious:
    /// [`FlowEvent::Unplaced`] and [`FlowEvent::Conflict`]. Off by default. It costs nothing for
    /// flows that have neither, whereas [`details`](Self::details), which this replaces, are an
    /// event a segment.
    #[must_use]
    pub fn anomalies(mut self, yes: bool) -> Self {
        self.details = if yes { Details::Anomalies } else { Details::None };
        self
    }

    /// Events with a state for each flow, which `make` makes of the flow's key when it starts.
    pub fn with_state<U>(
        self,
        make: impl FnMut(&E::Key) -> U + Send + 'static,
    ) -> StatefulFlowStream<S, E, U> {
        StatefulFlowStream::new(self, make)
    }

    /// Events for several readers, each of whom may fall behind by `capacity` events. A stream that
    /// was polled before has ended.
    #[must_use]
    pub fn broadcast(mut self, capacity: usize) -> Broadcast<FlowEvent<E::Key>> {
        let start = matches!(self.state, State::Ready(_)).then(|| self.start_events());
        Broadcast::new(start, capacity)
    }

    /// The messages that flowscope's parsers make of TCP streams: parsers from `factory`, one for
    /// each flow. Any parser that is `Default` and `Clone` is its own factory.
    ///
    /// Where there are several sources, each gets a clone of the factory.
    #[cfg(feature = "flowscope")]
    pub fn session_stream<F>(
        mut self,
        factory: F,
    ) -> SessionStream<E::Key, SessionMessage<F, E::Key>>
    where
        F: SessionParserFactory<E::Key> + Clone,
    {
        MessageStream::new(self.start(move |outlet, source, admission| {
            let mail = Mail::new(outlet, source);
            MessageSink::new(Sessions::new(factory.clone(), mail), admission)
        }))
    }

    /// The messages that flowscope's parsers make of UDP datagrams, likewise.
    #[cfg(feature = "flowscope")]
    pub fn datagram_stream<F>(
        mut self,
        factory: F,
    ) -> DatagramStream<E::Key, DatagramMessage<F, E::Key>>
    where
        F: DatagramParserFactory<E::Key> + Clone,
    {
        MessageStream::new(self.start(move |outlet, source, admission| {
            let mail = Mail::new(outlet, source);
            MessageSink::new(Datagrams::new(factory.clone(), mail), admission)
        }))
    }

    fn start_events(&mut self) -> Start<FlowEvent<E::Key>> {
        let details = self.details;
        self.start(move |outlet, source, admission| {
            EventSink::new(outlet, source, admission, details)
        })
    }

    /// Prepares an engine for each source, whose events go through the sinks that `make` makes.
    fn start<T, H>(
        &mut self,
        make: impl Fn(Outlet<T>, u32, Admission<E::Key>) -> H + Send + 'static,
    ) -> Start<T>
    where
        T: Event,
        H: engine::Sink<E::Key>,
    {
        let (settings, admission) = (self.settings, self.admission.clone());
        let members = mem::replace(&mut self.state, State::Done).into_members();
        let engines = members.as_ref().map_or(1, Vec::len);
        let run = move |to: To<T>, gate: Arc<Gate>| match members {
            Ok(members) => {
                let (control, engines) = self::engines(members, &gate, |source, live, counters| {
                    let outlet =
                        Outlet::new(to.clone(), settings, live, Arc::clone(&gate), counters);
                    make(outlet, source, admission.clone())
                });
                engines.into_iter().for_each(engine::thread::spawn);
                control
            }
            Err(error) => {
                to.end(Some(error.into()));
                Control::new([], gate)
            }
        };
        Start { engines, run: Box::new(run) }
    }

    /// A handle that stops the engine and tells what it did; `None` before the first poll.
    #[must_use]
    pub fn handle(&self) -> Option<Handle> {
        match &self.state {
            State::Running(events) => events.handle(),
            State::Ready(_) | State::Done => None,
        }
    }
}

impl<S, E: FlowExtractor> Unpin for FlowStream<S, E> {}

impl<S, E> Stream for FlowStream<S, E>
where
    S: PacketSource + Send + 'static,
    E: FlowExtractor + Send + 'static,
{
    type Item = Result<FlowEvent<E::Key>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let State::Ready(_) = self.state {
            self.state = State::Running(EventStream::new(self.start_events()));
        }
        match &mut self.state {
            State::Running(events) => events.poll(cx),
            State::Ready(_) | State::Done => Poll::Ready(None),
        }
    }
}

impl<S: fmt::Debug, E: FlowExtractor + fmt::Debug> fmt::Debug for FlowStream<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Ready(_) => "ready",
            State::Running(_) => "running",
            State::Done => "done",
        };
        f.debug_struct("FlowStream")
            .field("settings", &self.settings)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

impl<S, E: FlowExtractor> State<S, E> {
    /// The members of a stream that has not begun; none of one that has.
    fn into_members(self) -> Result<Vec<Member<S, E>>, ring_core::Error> {
        match self {
            Self::Ready(members) => members,
            Self::Running(_) | Self::Done => Ok(Vec::new()),
        }
    }
}

/// The packets of a flow that a file waits for bytes which were already acknowledged.
const FILE_GRACE_PACKETS: u32 = 4_096;
/// The packets of a flow that a file waits for bytes before the first of a stream picked up midway.
const FILE_PICKUP_PACKETS: u32 = 64;
/// The longest time of the file that it waits for either, and for stragglers after both sides' FINs
/// or a reset.
const FILE_GRACE_TIME: Duration = Duration::from_secs(120);

impl<S: PacketSource, E: FlowExtractor> Member<S, E> {
    fn new(source: S, extractor: E) -> Self {
        let mut table = FlowTable::builder(extractor);
        if !source.is_live() {
            // The time in a file says nothing about how long a flow was silent for its ends: none
            // expires by idleness there. And nobody waits for the news of a gap, while files that
            // were merged from captures of the two directions may have one of them far ahead of the
            // other.
            let mut timeouts = Timeouts::default();
            (timeouts.closing, timeouts.linger) = (FILE_GRACE_TIME, FILE_GRACE_TIME);
            table = table.idle_expiry(false).timeouts(timeouts);
            table = table.grace(FILE_GRACE_PACKETS, FILE_GRACE_TIME);
            table = table.pickup_grace(FILE_PICKUP_PACKETS, FILE_GRACE_TIME);
        }
        Self { source, table }
    }
}

/// An engine for each member.
fn engines<S, E, H>(
    members: Vec<Member<S, E>>,
    gate: &Arc<Gate>,
    mut sink: impl FnMut(u32, bool, Arc<Counters>) -> H,
) -> (Arc<Control>, Vec<Engine<S, E, H>>)
where
    S: PacketSource,
    E: FlowExtractor,
    H: engine::Sink<E::Key>,
{
    let interrupters = members.iter().map(|member| member.source.interrupter());
    let control = Control::new(interrupters, Arc::clone(gate));
    let engine = |(number, member): (usize, Member<S, E>)| {
        let Member { source, table } = member;
        let counters = Arc::clone(control.counters(number));
        let sink = sink(number as u32, source.is_live(), counters);
        Engine::new(source, table.build(), sink, Arc::clone(&control), number)
    };
    let engines = members.into_iter().enumerate().map(engine).collect();
    (control, engines)
}
