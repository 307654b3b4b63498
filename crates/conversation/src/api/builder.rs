//! The settings of flows and conversations, before anything runs.

mod start;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use flow::{FirstPacket, Flow, FlowExtractor, FlowTableBuilder};
use ring_core::PacketSource;

use crate::api::error::Error;
use crate::api::settings::{Memory, OnLimit, Overflow, Retention, Settings};
use crate::engine::admission::Admission;
use crate::engine::member::Member;
use crate::events::sink::Details;
use crate::select::{KeyFields, Rules, Selection};

/// Sets how the flows of a source are tracked and its conversations kept, then starts the engines.
///
/// [`into_conversations`](Self::into_conversations) gives the bytes of each conversation to a
/// reader of its own, [`into_chunk_stream`](Self::into_chunk_stream) those of all conversations to
/// one reader, [`events`](Self::events) the beginnings and ends of flows.
#[must_use = "nothing runs unless it is started"]
pub struct FlowStreamBuilder<S, E: FlowExtractor> {
    settings: Settings,
    admission: Admission<E::Key>,
    details: Details,
    /// Conditions that conversations have to meet.
    rules: Option<Arc<Rules<E::Key>>>,
    members: Result<Vec<Member<S, E>>, Error>,
}

impl<S, E> FlowStreamBuilder<S, E>
where
    S: PacketSource + Send + 'static,
    E: FlowExtractor + Send + 'static,
{
    pub(crate) fn new(source: Result<S, S::Error>, extractor: E) -> Self {
        Self::of(
            source.map(|source| vec![Member::new(source, extractor)]).map_err(Error::of_source),
        )
    }

    pub(crate) fn merge(sources: Result<Vec<S>, S::Error>, extractor: E) -> Self
    where
        E: Clone,
    {
        let member = |source| Member::new(source, extractor.clone());
        let members = sources.map(|sources| sources.into_iter().map(member).collect());
        Self::of(members.map_err(Error::of_source))
    }

    fn of(members: Result<Vec<Member<S, E>>, Error>) -> Self {
        let (settings, admission) = (Settings::default(), Admission::default());
        Self { settings, admission, details: Details::None, rules: None, members }
    }

    /// Changes how flows are tracked: timeouts, limits, the overlap policy. Where there are several
    /// sources, each has a table of its own, and `change` is called for each.
    pub fn table(mut self, change: impl Fn(FlowTableBuilder<E>) -> FlowTableBuilder<E>) -> Self {
        if let Ok(members) = &mut self.members {
            let changed = members
                .drain(..)
                .map(|member| Member { table: change(member.table), ..member })
                .collect();
            *members = changed;
        }
        self
    }

    /// Names the sources of this stream, usually by their interface or file. The names become the
    /// label `source` of metrics (feature `metrics`) and a field of log events, so that several
    /// streams of a program can be distinguished. `names` gives the name of the `n`th source.
    /// [default: no names]
    pub fn source_names<N: Into<Arc<str>>>(mut self, names: impl Fn(usize) -> N) -> Self {
        for (number, member) in self.members.iter_mut().flatten().enumerate() {
            member.name = Some(names(number).into());
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
    pub fn admit(
        mut self,
        predicate: impl Fn(&Flow<'_, E::Key>, &FirstPacket<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.admission.predicate = Some(Arc::new(predicate));
        self
    }

    /// Delivers only conversations that a condition, or one of several in a [`Selection`], accepts.
    /// Conversations that are rejected are counted as
    /// [`unselected`](crate::Statistics::unselected). What comes before a conversation is decided
    /// waits within [limits](Selection::conversation_limit), and is delivered with the rest.
    ///
    /// A condition that is decided by the first packet costs no copies: what is rejected takes
    /// nothing but its place in the table. To keep packets out of the table as well, give the
    /// [packet filter](Selection::packet_filter) that the conditions imply to the source.
    ///
    /// Flows that would be no conversations are not evaluated. Streams of events evaluate all.
    ///
    /// ```
    /// # use conversation::FlowStreamExt as _;
    /// # use conversation::select::Condition;
    /// # use flow::FiveTuple;
    /// # use futures::StreamExt as _;
    /// # use ring_core::{LinkType, MemorySource};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let source = MemorySource::new(LinkType::ETHERNET);
    /// let condition: Condition = "payload contains \"password\" and not port == 443".parse()?;
    /// let mut conversations =
    ///     source.flow_stream(FiveTuple::bidirectional()).select(condition).into_conversations();
    /// while let Some(conversation) = conversations.next().await {
    ///     println!("{}", conversation?.initiator());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn select(mut self, selection: impl Into<Selection>) -> Self
    where
        E::Key: KeyFields,
    {
        self.rules = Some(Arc::new(Rules::new(selection.into())));
        self
    }

    /// Limits the conversations that go on at the same time, and sets what happens to one more. One
    /// that was dropped does not count. [default: the flow table's
    /// [`max_flows`](FlowTableBuilder::max_flows)]
    pub fn max_conversations(mut self, max: usize, on_limit: OnLimit) -> Self {
        self.admission.max = max.max(1);
        self.admission.on_limit = on_limit;
        self
    }

    /// Sets the memory that the bytes of chunks are kept in. [default: [`Retention::Adaptive`]]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.settings.retention = retention;
        self
    }

    /// Sets the policy for slow readers. [default: [`Overflow::Drop`]]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.settings.overflow = overflow;
        self
    }

    /// Sets the bytes that may wait for the reader of one side of one conversation. [default: 64
    /// MiB]
    pub fn conversation_limit(mut self, bytes: usize) -> Self {
        self.settings.conversation_limit = bytes;
        self
    }

    /// Sets the bytes that may wait for all readers together. [default: 1 GiB]
    pub fn total_limit(mut self, bytes: usize) -> Self {
        self.settings.total_limit = bytes;
        self
    }

    /// Bounds the memory of flows, conversations and bytes that wait: at most one half for readers
    /// (the [`total_limit`](Self::total_limit)) and one half behind holes in the tables of all
    /// sources ([`table_limit`](FlowTableBuilder::table_limit)), both less if flows take the
    /// memory. Beyond that, flows are ended to make room
    /// ([`memory_limit`](FlowTableBuilder::memory_limit)). Flows may exceed `bytes` by a quarter,
    /// on a wire an eighth, and 64 MiB at most. Buffers of the source come on top. It holds where
    /// readers can be waited for: see [`into_chunk_stream`](Self::into_chunk_stream).
    pub fn memory(mut self, bytes: usize) -> Self {
        let (members, live) = self.members.as_ref().map_or((1, false), |members| {
            (members.len().max(1), members.iter().any(|member| member.source.is_live()))
        });
        let memory = Memory::new(bytes, members, live);
        (self.settings.total_limit, self.settings.memory) = (bytes / 2, Some(memory));
        self.table(|table| table.table_limit(bytes / 2 / members).memory_limit(memory.of_table()))
    }

    /// Sets the longest capture time between the packets of one chunk. [default: 1 ms] The time
    /// stamp of a chunk is that of its first packet, so this is how much later any of its bytes may
    /// have come. With zero, only packets with the same time stamp are joined.
    pub fn chunk_span(mut self, span: Duration) -> Self {
        self.settings.span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self
    }

    /// Makes flows that are not TCP conversations too: each of their chunks is the payload of one
    /// packet. Where the capture cut that short, a [gap](crate::Chunk::Gap) follows it.
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
    pub fn independent_readers(mut self, yes: bool) -> Self {
        self.settings.independent = yes;
        self
    }

    /// Sets the number of conversations, or events, that may wait to be taken. [default: 16,384] If
    /// there are more, a live source's are refused and counted, a file's wait.
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.settings.capacity = capacity.max(1);
        self
    }

    /// Reports what lies between a flow's beginning and its end as well (off by default): bytes,
    /// gaps, datagrams and what else [`FlowEvent`](crate::FlowEvent) names.
    pub fn details(mut self, yes: bool) -> Self {
        self.details = if yes { Details::All } else { Details::None };
        self
    }

    /// Reports, of what lies between a flow's beginning and its end, only what is suspicious:
    /// [`Unplaced`](crate::FlowEvent::Unplaced) and [`Conflict`](crate::FlowEvent::Conflict). Off
    /// by default. It costs nothing for flows that have neither, whereas
    /// [`details`](Self::details), which this replaces, are an event a segment.
    pub fn anomalies(mut self, yes: bool) -> Self {
        self.details = if yes { Details::Anomalies } else { Details::None };
        self
    }
}

impl<S: fmt::Debug, E: FlowExtractor + fmt::Debug> fmt::Debug for FlowStreamBuilder<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowStreamBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
