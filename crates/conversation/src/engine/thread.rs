//! An engine that is a thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use flow::FlowExtractor;
use ring_core::{PacketSource, Timeout};

use super::{Engine, Sink, Turn};
use crate::api::error::Error;

/// The bytes that it gathers at most: the more, the less often it and the readers take turns on a
/// processor, if they have only one; beyond this, what is gathered leaves more of the caches than
/// that saves.
const GATHER: usize = 1 << 20;

/// Starts the thread. The engine's end, good or bad, is reported to its sink.
pub(crate) fn spawn<S, E, H>(mut engine: Engine<S, E, H>)
where
    S: PacketSource + Send + 'static,
    E: FlowExtractor + Send + 'static,
    H: Sink<E::Key>,
{
    engine.gather = GATHER;
    // `spawn` drops the closure if there can be no thread, and the engine's end must be reported
    // even then. So the closure does not own it.
    let shared = Arc::new(Mutex::new(Some(engine)));
    let threads = Arc::clone(&shared);
    let run = move || {
        let Some(mut engine) = take(&threads) else { return };
        let result = catch_unwind(AssertUnwindSafe(|| run(&mut engine)));
        engine.end(result.unwrap_or(Some(Error::EnginePanicked)));
    };
    if let Err(error) = thread::Builder::new().name("ringtap-engine".to_owned()).spawn(run)
        && let Some(engine) = take(&shared)
    {
        engine.end(Some(Error::Spawn(error)));
    }
}

fn take<T>(shared: &Mutex<Option<T>>) -> Option<T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn run<S, E, H>(engine: &mut Engine<S, E, H>) -> Option<Error>
where
    S: PacketSource,
    E: FlowExtractor,
    H: Sink<E::Key>,
{
    let error = loop {
        match engine.turn(Timeout::After(engine.patience())) {
            Turn::More | Turn::Idle => {}
            Turn::End(error) => break error,
        }
        let Engine { sink, control, .. } = engine;
        control.gate().wait_while(|| sink.is_crowded());
    };
    while engine.finish_some() {
        let Engine { sink, control, .. } = &mut *engine;
        control.gate().wait_while(|| sink.is_crowded());
    }
    engine.finish();
    error
}
