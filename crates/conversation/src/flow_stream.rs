//! From a source to its flows and conversations.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use flow::{FlowExtractor, FlowTable, FlowTableBuilder};
use futures_core::Stream;
use ring_core::{IntoPacketSource, PacketSource};

use crate::conversations::Conversations;
use crate::engine::{self, Control, Handle};
use crate::error::Error;
use crate::flow_event::{EventSink, FlowEvent};
use crate::gate::Gate;
use crate::inbox::Inbox;
use crate::settings::{Overflow, Retention, Settings};
use crate::sink::Sink;

/// Flows and conversations from anything that packets come from.
pub trait FlowStreamExt: IntoPacketSource + Sized {
    /// The flows of this source, told apart by `extractor`. Nothing runs until the result is polled, or turned into
    /// conversations.
    fn flow_stream<E>(self, extractor: E) -> FlowStream<Self::Source, E>
    where
        E: FlowExtractor + Send + 'static,
    {
        FlowStream::new(self.into_packet_source(), extractor)
    }

    /// The conversations of this source: short for `flow_stream(extractor).into_conversations()`.
    fn flow_conversations<E>(self, extractor: E) -> Conversations<E::Key>
    where
        E: FlowExtractor + Send + 'static,
    {
        self.flow_stream(extractor).into_conversations()
    }
}

impl<T: IntoPacketSource> FlowStreamExt for T {}

/// The flows of a source: a [`Stream`] of [`FlowEvent`]s, or the way to its
/// [conversations](Self::into_conversations).
///
/// Its methods set how flows are tracked and conversations kept, before either begins.
pub struct FlowStream<S, E: FlowExtractor> {
    settings: Settings,
    state: State<S, E>,
}

type Configure<E> = Box<dyn FnOnce(FlowTableBuilder<E>) -> FlowTableBuilder<E> + Send>;

enum State<S, E: FlowExtractor> {
    Ready { source: Result<S, ring_core::Error>, extractor: E, configure: Configure<E> },
    Running { inbox: Arc<Inbox<FlowEvent<E::Key>>>, control: Arc<Control> },
    Done,
}

impl<S, E> FlowStream<S, E>
where
    S: PacketSource + Send + 'static,
    E: FlowExtractor + Send + 'static,
{
    fn new(source: Result<S, ring_core::Error>, extractor: E) -> Self {
        let configure = Box::new(|builder| builder);
        Self { settings: Settings::default(), state: State::Ready { source, extractor, configure } }
    }

    /// Changes how flows are tracked: timeouts, limits, the overlap policy.
    #[must_use]
    pub fn table(
        mut self,
        change: impl FnOnce(FlowTableBuilder<E>) -> FlowTableBuilder<E> + Send + 'static,
    ) -> Self {
        if let State::Ready { source, extractor, configure } =
            mem::replace(&mut self.state, State::Done)
        {
            let configure = Box::new(|builder| change(configure(builder)));
            self.state = State::Ready { source, extractor, configure };
        }
        self
    }

    /// Where the bytes of chunks live. The default is [`Retention::Adaptive`].
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.settings.retention = retention;
        self
    }

    /// What happens when readers are slow. The default is [`Overflow::Drop`].
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.settings.overflow = overflow;
        self
    }

    /// How many bytes may wait for the reader of one side of one conversation (64 MiB unless told).
    #[must_use]
    pub fn conversation_limit(mut self, bytes: usize) -> Self {
        self.settings.conversation_limit = bytes;
        self
    }

    /// How many bytes may wait for all readers together (1 GiB unless told).
    #[must_use]
    pub fn total_limit(mut self, bytes: usize) -> Self {
        self.settings.total_limit = bytes;
        self
    }

    /// Makes flows that are not TCP conversations too: each of their chunks is the payload of one packet.
    #[must_use]
    pub fn datagrams(mut self, yes: bool) -> Self {
        self.settings.datagrams = yes;
        self
    }

    /// Starts the engine on a thread of its own, and gives every TCP conversation from now on.
    ///
    /// What goes wrong, at the start or later, is the stream's last item.
    #[must_use]
    pub fn into_conversations(mut self) -> Conversations<E::Key> {
        let (gate, settings) = (Arc::new(Gate::default()), self.settings);
        let inbox = Arc::new(Inbox::new(Arc::clone(&gate)));
        let control = match mem::replace(&mut self.state, State::Done) {
            State::Ready { source, extractor, configure } => {
                let sink = |live, control: &Control| {
                    Sink::new(
                        settings,
                        live,
                        Arc::clone(&inbox),
                        Arc::clone(&gate),
                        Arc::clone(&control.counters),
                    )
                };
                start(source, extractor, configure, &gate, sink, |error| inbox.end(Some(error)))
            }
            State::Running { .. } | State::Done => {
                inbox.end(None);
                Control::new(None, gate)
            }
        };
        Conversations::new(inbox, control)
    }

    /// The same, with room for `capacity` conversations that nobody has taken yet (16,384 unless told). Where there
    /// are more, a live source's are refused and counted, a file's wait.
    #[must_use]
    pub fn into_conversations_with_capacity(mut self, capacity: usize) -> Conversations<E::Key> {
        self.settings.capacity = capacity.max(1);
        self.into_conversations()
    }

    /// A handle that stops the engine and tells what it did; `None` before the first poll.
    #[must_use]
    pub fn handle(&self) -> Option<Handle> {
        match &self.state {
            State::Running { control, .. } => Some(Handle::new(Arc::clone(control))),
            _ => None,
        }
    }
}

impl<S, E> Stream for FlowStream<S, E>
where
    S: PacketSource + Send + Unpin + 'static,
    E: FlowExtractor + Send + Unpin + 'static,
{
    type Item = Result<FlowEvent<E::Key>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let State::Ready { .. } = this.state
            && let State::Ready { source, extractor, configure } =
                mem::replace(&mut this.state, State::Done)
        {
            let gate = Arc::new(Gate::default());
            let inbox = Arc::new(Inbox::new(Arc::clone(&gate)));
            let settings = this.settings;
            let sink = |live, control: &Control| {
                EventSink::new(
                    settings,
                    live,
                    Arc::clone(&inbox),
                    Arc::clone(&gate),
                    Arc::clone(&control.counters),
                )
            };
            let control =
                start(source, extractor, configure, &gate, sink, |error| inbox.end(Some(error)));
            this.state = State::Running { inbox, control };
        }
        match &this.state {
            State::Running { inbox, .. } => inbox.poll(cx),
            State::Ready { .. } | State::Done => Poll::Ready(None),
        }
    }
}

impl<S, E: FlowExtractor> Drop for FlowStream<S, E> {
    fn drop(&mut self) {
        if let State::Running { inbox, control } = &self.state {
            inbox.abandon();
            control.interrupt();
        }
    }
}

impl<S: fmt::Debug, E: FlowExtractor + fmt::Debug> fmt::Debug for FlowStream<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Ready { .. } => "ready",
            State::Running { .. } => "running",
            State::Done => "done",
        };
        f.debug_struct("FlowStream")
            .field("settings", &self.settings)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

/// Makes the table and starts the engine; what goes wrong is told to `fail`.
fn start<S, E, H>(
    source: Result<S, ring_core::Error>,
    extractor: E,
    configure: Configure<E>,
    gate: &Arc<Gate>,
    sink: impl FnOnce(bool, &Control) -> H,
    fail: impl FnOnce(Error),
) -> Arc<Control>
where
    S: PacketSource + Send + 'static,
    E: FlowExtractor + Send + 'static,
    H: engine::Sink<E::Key>,
{
    let source = match source {
        Ok(source) => source,
        Err(error) => {
            fail(error.into());
            return Control::new(None, Arc::clone(gate));
        }
    };
    let control = Control::new(source.interrupter(), Arc::clone(gate));
    // The time in a file says nothing about how long a flow was silent for its ends: none expires by idleness there.
    let builder = FlowTable::builder(extractor).idle_expiry(source.is_live());
    let sink = sink(source.is_live(), &control);
    if let Err(error) =
        engine::spawn(source, configure(builder).build(), sink, Arc::clone(&control))
    {
        fail(error);
    }
    control
}
