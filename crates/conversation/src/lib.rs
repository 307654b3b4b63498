//! Every network flow as an asynchronous stream of bytes.
//!
//! A [`ring_core::PacketSource`] (a ring, a capture file, memory) becomes a [`FlowStreamBuilder`],
//! and that a stream of [`Conversations`]. Each [`Conversation`] gives the [`Chunk`]s of both sides
//! in order, or is [split](Conversation::split) into two [halves](Half) that are `AsyncRead`.
//! Programs that need no bytes read the beginnings and ends of flows from a [`FlowStream`].
//!
//! ```
//! use conversation::{Chunk, FlowStreamExt as _};
//! use flow::FiveTuple;
//! use futures::StreamExt as _;
//! use ring_core::{LinkType, MemorySource, Timestamp};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), conversation::Error> {
//! let mut source = MemorySource::new(LinkType::IPV4);
//! let segment = [
//!     0x45, 0, 0, 42, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, // IPv4
//!     0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0, // TCP
//!     b'h', b'i',
//! ];
//! source.push(Timestamp::from_nanos(0), &segment);
//!
//! let mut conversations = source.flow_conversations(FiveTuple::bidirectional());
//! let mut conversation = conversations.next().await.expect("one conversation")?;
//! assert_eq!(conversation.initiator().to_string(), "192.0.2.1:40000");
//! let Some(Chunk::Initiator(data)) = conversation.next_chunk().await else { panic!("no data") };
//! assert_eq!(&data[..], b"hi");
//! # Ok(())
//! # }
//! ```
//!
//! # How it runs
//!
//! [`FlowStreamBuilder::into_conversations`] takes the source out of the reactor and gives it to an
//! engine on a thread of its own: source → flow table → queues. Streams and conversations are
//! readers of bounded queues, woken once a batch. A [`Handle`] stops the engine and returns its
//! [`Statistics`]. Several sources get an engine each and are one stream ([`FlowGroupExt`]). A
//! program that cannot have threads polls a [`Driver`]. A stream ends when its sources are closed;
//! [`Conversations::drain`] gets there early.
//!
//! # What happens to slow readers
//!
//! A live source must not be made to wait: bytes that do not fit into a conversation's queue become
//! a [gap](Chunk::Gap) of exact place and length, and all other conversations go on ([`Overflow`]).
//!
//! A file waits for its readers. It does not wait while any reader is waiting for the engine
//! itself, since that reader may be the task that would take what is queued. Then queues grow past
//! their limits, at most by what the file holds. Two patterns keep memory within
//! [bounds](FlowStreamBuilder::memory):
//!
//! - One task reads all conversations with
//!   [`into_chunk_stream`](FlowStreamBuilder::into_chunk_stream).
//! - A task reads each conversation, and
//!   [`independent_readers`](FlowStreamBuilder::independent_readers) says so, or
//!   [`reassemble`](Conversations::reassemble) starts them.
//!
//! A reader that polled a conversation, a half or [`Conversations`] as a `Stream`, or a half as an
//! `AsyncRead`, and lost interest counts as waiting until something comes or it is dropped. A
//! dropped future of [`next_chunk`](Conversation::next_chunk) does not.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/choosing-conversations.md")]
struct Choosing;

mod api;
mod coop;
mod engine;
mod events;
#[cfg(any(feature = "flowscope", feature = "protocol"))]
mod messages;
mod queue;
pub mod select;
mod sync;

pub use api::builder::FlowStreamBuilder;
pub use api::chunk::{Chunk, ChunkData, Conflict};
pub use api::chunk_stream::{ChunkEvent, ChunkStream};
pub use api::conversation::{Conversation, Info};
pub use api::conversations::Conversations;
pub use api::error::{Error, GapError, OverrunError};
pub use api::half::Half;
pub use api::handle::Handle;
#[cfg(not(loom))]
pub use api::reassembly::AsyncReassembler;
pub use api::settings::{OnLimit, Overflow, Retention};
pub use api::sources::{FlowGroupExt, FlowStreamExt, IntoPacketSources};
pub use api::statistics::{GapTotals, Gaps, Statistics};
#[cfg(not(loom))]
pub use engine::driver::Driver;
pub use events::broadcast::{Broadcast, Subscription};
pub use events::flow_event::FlowEvent;
pub use events::flow_number::FlowNumber;
pub use events::flow_stream::FlowStream;
pub use events::state::StatefulFlowStream;
pub use flow::{Gap, GapCause};
#[cfg(feature = "protocol")]
pub use messages::{BodyPart, ConversationMessages, Messages};
#[cfg(feature = "flowscope")]
pub use messages::{DatagramStream, SessionStream};
#[cfg(any(feature = "flowscope", feature = "protocol"))]
pub use messages::{MessageEvent, MessageStream};
pub use queue::SideTotals;
