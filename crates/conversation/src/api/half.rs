//! One direction of a conversation.

#[cfg(not(loom))]
mod read;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use flow::{FiveTupleKey, FlowSide, Timestamp};
use futures_core::Stream;

use crate::api::chunk::{Chunk, ChunkData};

use crate::api::error::{Error, GapError};
use crate::coop;
use crate::queue::{Queue, Wait};

/// The bytes of one side of a conversation: a [`Stream`] of chunks, and an `AsyncRead`.
///
/// As `AsyncRead` it ends at the side's FIN or at the end of the flow. At a gap each read is an
/// error that holds a [`GapError`], until [`skip_gap`](Self::skip_gap) moves on behind the gap. So
/// a decoder with a buffer of its own, which retries after an error as some do, never joins the
/// bytes before a gap to those behind it.
///
/// # Examples
///
/// Decoding the bytes between gaps with a fresh buffer each time. Any decoder over an `AsyncRead`
/// will do, such as `FramedRead` of tokio-util. The half is lent to it, so that the half is there
/// to go on with when the decoder has ended and taken the unfinished line in its buffer with it:
///
/// ```
/// # use conversation::FlowStreamExt as _;
/// # use flow::FiveTuple;
/// # use futures::StreamExt as _;
/// # use ring_core::{LinkType, MemorySource, Timestamp};
/// use tokio::io::{AsyncBufReadExt as _, BufReader};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mut source = MemorySource::new(LinkType::IPV4);
/// # for (sequence, text) in [(1_u32, "one\ntw"), (12, "ree\nfour\n")] {
/// #     let mut packet = vec![0x45, 0, 0, 40 + text.len() as u8, 0, 0, 0, 0, 64, 6, 0, 0];
/// #     packet.extend([192, 0, 2, 1, 192, 0, 2, 2, 0x9c, 0x40, 0, 80]);
/// #     packet.extend(sequence.to_be_bytes());
/// #     packet.extend([0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
/// #     packet.extend(text.as_bytes());
/// #     source.push(Timestamp::from_nanos(0), &packet);
/// # }
/// # let mut conversations = source.flow_conversations(FiveTuple::bidirectional());
/// # let conversation = conversations.next().await.expect("one conversation")?;
/// # let mut all = Vec::new();
/// let (mut half, _) = conversation.split();
/// loop {
///     let mut lines = BufReader::new(&mut half).lines();
///     while let Ok(Some(line)) = lines.next_line().await {
///         println!("{line}");
///         # all.push(line);
///     }
///     // A gap, the end, or an error.
///     let Some(gap) = half.skip_gap() else { break };
///     println!("{} bytes missing, and with them the line that they lie in", gap.len);
/// }
/// # assert_eq!(all, ["one", "ree", "four"]);
/// # Ok(())
/// # }
/// ```
///
/// The first line behind a gap (`ree` of what may have been `three`) most likely lacks its
/// beginning: a decoder of messages has to find the next place where one can begin.
#[derive(Debug)]
pub struct Half<K: Clone = FiveTupleKey> {
    queue: Arc<Queue<K>>,
    side: FlowSide,
    /// The rest of a chunk that a read took a part of.
    rest: Option<ChunkData>,
    /// Of the first byte that the last read gave: position, time stamp, and number of the packet.
    read: Option<(u64, Timestamp, u64)>,
    /// The gap that reads as `AsyncRead` stand at.
    gap: Option<GapError>,
    ended: bool,
}

impl<K: Clone> Half<K> {
    pub(crate) fn new(queue: Arc<Queue<K>>, side: FlowSide) -> Self {
        Self { queue, side, rest: None, read: None, gap: None, ended: false }
    }

    /// The side whose bytes these are.
    #[must_use]
    pub fn side(&self) -> FlowSide {
        self.side
    }

    /// Position in the side's stream of the first byte that the last read as `AsyncRead` gave, gaps
    /// counted; `None` before one gave any.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        self.read.map(|(offset, ..)| offset)
    }

    /// Time stamp of the packet that brought the bytes that the last read as `AsyncRead` gave, or
    /// the first of them; `None` before one gave any. A reader with a buffer of its own may have
    /// read ahead of what it hands out.
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.read.map(|(_, timestamp, _)| timestamp)
    }

    /// Number of that packet, counted from 1 in its source.
    #[must_use]
    pub fn packet_number(&self) -> Option<u64> {
        self.read.map(|(.., number)| number)
    }

    /// Moves on behind the gap that the last read as `AsyncRead` reported, and returns it. `None`
    /// if reads do not stand at a gap: nothing was read yet, the side has ended, or the next bytes
    /// follow those that were read.
    pub fn skip_gap(&mut self) -> Option<GapError> {
        self.gap.take()
    }

    /// The next chunk of this side; `None` after [`Chunk::Closed`]. A gap that a read as
    /// `AsyncRead` has reported already is not reported once more.
    ///
    /// Cancel-safe: a future that is dropped before it is ready has taken nothing.
    pub async fn next_chunk(&mut self) -> Option<Chunk<K>> {
        self.gap = None;
        if let Some(rest) = self.take_rest() {
            return Some(rest);
        }
        Wait::one(&self.queue, self.side).await
    }

    fn take_rest(&mut self) -> Option<Chunk<K>> {
        let rest = self.rest.take()?;
        Some(match self.side {
            FlowSide::Initiator => Chunk::Initiator(rest),
            FlowSide::Responder => Chunk::Responder(rest),
        })
    }
}

// Nothing in it is ever pinned.
impl<K: Clone> Unpin for Half<K> {}

impl<K: Clone> Stream for Half<K> {
    type Item = Result<Chunk<K>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.gap = None;
        match self.take_rest() {
            Some(rest) => Poll::Ready(Some(Ok(rest))),
            None => coop::poll(cx, |cx| self.queue.poll_side(self.side, cx)),
        }
    }
}

impl<K: Clone> Drop for Half<K> {
    fn drop(&mut self) {
        self.queue.abandon(self.side);
    }
}
