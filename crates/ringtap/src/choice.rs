//! The conversations to show: a condition on addresses, counters and content.

use clap::ValueEnum;
use conversation::FlowStreamBuilder;
use conversation::select::{Condition, OnUndecided, Selection};
use flow::FiveTuple;
use packet_filter::Filter;
use ring_core::PacketSource;

use crate::limits::Size;

/// Options of commands that show conversations.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Choice {
    /// Show only conversations that meet this condition, from their first packet on. The operators
    /// are those of Wireshark's display filters: `port == 443 and bytes > 1M`, `payload contains
    /// "password"`, `end == rst`. `ringtap fields` lists the fields.
    #[arg(long = "where", value_name = "CONDITION", value_parser = parse)]
    condition: Option<Condition>,
    /// With --where: the memory for conversations about which the condition is undecided, all of
    /// them together; one may take a sixteenth. Suffixes: K, M, G (powers of 1024).
    #[arg(long, value_name = "SIZE", default_value = "64M", requires = "condition")]
    undecided_memory: Size,
    /// With --where: what becomes of a conversation that is undecided when there is no memory left.
    #[arg(long, value_enum, default_value_t = Undecided::Show, requires = "condition")]
    undecided: Undecided,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Undecided {
    /// It is shown.
    Show,
    /// It is not shown.
    Drop,
}

/// A condition, or an error that points at its place.
pub(crate) fn parse(text: &str) -> Result<Condition, String> {
    text.parse().map_err(|error: conversation::select::ParseError| {
        format!("{error}\n  {}", error.pointed(text).replace('\n', "\n  "))
    })
}

impl Choice {
    /// Returns `true` if there is a condition.
    pub(crate) const fn is_given(&self) -> bool {
        self.condition.is_some()
    }

    /// The packets that the condition needs. `None` for all.
    pub(crate) fn packet_filter(&self) -> Option<Filter> {
        self.condition.as_ref()?.packet_filter()
    }

    /// The condition, the policy for what is undecided when the memory is used up, and the memory
    /// in bytes. `None` for all conversations.
    pub(crate) fn selection(&self) -> Option<(Condition, OnUndecided, usize)> {
        let policy = match self.undecided {
            Undecided::Show => OnUndecided::Accept,
            Undecided::Drop => OnUndecided::Drop,
        };
        let Size(total) = self.undecided_memory;
        Some((self.condition.clone()?, policy, total))
    }

    /// Sets the condition of a stream.
    pub(crate) fn apply<S>(
        &self,
        stream: FlowStreamBuilder<S, FiveTuple>,
    ) -> FlowStreamBuilder<S, FiveTuple>
    where
        S: PacketSource + Send + 'static,
    {
        let Some((condition, policy, total)) = self.selection() else { return stream };
        let selection = Selection::from(condition).on_undecided(policy);
        stream.select(selection.total_limit(total).conversation_limit(total / 16))
    }
}
