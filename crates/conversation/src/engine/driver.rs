//! An engine that is a task of the runtime, for those who cannot have threads.

use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use flow::FlowExtractor;
use ring_core::{PacketSource, Reactor, Timeout};

use super::{Engine, Sink, Turn};
use crate::api::error::Error;
use crate::engine::control::Control;

/// Batches that an engine takes before it lets other tasks run, unless it hands over earlier what
/// it gathered.
const TURNS: usize = 4;
/// The interval between looks at a wire that has no descriptor to wait on.
const POLL: Duration = Duration::from_millis(10);

/// The engines of a stream as a future, to be spawned or joined: everything that a thread would do.
///
/// Conversations, limits and ends are the same as with threads. The difference is whose fault a
/// slow moment is: while the runtime is busy with something else nobody empties the ring, and where
/// that lasts the kernel drops packets.
///
/// It is done when the sources have ended or were shut down. Dropping it ends the capture:
/// conversations that go on end as [`CaptureEnded`](flow::EndReason::CaptureEnded).
///
/// # Panics
/// Awaited outside a tokio runtime with time enabled, and for a source that waits for packets also
/// with I/O.
#[must_use = "nothing is captured unless it is awaited or spawned"]
pub struct Driver {
    engines: Vec<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Driver {
    pub(crate) fn new() -> Self {
        Self { engines: Vec::new() }
    }

    pub(crate) fn add<S, E, H>(&mut self, engine: Engine<S, E, H>)
    where
        S: PacketSource + Send + 'static,
        E: FlowExtractor + Send + 'static,
        H: Sink<E::Key>,
    {
        self.engines.push(Box::pin(run(Running { engine: Some(engine) })));
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.engines.retain_mut(|engine| engine.as_mut().poll(cx).is_pending());
        if self.engines.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("engines", &self.engines.len()).finish()
    }
}

/// An engine that reports its end, even if it is dropped midway.
struct Running<S, E, H>
where
    S: PacketSource,
    E: FlowExtractor,
    H: Sink<E::Key>,
{
    /// `None` once it has ended.
    engine: Option<Engine<S, E, H>>,
}

impl<S, E, H> Running<S, E, H>
where
    S: PacketSource,
    E: FlowExtractor,
    H: Sink<E::Key>,
{
    fn end(&mut self, error: Option<Error>) {
        if let Some(mut engine) = self.engine.take() {
            if !thread::panicking() {
                engine.finish();
            }
            engine.end(error);
        }
    }
}

impl<S, E, H> Drop for Running<S, E, H>
where
    S: PacketSource,
    E: FlowExtractor,
    H: Sink<E::Key>,
{
    fn drop(&mut self) {
        self.end(thread::panicking().then_some(Error::EnginePanicked));
    }
}

async fn run<S, E, H>(mut running: Running<S, E, H>)
where
    S: PacketSource,
    E: FlowExtractor,
    H: Sink<E::Key>,
{
    let Some(engine) = &mut running.engine else { return };
    let error = turns(engine).await;
    while engine.finish_some() {
        let Engine { sink, control, .. } = &mut *engine;
        poll_fn(|cx| control.gate().poll_while(cx, || sink.is_crowded())).await;
        tokio::task::yield_now().await;
    }
    running.end(error);
}

async fn turns<S, E, H>(engine: &mut Engine<S, E, H>) -> Option<Error>
where
    S: PacketSource,
    E: FlowExtractor,
    H: Sink<E::Key>,
{
    let reactor = match engine.source.readiness().map(Reactor::watch).transpose() {
        Ok(reactor) => reactor,
        Err(error) => return Some(Error::of_source(error)),
    };
    let mut turns = 0;
    loop {
        match engine.turn(Timeout::Now) {
            Turn::More => turns += 1,
            Turn::Idle => {
                let patience = engine.patience();
                if let Err(error) =
                    idle(&engine.control, engine.member, patience, reactor.as_ref()).await
                {
                    return Some(error);
                }
                turns = 0;
            }
            Turn::End(error) => return error,
        }
        let Engine { sink, control, .. } = engine;
        poll_fn(|cx| control.gate().poll_while(cx, || sink.is_crowded())).await;
        if mem::take(&mut engine.handed_over) || turns >= TURNS {
            tokio::task::yield_now().await;
            turns = 0;
        }
    }
}

/// Waits for packets, for the next deadline of a flow, or for a nudge.
async fn idle(
    control: &Control,
    member: usize,
    patience: Duration,
    reactor: Option<&Reactor>,
) -> Result<(), Error> {
    let patience = if reactor.is_some() { patience } else { patience.min(POLL) };
    let mut sleep = pin!(tokio::time::sleep(patience));
    poll_fn(|cx| {
        if control.was_nudged(member, cx.waker()) {
            return Poll::Ready(Ok(()));
        }
        if let Some(reactor) = reactor
            && let Poll::Ready(ready) = reactor.poll_ready(cx)
        {
            return Poll::Ready(ready.map_err(Error::of_source));
        }
        sleep.as_mut().poll(cx).map(Ok)
    })
    .await
}
