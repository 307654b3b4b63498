//! From a source through the flow table to a sink, on a thread of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flow::{FlowExtractor, FlowHandler, FlowTable, Timestamp};
use ring_core::{Interrupter, Next, PacketBatch, PacketSource, Timeout};

use crate::convert;
use crate::counters::{Counters, Statistics};
use crate::error::Error;
use crate::gate::Gate;

/// The longest that an engine waits without looking at its clock.
const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// How long an engine that was told to stop goes on taking what the ring already holds.
const DRAIN: Duration = Duration::from_secs(1);

/// Where an engine's events go.
pub(crate) trait Sink<K>: FlowHandler<K> + Send + 'static {
    /// Whether the memory of a batch is worth keeping.
    fn wants_retained(&self) -> bool;
    /// A batch begins.
    fn begin(&mut self, retained: Option<Bytes>);
    /// A batch ended.
    fn flush(&mut self);
    /// Nobody listens any more.
    fn is_abandoned(&self) -> bool;
    /// There will be no more.
    fn end(&mut self, error: Option<Error>);
}

/// Ends an engine and tells what it did; cheap to clone, and may outlive the engine.
#[derive(Clone, Debug)]
pub struct Handle {
    control: Arc<Control>,
}

#[derive(Debug)]
pub(crate) struct Control {
    stop: AtomicBool,
    interrupter: Option<Interrupter>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) counters: Arc<Counters>,
}

impl Handle {
    pub(crate) fn new(control: Arc<Control>) -> Self {
        Self { control }
    }

    /// Stops the engine: it takes what the source already holds, then ends every conversation with its true state.
    /// The stream of conversations ends after the last one.
    pub fn shutdown(&self) {
        self.control.stop.store(true, Ordering::Release);
        self.control.gate.open();
        self.control.interrupt();
    }

    /// What the engine did so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.control.counters.snapshot(self.control.gate.queued())
    }
}

impl Control {
    pub(crate) fn new(interrupter: Option<Interrupter>, gate: Arc<Gate>) -> Arc<Self> {
        let counters = Arc::new(Counters::default());
        Arc::new(Self { stop: AtomicBool::new(false), interrupter, gate, counters })
    }

    /// Makes the engine look around.
    pub(crate) fn interrupt(&self) {
        if let Some(interrupter) = &self.interrupter {
            interrupter.interrupt();
        }
    }
}

/// Starts the engine's thread. Its end, good or bad, is told to the sink.
pub(crate) fn spawn<S, E, H>(
    source: S,
    table: FlowTable<E>,
    sink: H,
    control: Arc<Control>,
) -> Result<(), Error>
where
    S: PacketSource + Send + 'static,
    E: FlowExtractor + Send + 'static,
    H: Sink<E::Key>,
{
    let engine =
        Engine { source, table, sink, control, clock: Clock::default(), looked: Instant::now() };
    let run = move || {
        let mut engine = engine;
        let result = catch_unwind(AssertUnwindSafe(|| engine.run()));
        let error = result.unwrap_or(Some(Error::EnginePanicked));
        // A sink that still has flows here lost its engine to a panic, and says so when it is dropped.
        engine.sink.end(error);
    };
    thread::Builder::new().name("ringtap-engine".to_owned()).spawn(run).map_err(Error::Spawn)?;
    Ok(())
}

struct Engine<S, E: FlowExtractor, H> {
    source: S,
    table: FlowTable<E>,
    sink: H,
    control: Arc<Control>,
    clock: Clock,
    looked: Instant,
}

/// The time of the packets, going on between them.
#[derive(Default)]
struct Clock {
    last: Option<(Timestamp, Instant)>,
}

/// What a step of an engine came to.
enum Step {
    More,
    Idle,
    End,
}

impl<S, E, H> Engine<S, E, H>
where
    S: PacketSource,
    E: FlowExtractor,
    H: Sink<E::Key>,
{
    fn run(&mut self) -> Option<Error> {
        let error = loop {
            match self.step(self.patience()) {
                Ok(Step::More) => {}
                Ok(Step::Idle) if self.sink.is_abandoned() => break None,
                Ok(Step::Idle) => {}
                Ok(Step::End) => break None,
                Err(error) => break Some(error),
            }
            if self.control.stop.load(Ordering::Acquire) {
                break self.drain();
            }
        };
        self.look_at_source();
        self.sink.begin(None);
        self.table.finish(&mut self.sink);
        self.sink.flush();
        error
    }

    /// Takes what is there already, for a bounded time.
    fn drain(&mut self) -> Option<Error> {
        let until = Instant::now() + DRAIN;
        while Instant::now() < until {
            match self.step(Timeout::Now) {
                Ok(Step::More) => {}
                Ok(Step::Idle | Step::End) => break,
                Err(error) => return Some(error),
            }
        }
        None
    }

    fn step(&mut self, timeout: Timeout) -> Result<Step, Error> {
        let live = self.source.is_live();
        let step = match self.source.next_batch(timeout)? {
            Next::Batch(batch) => {
                let retained = if self.sink.wants_retained() { batch.retain() } else { None };
                self.sink.begin(retained);
                let (mut last, mut count) = (None, 0);
                let packets = batch.packets().map(|packet| {
                    let packet = convert::packet(&packet);
                    last = Some(packet.timestamp);
                    count += 1;
                    packet
                });
                self.table.process(packets, &mut self.sink);
                self.control.counters.packets.add(count);
                self.clock.saw(last);
                Step::More
            }
            Next::End => return Ok(Step::End),
            _ => Step::Idle,
        };
        if let Some(now) = self.clock.now(live) {
            self.table.advance(now, &mut self.sink);
        }
        self.sink.flush();
        if live && self.looked.elapsed() >= LONGEST_WAIT {
            self.look_at_source();
        }
        Ok(step)
    }

    fn look_at_source(&mut self) {
        self.looked = Instant::now();
        self.control.counters.flows.set(self.table.len() as u64);
        if let Ok(statistics) = self.source.statistics() {
            self.control.counters.set_source(statistics);
        }
    }

    /// How long to wait for packets: not past the next deadline of a flow.
    fn patience(&self) -> Timeout {
        let wait = match (self.table.next_deadline(), self.clock.now(true)) {
            (Some(deadline), Some(now)) => {
                deadline.saturating_duration_since(now).min(LONGEST_WAIT)
            }
            _ => LONGEST_WAIT,
        };
        // A millisecond keeps rounding between the two clocks from turning into a spin.
        Timeout::After(wait.max(Duration::from_millis(1)))
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
