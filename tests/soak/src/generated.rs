//! Churn of connections from memory.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use conversation::FlowStreamExt as _;
use flow::FiveTuple;

use crate::Result;
use crate::churn::{Churn, ROUND};
use crate::report::{Report, Sample};
use crate::tally::{Reader, Tally};

const PHASE: &str = "generated";
/// The time that readers have to reach the end of a round.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(connections: u64, duration: Duration, report: &mut Report) -> Result {
    let started = Instant::now();
    // The first run is for one-time allocations of the standard library and the runtime.
    churn(2 * ROUND, Duration::ZERO, &Arc::default())?;
    let before = Sample::settled(PHASE, 0, started.elapsed());
    let tally = Arc::new(Tally::default());
    let (samples, bytes, seen) = churn(connections, duration, &tally)?;
    report.flat(PHASE, &samples);
    drop(samples);
    let after = Sample::settled(PHASE, seen, started.elapsed());
    report.returned(PHASE, before, after);
    let heard = tally.bytes.load(Relaxed);
    report.judge(heard == bytes, format!("{PHASE}: {heard} of {bytes} bytes heard"));
    let closed = tally.closed.load(Relaxed);
    report.judge(closed == 2 * seen, format!("{PHASE}: {closed} of {} sides closed", 2 * seen));
    Ok(())
}

/// Returns the samples between rounds, the number of bytes sent, and the number of connections.
fn churn(
    connections: u64,
    duration: Duration,
    tally: &Arc<Tally>,
) -> Result<(Vec<Sample>, u64, u64)> {
    let started = Instant::now();
    let samples = Arc::new(Mutex::new(Vec::new()));
    let (heard, taken) = (Arc::clone(tally), Arc::clone(&samples));
    let between = move |connections: u64| {
        let asked = Instant::now();
        while heard.closed.load(Relaxed) < 2 * connections && asked.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(1));
        }
        let sample = Sample::settled(PHASE, connections, started.elapsed());
        taken.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
    };
    // Reserve memory for the samples, or they would be the growth that is measured.
    samples.lock().unwrap_or_else(PoisonError::into_inner).reserve(10_000);
    let source = Churn::new(connections, duration, between);
    let round_bytes = source.round_bytes();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    let conversations = source
        .flow_stream(FiveTuple::bidirectional())
        .conversation_limit(1 << 20)
        .total_limit(16 << 20)
        .into_conversations();
    runtime.block_on(conversations.reassemble(|_, _| Some(Reader(Arc::clone(tally)))))?;
    drop(runtime);
    let samples = std::mem::take(&mut *samples.lock().unwrap_or_else(PoisonError::into_inner));
    let rounds = samples.len() as u64;
    Ok((samples, rounds * round_bytes, rounds * ROUND))
}
