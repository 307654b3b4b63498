//! The ways to start the engines.

use std::sync::Arc;

use flow::FlowExtractor;
use ring_core::PacketSource;

use super::FlowStreamBuilder;
use crate::api::chunk_stream::{ChunkStream, Merged};
use crate::api::conversations::Conversations;
use crate::engine::admission::Admission;
use crate::engine::control::Control;
use crate::engine::delivery::Queues;
use crate::engine::member::engines;
use crate::engine::sink::ConversationSink;
use crate::engine::{self, Engine};
use crate::events::broadcast::Broadcast;
use crate::events::event::Event;
use crate::events::flow_event::FlowEvent;
use crate::events::flow_stream::FlowStream;
use crate::events::outlet::{Outlet, To};
use crate::events::ring::{Kind, Ring};
use crate::events::sink::EventSink;
use crate::events::stream::EventStream;
use crate::queue::gate::Gate;
use crate::queue::inbox::Inbox;

#[cfg(not(loom))]
use crate::engine::driver::Driver;
#[cfg(any(feature = "flowscope", feature = "protocol"))]
use crate::messages::MessageStream;
#[cfg(feature = "flowscope")]
use crate::messages::{
    DatagramBroadcast, DatagramMessage, DatagramStream, MessageSink, SessionBroadcast,
    SessionMessage, SessionStream,
};
#[cfg(feature = "protocol")]
use crate::messages::{MessageEvent, Messages, ProtocolSink};
#[cfg(feature = "flowscope")]
use flowscope::{DatagramParserFactory, SessionParserFactory};
#[cfg(feature = "protocol")]
use protocol::{Message, Registry};

/// A sink whose conversations have a queue each.
type QueueSink<K> = ConversationSink<K, Queues<K>>;

/// Engines that have not started, and what they share.
type Engines<S, E, H> = (Arc<Control>, Vec<Engine<S, E, H>>);

impl<S, E> FlowStreamBuilder<S, E>
where
    S: PacketSource + Send + 'static,
    E: FlowExtractor + Send + 'static,
{
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
        let members = self.members;
        let inbox = Arc::new(Inbox::new(Arc::clone(&gate), members.as_ref().map_or(1, Vec::len)));
        let (control, engines) = match members {
            Ok(members) => engines(members, &gate, &self.rules, |_, live, counters| {
                let queues = Queues::new(Arc::clone(&inbox), Arc::clone(&gate));
                let admission = self.admission.clone();
                ConversationSink::new(
                    settings,
                    admission,
                    live,
                    queues,
                    Arc::clone(&gate),
                    counters,
                )
            }),
            Err(error) => {
                inbox.end(Some(error));
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
    ) -> (ChunkStream<E::Key>, Vec<Engine<S, E, ConversationSink<E::Key, Merged<E::Key>>>>) {
        // Causal order needs a queue for each conversation.
        self.settings.causal = false;
        let (gate, settings) = (Arc::new(Gate::default()), self.settings);
        let members = self.members;
        let inbox = Arc::new(Inbox::new(Arc::clone(&gate), members.as_ref().map_or(1, Vec::len)));
        let (control, engines) = match members {
            Ok(members) => engines(members, &gate, &self.rules, |source, live, counters| {
                let merged = Merged::new(Arc::clone(&inbox), Arc::clone(&gate), source);
                let admission = self.admission.clone();
                ConversationSink::new(
                    settings,
                    admission,
                    live,
                    merged,
                    Arc::clone(&gate),
                    counters,
                )
            }),
            Err(error) => {
                inbox.end(Some(error));
                (Control::new([], gate), Vec::new())
            }
        };
        (ChunkStream::new(inbox, control, &settings), engines)
    }

    /// Starts the engines, and gives the beginnings and ends of all flows, and what else
    /// [`details`](Self::details) or [`anomalies`](Self::anomalies) ask for.
    pub fn events(self) -> FlowStream<E::Key> {
        let details = self.details;
        FlowStream::new(self.stream(move |outlet, source, admission| {
            EventSink::new(outlet, source, admission, details)
        }))
    }

    /// Gives the same events to several readers, each of whom may fall behind by `capacity` events.
    /// The engines start when a subscription is polled first.
    #[must_use]
    pub fn broadcast(self, capacity: usize) -> Broadcast<FlowEvent<E::Key>> {
        let details = self.details;
        self.share(capacity, move |outlet, source, admission| {
            EventSink::new(outlet, source, admission, details)
        })
    }

    /// Starts the engines, and gives the messages of all protocols of a [`Registry`], of all TCP
    /// and UDP flows. The bytes of a flow decide which protocol it is.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use conversation::{FlowStreamExt as _, MessageEvent};
    /// use flow::FiveTuple;
    /// use futures::StreamExt as _;
    /// use protocol::Registry;
    /// use ring_core::{LinkType, MemorySource};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), conversation::Error> {
    /// let source = MemorySource::new(LinkType::ETHERNET);
    /// let registry = Arc::new(Registry::default());
    /// let mut messages = source.flow_stream(FiveTuple::bidirectional()).messages(registry);
    /// while let Some(event) = messages.next().await {
    ///     if let MessageEvent::Message { key, message, .. } = event? {
    ///         println!("{key:?} {:?} {:?}", message.get("http.host"), message.latency());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "protocol")]
    pub fn messages(self, registry: Arc<Registry>) -> Messages<E::Key> {
        self.start_messages(registry, false)
    }

    /// Gives the messages of [`messages`](Self::messages), and the bodies that they carry, piece by
    /// piece, as [`MessageEvent::Body`]. Bytes are as they were sent:
    /// `protocol::coding::BodyDecoder` removes their codings.
    #[cfg(feature = "protocol")]
    pub fn messages_with_bodies(self, registry: Arc<Registry>) -> Messages<E::Key> {
        self.start_messages(registry, true)
    }

    #[cfg(feature = "protocol")]
    fn start_messages(mut self, registry: Arc<Registry>, bodies: bool) -> Messages<E::Key> {
        // A request must not wait for bytes before it while its response is delivered.
        self = self.table(|table| table.answer_ends_pickup(true));
        MessageStream::new(self.stream(move |outlet, source, admission| {
            ProtocolSink::new(Arc::clone(&registry), outlet, source, admission).with_bodies(bodies)
        }))
    }

    /// Gives the messages of [`messages`](Self::messages) to several readers, as
    /// [`broadcast`](Self::broadcast) does.
    #[cfg(feature = "protocol")]
    #[must_use]
    pub fn messages_broadcast(
        mut self,
        registry: Arc<Registry>,
        capacity: usize,
    ) -> Broadcast<MessageEvent<Message, E::Key>> {
        self = self.table(|table| table.answer_ends_pickup(true));
        self.share(capacity, move |outlet, source, admission| {
            ProtocolSink::new(Arc::clone(&registry), outlet, source, admission)
        })
    }

    /// Starts the engines, and gives the messages that flowscope's parsers make of TCP streams:
    /// parsers from `factory`, one for each flow. Any parser that is `Default` and `Clone` is its
    /// own factory. If there are several sources, each gets a clone of the factory.
    #[cfg(feature = "flowscope")]
    pub fn session_stream<F>(self, factory: F) -> SessionStream<E::Key, SessionMessage<F, E::Key>>
    where
        F: SessionParserFactory<E::Key> + Clone,
    {
        MessageStream::new(self.stream(move |outlet, source, admission| {
            MessageSink::sessions(factory.clone(), outlet, source, admission)
        }))
    }

    /// Gives the messages of [`session_stream`](Self::session_stream) to several readers, as
    /// [`broadcast`](Self::broadcast) does.
    #[cfg(feature = "flowscope")]
    #[must_use]
    pub fn session_broadcast<F>(self, factory: F, capacity: usize) -> SessionBroadcast<F, E::Key>
    where
        F: SessionParserFactory<E::Key> + Clone,
        SessionMessage<F, E::Key>: Clone,
    {
        self.share(capacity, move |outlet, source, admission| {
            MessageSink::sessions(factory.clone(), outlet, source, admission)
        })
    }

    /// Starts the engines, and gives the messages that flowscope's parsers make of UDP datagrams.
    #[cfg(feature = "flowscope")]
    pub fn datagram_stream<F>(
        self,
        factory: F,
    ) -> DatagramStream<E::Key, DatagramMessage<F, E::Key>>
    where
        F: DatagramParserFactory<E::Key> + Clone,
    {
        MessageStream::new(self.stream(move |outlet, source, admission| {
            MessageSink::datagrams(factory.clone(), outlet, source, admission)
        }))
    }

    /// Gives the messages of [`datagram_stream`](Self::datagram_stream) to several readers, as
    /// [`broadcast`](Self::broadcast) does.
    #[cfg(feature = "flowscope")]
    #[must_use]
    pub fn datagram_broadcast<F>(self, factory: F, capacity: usize) -> DatagramBroadcast<F, E::Key>
    where
        F: DatagramParserFactory<E::Key> + Clone,
        DatagramMessage<F, E::Key>: Clone,
    {
        self.share(capacity, move |outlet, source, admission| {
            MessageSink::datagrams(factory.clone(), outlet, source, admission)
        })
    }

    /// Starts engines whose events go through the sinks that `make` makes to one reader.
    fn stream<T, H>(self, make: impl Fn(Outlet<T>, u32, Admission<E::Key>) -> H) -> EventStream<T>
    where
        T: Event,
        H: engine::Sink<E::Key>,
    {
        let gate = Arc::new(Gate::default());
        let inbox = Arc::new(Inbox::new(Arc::clone(&gate), self.engine_count()));
        let (control, engines) = self.prepare_events(&To::Stream(Arc::clone(&inbox)), gate, make);
        engines.into_iter().for_each(engine::thread::spawn);
        EventStream::new(inbox, control)
    }

    /// The same for several readers; the engines start later.
    fn share<T, H>(
        self,
        capacity: usize,
        make: impl Fn(Outlet<T>, u32, Admission<E::Key>) -> H,
    ) -> Broadcast<T>
    where
        T: Event + Clone,
        H: engine::Sink<E::Key>,
    {
        let gate = Arc::new(Gate::default());
        // Readers of a broadcast wait for themselves alone.
        gate.readers_are_independent();
        let engines = self.engine_count();
        let ring = Arc::new(Ring::new(capacity, engines, Arc::clone(&gate), Kind::of()));
        let (control, engines) = self.prepare_events(&To::Broadcast(Arc::clone(&ring)), gate, make);
        let start = move || engines.into_iter().for_each(engine::thread::spawn);
        Broadcast::new(ring, control, Box::new(start))
    }

    /// The number of engines that will report their end: one if there can be none, for the error.
    fn engine_count(&self) -> usize {
        self.members.as_ref().map_or(1, Vec::len)
    }

    fn prepare_events<T, H>(
        self,
        to: &To<T>,
        gate: Arc<Gate>,
        make: impl Fn(Outlet<T>, u32, Admission<E::Key>) -> H,
    ) -> Engines<S, E, H>
    where
        T: Event,
        H: engine::Sink<E::Key>,
    {
        let Self { settings, admission, members, rules, .. } = self;
        match members {
            Ok(members) => engines(members, &gate, &rules, |source, live, counters| {
                let outlet = Outlet::new(to.clone(), settings, live, Arc::clone(&gate), counters);
                make(outlet, source, admission.clone())
            }),
            Err(error) => {
                to.end(Some(error));
                (Control::new([], gate), Vec::new())
            }
        }
    }
}
