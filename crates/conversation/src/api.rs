//! The public interface: sources become conversations, and conversations give chunks.

pub(crate) mod builder;
pub(crate) mod chunk;
pub(crate) mod chunk_stream;
pub(crate) mod conversation;
pub(crate) mod conversations;
pub(crate) mod error;
pub(crate) mod half;
pub(crate) mod handle;
#[cfg(not(loom))]
pub(crate) mod reassembly;
pub(crate) mod settings;
pub(crate) mod sources;
pub(crate) mod statistics;
