//! Conversations chosen by conditions on addresses, counters and content.
//!
//! The language is that of the crate `flow-filter`, whose types are here as well. A [`Selection`]
//! has one condition or several with names; a conversation that meets one of them is delivered from
//! its first packet on.
//!
//! ```
//! use conversation::FlowStreamExt as _;
//! use conversation::select::Selection;
//! use flow::FiveTuple;
//! use futures::StreamExt as _;
//! use ring_core::{LinkType, MemorySource};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let source = MemorySource::new(LinkType::ETHERNET);
//! let selection = Selection::new()
//!     .add("web", "tcp.port in {80, 443}".parse()?)
//!     .add("large", "bytes > 100M".parse()?);
//! let mut conversations =
//!     source.flow_stream(FiveTuple::bidirectional()).select(selection).into_conversations();
//! while let Some(conversation) = conversations.next().await {
//!     let conversation = conversation?;
//!     let selected = conversation.selected().expect("there is a selection");
//!     println!("{:?}", selected.names().collect::<Vec<_>>());
//! }
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flow::Flow;
pub use flow_filter::{
    Comparison, Condition, Evaluation, Expression, Field, Finder, Found, KeyFields, Kind, Member,
    Operands, Operator, ParseError, ParseErrorKind, Pattern, Scan, Search, Stage, Test, TypeError,
    Value, Verdict, field,
};

/// The policy for a conversation that is undecided when there is no room to keep more of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnUndecided {
    /// It is delivered, with a [mark](Selected::is_undecided).
    #[default]
    Accept,
    /// It is dropped.
    Drop,
}

/// Conditions, and the limits of what waits until they are decided.
///
/// Events of a conversation wait, with copies of their bytes, until one condition accepts it, all
/// reject it, or a limit is reached. Conversations that reach one are
/// [counted](crate::Statistics::undecided_accepted).
#[derive(Clone, Debug)]
pub struct Selection {
    conditions: Vec<(Box<str>, Condition)>,
    conversation_limit: usize,
    total_limit: usize,
    on_undecided: OnUndecided,
}

impl Selection {
    /// Creates a selection without conditions. It selects nothing until one is added.
    #[must_use]
    pub fn new() -> Self {
        Self {
            conditions: Vec::new(),
            conversation_limit: 1 << 20,
            total_limit: 64 << 20,
            on_undecided: OnUndecided::default(),
        }
    }

    /// Adds a condition with a name.
    #[must_use]
    pub fn add(mut self, name: impl Into<String>, condition: Condition) -> Self {
        self.conditions.push((name.into().into(), condition));
        self
    }

    /// Sets the bytes that wait while one conversation is undecided, with what their events cost.
    /// [default: 1 MiB]
    #[must_use]
    pub fn conversation_limit(mut self, bytes: usize) -> Self {
        self.conversation_limit = bytes;
        self
    }

    /// Sets the bytes that wait while any conversation is undecided. Several sources share them in
    /// equal parts. [default: 64 MiB]
    #[must_use]
    pub fn total_limit(mut self, bytes: usize) -> Self {
        self.total_limit = bytes;
        self
    }

    /// Sets the policy for a conversation that would exceed a limit. [default:
    /// [`OnUndecided::Accept`]]
    #[must_use]
    pub fn on_undecided(mut self, policy: OnUndecided) -> Self {
        self.on_undecided = policy;
        self
    }

    /// A packet filter that passes every packet of every conversation that is selected; see
    /// [`Condition::packet_filter`]. `None` if no packet can be left out.
    #[must_use]
    pub fn packet_filter(&self) -> Option<ring_core::Filter> {
        let mut filters = self.conditions.iter().map(|(_, condition)| condition.packet_filter());
        let first = filters.next()??;
        filters.try_fold(first, |all, filter| Some(all | filter?))
    }
}

impl Default for Selection {
    fn default() -> Self {
        Self::new()
    }
}

/// A condition whose name is its text.
impl From<Condition> for Selection {
    fn from(condition: Condition) -> Self {
        let name = condition.expression().to_string();
        Self::new().add(name, condition)
    }
}

/// The conditions that a conversation meets.
#[derive(Clone, Debug)]
pub struct Selected(Arc<Marks>);

#[derive(Debug)]
struct Marks {
    names: Arc<[Box<str>]>,
    met: Box<[AtomicBool]>,
    is_undecided: bool,
}

impl Selected {
    /// The names of the conditions that the conversation has met so far. While it goes on it may
    /// meet others.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let met = self.0.met.iter().map(|met| met.load(Ordering::Acquire));
        self.0.names.iter().zip(met).filter(|(_, met)| *met).map(|(name, _)| &**name)
    }

    /// Returns `true` if the conversation was delivered undecided, since there was no room to keep
    /// more of it.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        self.0.is_undecided
    }

    pub(crate) fn note(&self, evaluations: &[Evaluation]) {
        for (met, evaluation) in self.0.met.iter().zip(evaluations) {
            met.store(evaluation.verdict() == Verdict::Accept, Ordering::Release);
        }
    }
}

/// Begins the evaluations of a flow.
type Evaluate<K> = dyn Fn(&Flow<'_, K>) -> Box<[Evaluation]> + Send + Sync;

/// A selection as the engines of a stream share it.
pub(crate) struct Rules<K> {
    names: Arc<[Box<str>]>,
    evaluate: Box<Evaluate<K>>,
    pub(crate) conversation_limit: usize,
    pub(crate) total_limit: usize,
    pub(crate) on_undecided: OnUndecided,
}

impl<K: KeyFields> Rules<K> {
    pub(crate) fn new(selection: Selection) -> Self {
        let Selection { conditions, conversation_limit, total_limit, on_undecided } = selection;
        let (names, conditions): (Vec<_>, Vec<_>) = conditions.into_iter().unzip();
        let evaluate = move |flow: &Flow<'_, K>| {
            conditions.iter().map(|condition| Evaluation::new(condition, flow)).collect()
        };
        Self {
            names: names.into(),
            evaluate: Box::new(evaluate),
            conversation_limit,
            total_limit,
            on_undecided,
        }
    }
}

impl<K> Rules<K> {
    pub(crate) fn evaluate(&self, flow: &Flow<'_, K>, midway: bool) -> Box<[Evaluation]> {
        let evaluations = (self.evaluate)(flow);
        if midway { evaluations.into_iter().map(Evaluation::midway).collect() } else { evaluations }
    }

    pub(crate) fn selected(&self, evaluations: &[Evaluation], is_undecided: bool) -> Selected {
        let met = evaluations.iter().map(|_| AtomicBool::new(false)).collect();
        let names = Arc::clone(&self.names);
        let selected = Selected(Arc::new(Marks { names, met, is_undecided }));
        selected.note(evaluations);
        selected
    }
}

impl<K> fmt::Debug for Rules<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").field("names", &self.names).finish_non_exhaustive()
    }
}
