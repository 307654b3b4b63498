//! Conversations read by tasks of their own.

use std::future::{Future, poll_fn};
use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::Poll;

use flow::FlowSide;
use futures_core::Stream as _;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use crate::api::chunk::Chunk;
use crate::api::conversation::Conversation;
use crate::api::conversations::Conversations;
use crate::api::error::Error;
use crate::api::half::Half;

/// Receives what one side of one flow says, in order, at its own pace.
///
/// It is awaited for each chunk: bytes, gaps, the side's FIN and the end of the flow, which is its
/// last. While it takes its time, what follows waits under the conversation's limit; what is beyond
/// that is a gap of exact place and length on a wire, and makes a file wait.
///
/// A closure that returns a future is one, and so is the sender of a bounded channel, which stops
/// when its receiver is gone.
pub trait AsyncReassembler<K>: Send + 'static {
    /// Takes the next chunk; [`ControlFlow::Break`] if no more are wanted.
    fn chunk(&mut self, chunk: Chunk<K>) -> impl Future<Output = ControlFlow<()>> + Send;
}

impl<K, F, T> AsyncReassembler<K> for F
where
    K: Send,
    F: FnMut(Chunk<K>) -> T + Send + 'static,
    T: Future<Output = ControlFlow<()>> + Send,
{
    fn chunk(&mut self, chunk: Chunk<K>) -> impl Future<Output = ControlFlow<()>> + Send {
        self(chunk)
    }
}

impl<K: Send + 'static> AsyncReassembler<K> for mpsc::Sender<Chunk<K>> {
    async fn chunk(&mut self, chunk: Chunk<K>) -> ControlFlow<()> {
        match self.send(chunk).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

impl<K: Clone + Send + Sync + 'static> Conversations<K> {
    /// Gives each side of each conversation to a reassembler that `factory` makes, `None` for sides
    /// that nobody wants, and waits until the source has ended and all of them are done.
    ///
    /// Each reassembler runs in a task of its own on tokio's runtime, so a slow one holds up none
    /// of the others; a file waits for the slowest. What receives from several channels must
    /// therefore not insist on one of them: the file would wait for another. Dropping the future
    /// ends all tasks, and the engine.
    ///
    /// # Errors
    /// The error that ended the engine, when all reassemblers are done with what came before.
    ///
    /// # Panics
    /// Outside of a tokio runtime; and when a reassembler panics, with what it panicked with.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// use conversation::{Chunk, FlowStreamExt as _};
    /// use flow::{FiveTuple, FlowSide};
    /// use ring_core::{LinkType, MemorySource};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), conversation::Error> {
    /// MemorySource::new(LinkType::ETHERNET)
    ///     .flow_conversations(FiveTuple::bidirectional())
    ///     .reassemble(|conversation, side| {
    ///         let server = conversation.responder();
    ///         (side == FlowSide::Responder).then_some(move |chunk| async move {
    ///             if let Chunk::Responder(data) = chunk {
    ///                 println!("{server}: {} bytes", data.len());
    ///             }
    ///             ControlFlow::Continue(())
    ///         })
    ///     })
    ///     .await
    /// # }
    /// ```
    pub async fn reassemble<R, F>(mut self, mut factory: F) -> Result<(), Error>
    where
        R: AsyncReassembler<K>,
        F: FnMut(&Conversation<K>, FlowSide) -> Option<R>,
    {
        self.readers_are_independent();
        let mut tasks = JoinSet::new();
        let mut result = Ok(());
        loop {
            let next = poll_fn(|cx| {
                while let Poll::Ready(Some(done)) = tasks.poll_join_next(cx) {
                    check(done);
                }
                Pin::new(&mut self).poll_next(cx)
            });
            let conversation = match next.await {
                Some(Ok(conversation)) => conversation,
                Some(Err(error)) => {
                    result = Err(error);
                    break;
                }
                None => break,
            };
            let [first, second] =
                [FlowSide::Initiator, FlowSide::Responder].map(|side| factory(&conversation, side));
            let (initiator, responder) = conversation.split();
            for (reassembler, half) in [(first, initiator), (second, responder)] {
                if let Some(reassembler) = reassembler {
                    tasks.spawn(feed(half, reassembler));
                }
            }
        }
        while let Some(done) = tasks.join_next().await {
            check(done);
        }
        result
    }

    /// Sends each side of each conversation into a channel whose bounded sender `factory` makes,
    /// `None` for sides that nobody wants: [`reassemble`](Self::reassemble) with channels. A side
    /// ends when its sender is dropped, after [`Chunk::Closed`].
    ///
    /// # Errors
    /// The error that ended the engine.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn into_channels<F>(self, factory: F) -> Result<(), Error>
    where
        F: FnMut(&Conversation<K>, FlowSide) -> Option<mpsc::Sender<Chunk<K>>>,
    {
        self.reassemble(factory).await
    }
}

/// Hands a side's chunks to its reassembler.
async fn feed<K: Clone, R: AsyncReassembler<K>>(mut half: Half<K>, mut reassembler: R) {
    while let Some(chunk) = half.next_chunk().await {
        if reassembler.chunk(chunk).await.is_break() {
            break;
        }
    }
}

/// A reassembler's panic is the panic of the task that awaits it.
fn check(done: Result<(), JoinError>) {
    if let Err(error) = done
        && error.is_panic()
    {
        resume_unwind(error.into_panic());
    }
}
