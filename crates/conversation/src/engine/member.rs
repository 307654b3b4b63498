//! A source whose engine has not been made yet.

use std::sync::Arc;
use std::time::Duration;

use flow::{FlowExtractor, FlowTable, FlowTableBuilder, Timeouts};
use ring_core::PacketSource;

use crate::engine::control::Control;
use crate::engine::counters::Counters;
use crate::engine::selecting::Selecting;
use crate::engine::{Engine, Sink};
use crate::queue::gate::Gate;
use crate::select::Rules;

/// A source and the table for its flows.
pub(crate) struct Member<S, E> {
    pub(crate) source: S,
    pub(crate) table: FlowTableBuilder<E>,
    /// The name of the source in metrics and log events.
    pub(crate) name: Option<Arc<str>>,
}

/// The packets of a flow that a file waits for bytes which were already acknowledged.
const FILE_GRACE_PACKETS: u32 = 4_096;
/// The packets of a flow that a file waits for bytes before the first of a stream picked up midway.
const FILE_PICKUP_PACKETS: u32 = 64;
/// The longest time of the file that it waits for either, and for stragglers after both sides' FINs
/// or a reset.
const FILE_GRACE_TIME: Duration = Duration::from_secs(120);

impl<S: PacketSource, E: FlowExtractor> Member<S, E> {
    pub(crate) fn new(source: S, extractor: E) -> Self {
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
        Self { source, table, name: None }
    }
}

/// Makes an engine for each member.
pub(crate) fn engines<S, E, H>(
    members: Vec<Member<S, E>>,
    gate: &Arc<Gate>,
    rules: &Option<Arc<Rules<E::Key>>>,
    mut sink: impl FnMut(u32, bool, Arc<Counters>) -> H,
) -> (Arc<Control>, Vec<Engine<S, E, H>>)
where
    S: PacketSource,
    E: FlowExtractor,
    H: Sink<E::Key>,
{
    let interrupters = members.iter().map(|member| member.source.interrupter());
    let control = Control::new(interrupters, Arc::clone(gate));
    let count = members.len();
    let engine = |(number, member): (usize, Member<S, E>)| {
        let Member { source, table, name } = member;
        let counters = Arc::clone(control.counters(number));
        let sink = sink(number as u32, source.is_live(), Arc::clone(&counters));
        let sink = Selecting::new(sink, rules.clone(), &counters, count);
        Engine::new(source, table.build(), sink, Arc::clone(&control), number, name)
    };
    let engines = members.into_iter().enumerate().map(engine).collect();
    (control, engines)
}
