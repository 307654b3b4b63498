//! Every network flow as an asynchronous stream of bytes.
#![doc = ""]
#![forbid(unsafe_code)]

mod chunk;
mod conversation;
mod conversations;
mod convert;
mod counters;
mod engine;
mod error;
mod flow_event;
mod flow_stream;
mod gate;
mod half;
mod inbox;
mod queue;
mod settings;
mod sink;

pub use chunk::{Chunk, ChunkData, GapCause};
pub use conversation::{Conversation, Info};
pub use conversations::Conversations;
pub use counters::Statistics;
pub use engine::Handle;
pub use error::{Error, GapError};
pub use flow_event::FlowEvent;
pub use flow_stream::{FlowStream, FlowStreamExt};
pub use half::Half;
pub use queue::SideTotals;
pub use settings::{Overflow, Retention};
