//! From a source through the flow table to a sink.

pub(crate) mod admission;
pub(crate) mod control;
pub(crate) mod counters;
pub(crate) mod delivery;
#[cfg(not(loom))]
pub(crate) mod driver;
pub(crate) mod member;
#[cfg(feature = "metrics")]
mod metrics;
pub(crate) mod observe;
mod pinned;
pub(crate) mod selecting;
pub(crate) mod sink;
pub(crate) mod thread;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use flow::{Flow, FlowExtractor, FlowHandler, FlowId, FlowTable, Timestamp};
use ring_core::{Next, PacketBatch, PacketSource, Timeout};

use crate::api::error::Error;
use crate::engine::control::{Control, Running};
use crate::engine::counters::Counters;
use crate::engine::observe::Observer;
use crate::engine::selecting::Selecting;
use crate::select::Selected;

/// The longest that an engine waits, or works, without looking around.
const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// The longest time that a stopped engine goes on taking what the ring already holds, or longer if
/// that is held back.
const DRAIN: Duration = Duration::from_secs(1);
/// The time to wait beyond that for which a wire [holds back](PacketSource::held_back) what it has,
/// so that a busy machine makes no difference.
const GRACE: Duration = Duration::from_millis(100);
/// The longest single wait of an engine that was stopped.
const DRAIN_WAIT: Duration = Duration::from_millis(10);

/// Flows that end at once when the source has: each has a record, which is larger than the flow.
const ENDS_AT_ONCE: usize = 4096;

/// The bytes that an engine gathers at most: about what stays in a processor's own cache until the
/// readers come.
const GATHER: usize = 128 << 10;

/// The receiver of an engine's events.
pub(crate) trait Sink<K>: FlowHandler<K> + Send + 'static {
    /// Returns `true` if the memory of a batch is worth keeping.
    fn wants_retained(&self) -> bool;
    /// A batch begins.
    fn begin(&mut self, retained: Option<Bytes>);
    /// The batch's memory is the source's again.
    fn end_batch(&mut self) {}
    /// Returns `true` if further batches that come at once are better handed over together with
    /// what there is, up to `most` bytes.
    fn gathers(&self, most: usize) -> bool {
        let _ = most;
        false
    }
    /// Hands over what batches brought. Never waits.
    fn flush(&mut self);
    /// It is so late by the packets' time, as the table is about to hear.
    fn tick<E: FlowExtractor<Key = K>>(&mut self, now: Timestamp, table: &FlowTable<E>) {
        let _ = (now, table);
    }
    /// The table takes `table` bytes. Returns the bytes that sink and readers keep for each flow
    /// that goes on, and those that wait for readers.
    fn share_memory(&mut self, table: usize) -> (usize, usize) {
        let _ = table;
        (0, 0)
    }
    /// A flow that is to make room for others.
    fn next_eviction(&mut self) -> Option<FlowId> {
        None
    }
    /// Returns `true` if the engine should wait for readers before it goes on. Never, for a source
    /// that cannot wait.
    fn is_crowded(&mut self) -> bool;
    /// Nobody listens any more.
    fn is_abandoned(&self) -> bool;
    /// There will be no more.
    fn end(&mut self, error: Option<Error>);
    /// Returns `true` if it does anything with a flow's events.
    fn wants_flow(&self, flow: &Flow<'_, K>) -> bool {
        let _ = flow;
        true
    }
    /// Returns `true` if it uses bytes of streams and datagrams; else a total is enough for it.
    fn wants_bytes(&self) -> bool {
        true
    }
    /// Bytes of streams were not passed to it since it does not want them.
    fn skip_bytes(&mut self, count: u64) {
        let _ = count;
    }
    /// The flow that begins next meets these conditions.
    fn mark(&mut self, selected: Selected) {
        let _ = selected;
    }
}

/// One source with its flows. It does nothing by itself: a [thread](thread::spawn) or a
/// [task](driver::Driver) takes its turns.
pub(crate) struct Engine<S, E: FlowExtractor, H> {
    source: S,
    table: FlowTable<E>,
    sink: Selecting<E::Key, H>,
    control: Arc<Control>,
    /// Its place among the engines of the stream.
    member: usize,
    /// Bytes that are gathered at most before readers are woken, where none of them has to wait for
    /// it.
    gather: usize,
    clock: Clock,
    looked: Instant,
    /// The packets that the source had dropped then.
    drops: u64,
    observer: Observer,
    /// The last turn has handed over what was gathered, so that readers had better run.
    handed_over: bool,
    /// The time at which it was stopped.
    stopped: Option<Instant>,
    /// Dropped last: who awaits the end of all engines finds everything else released.
    running: Running,
}

/// The time of the packets, going on between them.
#[derive(Default)]
struct Clock {
    last: Option<(Timestamp, Instant)>,
}

/// The outcome of an engine's turn.
enum Turn {
    More,
    Idle,
    End(Option<Error>),
}

impl<S, E, H> Engine<S, E, H>
where
    S: PacketSource,
    E: FlowExtractor,
    H: Sink<E::Key>,
{
    pub(crate) fn new(
        source: S,
        table: FlowTable<E>,
        sink: Selecting<E::Key, H>,
        control: Arc<Control>,
        member: usize,
        name: Option<Arc<str>>,
    ) -> Self {
        let observer = Observer::new(name, source.is_live());
        let (clock, looked) = (Clock::default(), Instant::now());
        let (gather, stopped, running) = (GATHER, None, control.run());
        Self {
            source,
            table,
            sink,
            control,
            member,
            gather,
            handed_over: false,
            clock,
            looked,
            drops: 0,
            observer,
            stopped,
            running,
        }
    }

    /// Takes the next batch, waiting for it for at most `timeout`.
    fn turn(&mut self, timeout: Timeout) -> Turn {
        let turn = self.step(timeout);
        let looks = matches!(turn, Turn::Idle) || self.looked.elapsed() >= LONGEST_WAIT;
        if looks {
            self.look_around();
        }
        match (turn, self.stopped) {
            (Turn::End(error), _) => Turn::End(error),
            // A file holds all of the rest, and nobody waits for it: once it is stopped, its engine
            // does not wait for readers, so that everything read from here on would be in memory.
            (_, None) if self.control.is_stopped() && self.source.never_waits() => Turn::End(None),
            (_, None) if self.control.is_stopped() => {
                // What the source holds by now is taken yet.
                self.stopped = Some(Instant::now());
                Turn::More
            }
            (Turn::Idle, Some(since))
                if !self.source.is_live() || since.elapsed() >= self.held_back() =>
            {
                Turn::End(None)
            }
            (Turn::More, Some(since)) if since.elapsed() >= DRAIN.max(self.held_back()) => {
                Turn::End(None)
            }
            _ if looks && self.sink.is_abandoned() => Turn::End(None),
            (turn, _) => turn,
        }
    }

    fn step(&mut self, timeout: Timeout) -> Turn {
        let step = match self.source.next_batch(timeout) {
            Ok(Next::Batch(batch)) => {
                let retained = if self.sink.wants_retained() { batch.retain() } else { None };
                self.sink.begin(retained);
                let (mut last, mut count) = (None, 0);
                let packets = batch.packets().inspect(|packet| {
                    last = Some(packet.timestamp());
                    count += 1;
                });
                self.table.process(packets, &mut self.sink);
                let counters = self.control.counters(self.member);
                counters.packets.add(count);
                while let Some(flow) = self.sink.next_eviction() {
                    if self.table.evict_flow(flow, &mut self.sink) {
                        counters.evicted.add(1);
                    }
                }
                self.sink.end_batch();
                let (each_flow, waiting) = self.sink.share_memory(self.table.memory());
                self.table.note_memory(each_flow, waiting + self.sink.held());
                self.clock.saw(last);
                Turn::More
            }
            Ok(Next::End) => return Turn::End(None),
            // The interruption that comes with a stop precedes what a pipe still holds: this engine
            // may have noticed the stop before it, while it was busy with a batch.
            Ok(Next::Interrupted) if self.stopped.is_some() => Turn::More,
            Ok(_) => Turn::Idle,
            Err(error) => return Turn::End(Some(Error::of_source(error))),
        };
        if let Some(now) = self.clock.now(self.source.is_live()) {
            self.sink.tick(now, &self.table);
            self.table.advance(now, &mut self.sink);
        }
        let gathers = matches!(step, Turn::More) && self.source.never_waits();
        if !gathers || !self.sink.gathers(self.gather) {
            self.sink.flush();
            self.handed_over = gathers;
        }
        step
    }

    /// Ends some flows with their true state: readers may have to be waited for before they get the
    /// next. Returns `true` if there are more.
    fn finish_some(&mut self) -> bool {
        self.sink.begin(None);
        let more = self.table.finish_some(ENDS_AT_ONCE, &mut self.sink);
        self.sink.flush();
        more
    }

    /// Ends every flow that goes on yet.
    fn finish(&mut self) {
        self.look_around();
        while self.finish_some() {}
        let counters = self.control.counters(self.member);
        counters.flows.set(0);
        counters.set_table(self.table.statistics());
    }

    /// Closes the source, then reports the end to the readers. After an error the other engines of
    /// the stream stop, too.
    ///
    /// In this order, because a program may leave `main` as soon as its stream has ended, which
    /// ends this thread wherever it is. A source that writes to a file when it is dropped would not
    /// get to it.
    fn end(self, error: Option<Error>) {
        let Self { source, table, sink, control, member, mut observer, running, .. } = self;
        // A source of the program's own may panic here. Its readers must have their end anyway.
        let closed = catch_unwind(AssertUnwindSafe(|| drop(source)));
        let error = error.or_else(|| closed.err().map(|_| Error::EnginePanicked));
        if error.is_some() {
            control.stop();
        }
        observer.end(control.member_statistics(member), error.as_ref());
        let mut sink = sink.into_inner();
        sink.end(error);
        drop((table, sink, running));
    }

    fn look_around(&mut self) {
        self.looked = Instant::now();
        let counters: &Counters = self.control.counters(self.member);
        counters.flows.set(self.table.len() as u64);
        counters.set_table(self.table.statistics());
        if let Ok(statistics) = self.source.statistics() {
            counters.set_source(statistics);
            if self.source.is_live() {
                // Packets in the ring are older than what is dropped while it is full: the time of
                // the packets so far does not do.
                let now = Timestamp::try_from(SystemTime::now()).unwrap_or_default();
                self.table.note_drops(statistics.drops.saturating_sub(self.drops), now);
                self.drops = statistics.drops;
            }
        }
        self.observer.look(self.control.member_statistics(self.member));
    }

    /// The time after a stop for which the source may still have packets from before.
    fn held_back(&self) -> Duration {
        self.source.held_back() + GRACE
    }

    /// The time to wait for packets: not past the next deadline of a flow.
    fn patience(&self) -> Duration {
        if self.stopped.is_some() {
            return DRAIN_WAIT;
        }
        let wait = match (self.table.next_deadline(), self.clock.now(true)) {
            (Some(deadline), Some(now)) => {
                deadline.saturating_duration_since(now).min(LONGEST_WAIT)
            }
            _ => LONGEST_WAIT,
        };
        // A millisecond keeps rounding between the two clocks from turning into a spin.
        wait.max(Duration::from_millis(1))
    }
}

impl Clock {
    fn saw(&mut self, timestamp: Option<Timestamp>) {
        if let Some(timestamp) = timestamp {
            self.last = Some((timestamp, Instant::now()));
        }
    }

    /// The time of the last packet; on a wire, with what has passed since.
    fn now(&self, live: bool) -> Option<Timestamp> {
        let (timestamp, seen) = self.last?;
        Some(if live { timestamp + seen.elapsed() } else { timestamp })
    }
}
