//! A listener in this process, which reads the library's conversations one after another in one
//! task.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use conversation::{Chunk, Conversation, Conversations, FlowStreamExt as _, Handle};
use flow::{EndReason, Endpoint, FiveTuple, FlowSide};
use futures::StreamExt as _;
use live_harness::Result;
use netns::Namespace;
use ring_core::{AsyncCapture, IntoPacketSource};
use sha2::{Digest as _, Sha256};

use crate::{Direction, Heard, PATIENCE, Stream};

/// Listens on a link until [`finish`](Ear::finish).
#[derive(Debug)]
pub struct Ear {
    handle: Handle,
    heard: Arc<Mutex<Heard>>,
    thread: JoinHandle<Result>,
}

/// The result of starting a listener.
pub type Listening = std::result::Result<Handle, String>;

impl Ear {
    /// Starts to listen. When it returns, every further packet is captured.
    ///
    /// # Errors
    ///
    /// If the link cannot be captured.
    pub fn open(host: &Namespace, link: &str) -> Result<Self> {
        let link = link.to_owned();
        Self::at(host, move || {
            AsyncCapture::open(&link).map_err(|error| format!("cannot capture on {link}: {error}"))
        })
    }

    /// Listens with the source that `open` opens on the host.
    ///
    /// # Errors
    ///
    /// If `open` fails.
    pub fn at<S: IntoPacketSource>(
        host: &Namespace,
        open: impl FnOnce() -> std::result::Result<S, String> + Send + 'static,
    ) -> Result<Self> {
        Self::of(host, move || Ok(open()?.flow_conversations(FiveTuple::bidirectional())))
    }

    /// Listens to the conversations that `begin` starts on the host.
    ///
    /// # Errors
    ///
    /// If `begin` fails.
    pub fn of(
        host: &Namespace,
        begin: impl FnOnce() -> std::result::Result<Conversations, String> + Send + 'static,
    ) -> Result<Self> {
        let (started, ready) = mpsc::channel();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let shared = Arc::clone(&heard);
        // Threads that start here stay on the host, and so does a capture that they open.
        let guard = host.enter()?;
        let thread = thread::Builder::new().name("ear".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(listen(begin, &started, &shared))
        })?;
        drop(guard);
        match ready.recv() {
            Ok(Ok(handle)) => Ok(Self { handle, heard, thread }),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => match thread.join() {
                Ok(Err(error)) => Err(error),
                _ => Err("the listener did not start".into()),
            },
        }
    }

    /// The handle for the engines' progress.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until `conversations` have ended, then stops and returns everything that was captured.
    /// Conversations that are still open then end with the capture.
    ///
    /// # Errors
    ///
    /// If the capture failed.
    pub fn finish(self, conversations: usize) -> Result<Heard> {
        let started = Instant::now();
        let ended = || self.heard.lock().unwrap_or_else(PoisonError::into_inner).ends.len();
        while ended() < conversations && !self.thread.is_finished() && started.elapsed() < PATIENCE
        {
            thread::sleep(Duration::from_millis(5));
        }
        self.handle.shutdown();
        self.thread.join().unwrap_or_else(|_| Err("the listener panicked".into()))?;
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let statistics = self.handle.statistics();
        heard.drops = statistics.source.drops + statistics.dropped_bytes;
        Ok(heard)
    }
}

async fn listen(
    begin: impl FnOnce() -> std::result::Result<Conversations, String>,
    started: &Sender<Listening>,
    heard: &Mutex<Heard>,
) -> Result {
    let mut conversations = match begin() {
        Ok(conversations) => conversations,
        Err(error) => {
            let _ = started.send(Err(error));
            return Ok(());
        }
    };
    // The receiver is gone only if the test is.
    let _ = started.send(Ok(conversations.handle()));
    while let Some(conversation) = conversations.next().await {
        let (directions, end) = hear(conversation?).await;
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.directions.extend(directions);
        heard.ends.extend(end);
    }
    Ok(())
}

/// Reads a conversation to its end.
async fn hear(mut conversation: Conversation) -> (Vec<Direction>, Option<(SocketAddr, EndReason)>) {
    let [initiator, responder] = [conversation.initiator(), conversation.responder()].map(address);
    let mut said = [(); 2].map(|()| (0, Sha256::new(), Vec::new()));
    let mut end = None;
    while let Some(chunk) = conversation.next_chunk().await {
        let (side, data) = match chunk {
            Chunk::Initiator(data) => (0, data),
            Chunk::Responder(data) => (1, data),
            Chunk::Gap { side, offset, len, .. } => {
                said[usize::from(side == FlowSide::Responder)].2.push((offset, len));
                continue;
            }
            Chunk::Closed { reason, .. } => {
                end = Some((initiator, reason));
                continue;
            }
            _ => continue,
        };
        said[side].0 += data.len() as u64;
        said[side].1.update(&data);
    }
    let directions = [(initiator, responder), (responder, initiator)]
        .into_iter()
        .zip(said)
        .filter(|(_, (length, _, gaps))| *length > 0 || !gaps.is_empty())
        .map(|((from, to), (length, hash, gaps))| {
            let stream = Stream { length, sha256: hash.finalize().into(), gaps };
            Direction { from, to, stream }
        })
        .collect();
    (directions, end)
}

fn address(endpoint: Endpoint) -> SocketAddr {
    SocketAddr::new(endpoint.address, endpoint.port)
}
