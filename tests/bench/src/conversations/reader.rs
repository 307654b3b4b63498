//! Our conversations in a separate process: it reads a capture file and hashes each byte in the
//! task of its conversation. Like the peers, it spawns a task for each conversation, which adds to
//! common counters. On one core the engine is one of the tasks, on two it is a separate thread.

use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use capture_file::CaptureFile;
use conversation::{Chunk, FlowStreamExt as _};
use flow::FiveTuple;
use futures_core::Stream as _;
use nix::time::{ClockId, clock_gettime};
use tokio::runtime::Builder;
use tokio::sync::mpsc;

use super::{Outcome, StreamHash};
use crate::memory;

/// Reads the file in the command line if this role is selected. `None` for another role or a group.
pub(crate) fn play() -> Option<Result<(), Box<dyn Error>>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [role, file, way] if role == super::ROLE => Some(read(file, way)),
        _ => None,
    }
}

fn read(file: &str, way: &str) -> Result<(), Box<dyn Error>> {
    // The peers' allocators do not count either.
    memory::stop_counting();
    let start = Instant::now();
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let outcome = runtime.block_on(hash(file, way == super::ONE_CORE))?;
    let cpu = Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?).as_secs_f64();
    let outcome = Outcome { seconds: start.elapsed().as_secs_f64(), cpu, ..outcome };
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

async fn hash(file: &str, one_core: bool) -> Result<Outcome, Box<dyn Error>> {
    let flows = CaptureFile::open(file)?.flow_stream(FiveTuple::bidirectional());
    let mut conversations = if one_core {
        let (conversations, driver) = flows.into_driven_conversations();
        tokio::spawn(driver);
        conversations
    } else {
        flows.into_conversations()
    };
    let handle = conversations.handle();
    let progress = Arc::new(Progress::default());
    // The channel closes when the last task has dropped its sender.
    let (done, mut all_done) = mpsc::channel::<()>(1);
    let mut count = 0;
    while let Some(conversation) = poll_fn(|cx| Pin::new(&mut conversations).poll_next(cx)).await {
        count += 1;
        let (progress, done) = (Arc::clone(&progress), done.clone());
        let mut conversation = conversation?;
        tokio::spawn(async move {
            let mut hashes = [StreamHash::new(), StreamHash::new()];
            while let Some(chunk) = conversation.next_chunk().await {
                match chunk {
                    Chunk::Initiator(data) => progress.take(&mut hashes[0], &data),
                    Chunk::Responder(data) => progress.take(&mut hashes[1], &data),
                    _ => {}
                }
            }
            for hash in hashes {
                progress.hash.fetch_add(hash.finish(), Relaxed);
            }
            drop(done);
        });
    }
    drop(done);
    all_done.recv().await;
    Ok(Outcome {
        packets: handle.statistics().packets,
        conversations: count,
        bytes: progress.bytes.load(Relaxed),
        hash: progress.hash.load(Relaxed),
        ..Outcome::default()
    })
}

/// The progress of all tasks.
#[derive(Debug, Default)]
struct Progress {
    bytes: AtomicU64,
    hash: AtomicU64,
}

impl Progress {
    fn take(&self, hash: &mut StreamHash, data: &[u8]) {
        hash.update(data);
        self.bytes.fetch_add(data.len() as u64, Relaxed);
    }
}
