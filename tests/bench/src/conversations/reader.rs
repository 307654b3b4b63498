//! Ours, in a process of its own: a capture file's conversations, each byte hashed by the task of its conversation.
//! On one core the engine is a task among them, on two a thread beside them.

use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::{Duration, Instant};

use conversation::{Chunk, Conversation, FlowStreamExt as _};
use flow::FiveTuple;
use futures_core::Stream as _;
use nix::time::{ClockId, clock_gettime};
use ring_core::CaptureFile;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::{Outcome, StreamHash};
use crate::memory;

/// Reads the file that the command line names behind this role; `None` if it names another role, or a group.
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
    let mut outcome = Outcome::default();
    let mut tasks = JoinSet::new();
    while let Some(conversation) = poll_fn(|cx| Pin::new(&mut conversations).poll_next(cx)).await {
        tasks.spawn(hash_one(conversation?));
        while let Some(done) = tasks.try_join_next() {
            outcome.add(done?);
        }
    }
    while let Some(done) = tasks.join_next().await {
        outcome.add(done?);
    }
    outcome.packets = handle.statistics().packets;
    Ok(outcome)
}

/// Bytes and hash of both directions.
async fn hash_one(mut conversation: Conversation) -> (u64, u64) {
    let mut bytes = 0;
    let mut hashes = [StreamHash::new(), StreamHash::new()];
    while let Some(chunk) = conversation.next_chunk().await {
        let (side, data) = match &chunk {
            Chunk::Initiator(data) => (0, data),
            Chunk::Responder(data) => (1, data),
            _ => continue,
        };
        bytes += data.len() as u64;
        hashes[side].update(data);
    }
    let [one, other] = hashes.map(StreamHash::finish);
    (bytes, one.wrapping_add(other))
}

impl Outcome {
    fn add(&mut self, (bytes, hash): (u64, u64)) {
        self.conversations += 1;
        self.bytes += bytes;
        self.hash = self.hash.wrapping_add(hash);
    }
}
