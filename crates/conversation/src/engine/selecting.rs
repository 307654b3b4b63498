//! Between the flow table and a sink: only flows that conditions accept pass.
//!
//! What comes of a flow before it is decided is held back, and passed on as if it came at the
//! moment of the decision. Without a selection, each event costs a test of a pointer.

mod event;
mod held;

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use flow::{
    Conflict, Data, Datagram, FirstPacket, Flow, FlowHandler, FlowRecord, FlowSide, Gap, TcpFlags,
    Unplaced, protocol,
};
use flow_filter::{Evaluation, Verdict};

use self::event::Event;
use self::held::Held;
use crate::engine::Sink;
use crate::engine::counters::Counters;
use crate::select::{OnUndecided, Rules, Selected};

/// A sink, and the selection of its flows if there is one.
#[derive(Debug)]
pub(crate) struct Selecting<K, H> {
    sink: H,
    choice: Option<Box<Choice<K>>>,
}

struct Choice<K> {
    rules: Arc<Rules<K>>,
    counters: Arc<Counters>,
    /// The limit of what all flows hold back, and what they do.
    total_limit: usize,
    held: usize,
    /// By the slot of the flow's id.
    places: Vec<Place<K>>,
    /// That of the flow that begins next.
    next: Option<Place<K>>,
}

/// The state of a flow.
enum Place<K> {
    /// It was rejected, or there is no flow.
    Closed,
    /// It passes. Its evaluations, if some of several are undecided.
    Open(Option<Box<Watch>>),
    Undecided(Box<Held<K>>),
}

/// Conditions that a flow may meet although another has accepted it.
struct Watch {
    evaluations: Box<[Evaluation]>,
    selected: Selected,
}

impl<K, H> Selecting<K, H> {
    /// `members` sources share the limits of the rules.
    pub(crate) fn new(
        sink: H,
        rules: Option<Arc<Rules<K>>>,
        counters: &Arc<Counters>,
        members: usize,
    ) -> Self {
        let choice = rules.map(|rules| {
            Box::new(Choice {
                total_limit: rules.total_limit / members.max(1),
                rules,
                counters: Arc::clone(counters),
                held: 0,
                places: Vec::new(),
                next: None,
            })
        });
        Self { sink, choice }
    }

    pub(crate) fn into_inner(self) -> H {
        self.sink
    }

    /// The bytes that are held back.
    pub(crate) fn held(&self) -> usize {
        self.choice.as_ref().map_or(0, |choice| choice.held)
    }
}

impl<K: Clone, H: Sink<K>> Selecting<K, H> {
    /// Passes an event on, holds it back, or drops it.
    #[cold]
    fn step(&mut self, flow: &Flow<'_, K>, event: &Event<'_, K>) {
        let Self { sink, choice: Some(choice) } = self else { return };
        let slot = flow.id.slot();
        let Some(place) = choice.places.get_mut(slot) else { return };
        match place {
            Place::Closed => {}
            Place::Open(watch) => {
                if let Some(open) = watch {
                    let verdict = event.evaluate(&mut open.evaluations);
                    open.selected.note(&open.evaluations);
                    if verdict != Verdict::Undecided && are_decided(&open.evaluations) {
                        *watch = None;
                    }
                }
                event.pass(flow, sink);
            }
            Place::Undecided(held) => {
                let verdict = event.evaluate(&mut held.evaluations);
                choice.held = choice.held - held.parsers + held.note_parsers();
                let mut is_full = false;
                if verdict == Verdict::Undecided {
                    let cost = event.cost(sink.wants_bytes());
                    is_full = held.cost + held.parsers + cost > choice.rules.conversation_limit
                        || choice.held + cost > choice.total_limit;
                    if !is_full {
                        choice.held += held.push(event, sink.wants_bytes());
                        choice.counters.held_bytes.set(choice.held as u64);
                        return;
                    }
                }
                let is_accepted = match (verdict, choice.rules.on_undecided) {
                    (Verdict::Accept, _) => true,
                    (Verdict::Reject, _) => false,
                    (Verdict::Undecided, OnUndecided::Accept) => {
                        choice.counters.undecided_accepted.add(1);
                        true
                    }
                    (Verdict::Undecided, OnUndecided::Drop) => {
                        choice.counters.undecided_dropped.add(1);
                        false
                    }
                };
                if choice.decide(flow, is_accepted, is_full, sink) {
                    event.pass(flow, sink);
                }
            }
        }
    }
}

impl<K: Clone> Choice<K> {
    /// Passes on what was held back of a flow, or drops it. Returns `true` if the flow passes.
    fn decide<H: Sink<K>>(
        &mut self,
        flow: &Flow<'_, K>,
        is_accepted: bool,
        is_undecided: bool,
        sink: &mut H,
    ) -> bool {
        let place = &mut self.places[flow.id.slot()];
        let Place::Undecided(held) = std::mem::replace(place, Place::Closed) else { return false };
        self.held -= held.cost + held.parsers;
        self.counters.held_bytes.set(self.held as u64);
        if !is_accepted {
            // One that a limit dropped has its own count.
            self.counters.unselected.add(u64::from(!is_undecided));
            return false;
        }
        let selected = self.rules.selected(&held.evaluations, is_undecided);
        sink.mark(selected.clone());
        if !held.replay(flow, sink) {
            return false;
        }
        *place = Place::Open(watch(held.evaluations, selected));
        true
    }

    fn set(&mut self, slot: usize, place: Place<K>) {
        if slot >= self.places.len() {
            self.places.resize_with(slot + 1, || Place::Closed);
        }
        self.places[slot] = place;
    }
}

/// The verdict of several conditions, one of which has to accept.
fn verdict_of(evaluations: &[Evaluation]) -> Verdict {
    let has = |verdict| evaluations.iter().any(|evaluation| evaluation.verdict() == verdict);
    if has(Verdict::Accept) {
        Verdict::Accept
    } else if has(Verdict::Undecided) {
        Verdict::Undecided
    } else {
        Verdict::Reject
    }
}

fn are_decided(evaluations: &[Evaluation]) -> bool {
    evaluations.iter().all(|evaluation| evaluation.verdict() != Verdict::Undecided)
}

/// The state that is kept of a flow that passes.
fn watch(evaluations: Box<[Evaluation]>, selected: Selected) -> Option<Box<Watch>> {
    let is_open = !are_decided(&evaluations);
    is_open.then(|| Box::new(Watch { evaluations, selected }))
}

impl<K: Clone, H: Sink<K>> FlowHandler<K> for Selecting<K, H> {
    fn admits(&mut self, flow: &Flow<'_, K>, first: &FirstPacket<'_>) -> bool {
        let Self { sink, choice } = self;
        let Some(choice) = choice else { return sink.admits(flow, first) };
        if !sink.wants_flow(flow) {
            choice.next = Some(Place::Open(None));
            return sink.admits(flow, first);
        }
        let midway = flow.protocol == protocol::TCP && !first.flags.contains(TcpFlags::SYN);
        let evaluations = choice.rules.evaluate(flow, midway);
        match verdict_of(&evaluations) {
            Verdict::Reject => {
                choice.counters.unselected.add(1);
                false
            }
            Verdict::Accept => {
                let selected = choice.rules.selected(&evaluations, false);
                sink.mark(selected.clone());
                choice.next = Some(Place::Open(watch(evaluations, selected)));
                sink.admits(flow, first)
            }
            Verdict::Undecided => {
                choice.next = Some(Place::Undecided(Box::new(Held::new(evaluations, first))));
                true
            }
        }
    }

    fn on_start(&mut self, flow: &Flow<'_, K>) {
        let Self { sink, choice } = self;
        let Some(choice) = choice else { return sink.on_start(flow) };
        let place = choice.next.take().unwrap_or(Place::Open(None));
        match &place {
            Place::Open(_) => sink.on_start(flow),
            Place::Undecided(held) => {
                choice.held += held.cost + held.parsers;
                choice.counters.held_bytes.set(choice.held as u64);
            }
            Place::Closed => {}
        }
        choice.set(flow.id.slot(), place);
    }

    #[inline]
    fn on_data(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        match self.choice {
            None => self.sink.on_data(flow, side, data),
            Some(_) => self.step(flow, &Event::Data(side, data)),
        }
    }

    #[inline]
    fn on_gap(&mut self, flow: &Flow<'_, K>, side: FlowSide, gap: Gap) {
        match self.choice {
            None => self.sink.on_gap(flow, side, gap),
            Some(_) => self.step(flow, &Event::Gap(side, gap)),
        }
    }

    #[inline]
    fn on_ack_ahead(&mut self, flow: &Flow<'_, K>, side: FlowSide, offset: u64) {
        match self.choice {
            None => self.sink.on_ack_ahead(flow, side, offset),
            Some(_) => self.step(flow, &Event::Awaited(side, offset)),
        }
    }

    #[inline]
    fn on_late(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        match self.choice {
            None => self.sink.on_late(flow, side, data),
            Some(_) => self.step(flow, &Event::Late(side, data)),
        }
    }

    #[inline]
    fn on_conflict(&mut self, flow: &Flow<'_, K>, side: FlowSide, conflict: Conflict<'_>) {
        match self.choice {
            None => self.sink.on_conflict(flow, side, conflict),
            Some(_) => self.step(flow, &Event::Conflict(side, conflict)),
        }
    }

    #[inline]
    fn on_unplaced(&mut self, flow: &Flow<'_, K>, side: FlowSide, unplaced: Unplaced<'_>) {
        match self.choice {
            None => self.sink.on_unplaced(flow, side, unplaced),
            Some(_) => self.step(flow, &Event::Unplaced(side, unplaced)),
        }
    }

    #[inline]
    fn on_fin(&mut self, flow: &Flow<'_, K>, side: FlowSide, offset: u64) {
        match self.choice {
            None => self.sink.on_fin(flow, side, offset),
            Some(_) => self.step(flow, &Event::Fin(side, offset)),
        }
    }

    #[inline]
    fn on_datagram(&mut self, flow: &Flow<'_, K>, side: FlowSide, datagram: Datagram<'_>) {
        match self.choice {
            None => self.sink.on_datagram(flow, side, datagram),
            Some(_) => self.step(flow, &Event::Datagram(side, datagram)),
        }
    }

    fn on_record(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        match self.choice {
            None => self.sink.on_record(flow, record),
            Some(_) => self.step(flow, &Event::Record(record)),
        }
    }

    #[inline]
    fn prefetch_hint(&mut self, slot: usize) {
        self.sink.prefetch_hint(slot);
    }

    fn on_end(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        let Self { sink, choice } = self;
        let Some(choice) = choice else { return sink.on_end(flow, record) };
        let passes = match choice.places.get_mut(flow.id.slot()) {
            None | Some(Place::Closed) => false,
            Some(Place::Open(watch)) => {
                if let Some(mut open) = watch.take() {
                    end(&mut open.evaluations, record);
                    open.selected.note(&open.evaluations);
                }
                true
            }
            Some(Place::Undecided(held)) => {
                end(&mut held.evaluations, record);
                let is_accepted = verdict_of(&held.evaluations) == Verdict::Accept;
                choice.decide(flow, is_accepted, false, sink)
            }
        };
        if passes {
            sink.on_end(flow, record);
        }
        if let Some(place) = choice.places.get_mut(flow.id.slot()) {
            *place = Place::Closed;
        }
    }
}

fn end<K>(evaluations: &mut [Evaluation], record: &FlowRecord<K>) {
    for evaluation in evaluations {
        evaluation.end(record);
    }
}

/// Everything else is the sink's.
impl<K, H> Deref for Selecting<K, H> {
    type Target = H;

    fn deref(&self) -> &H {
        &self.sink
    }
}

impl<K, H> DerefMut for Selecting<K, H> {
    fn deref_mut(&mut self) -> &mut H {
        &mut self.sink
    }
}

impl<K> fmt::Debug for Choice<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choice")
            .field("rules", &self.rules)
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}
