//! How conversations are kept.

/// Where a chunk's bytes live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retention {
    /// Large segments of a file stay in the buffer that they were read into; small ones are copied and joined, and so
    /// is all that comes from a wire: a ring stops at a block that a reader keeps, however many others are free.
    #[default]
    Adaptive,
    /// Everything is copied: a reader that keeps a few chunks for long keeps nothing else of the file.
    Copy,
}

/// What happens to bytes that come for a conversation whose reader is too slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// A live source drops them and says so with an exact gap; a source that can wait, waits.
    #[default]
    Drop,
    /// The engine waits for the reader, whatever the source: on a wire this loses packets in the kernel.
    Block,
}

/// Limits and habits of an engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) retention: Retention,
    pub(crate) overflow: Overflow,
    /// Bytes that may wait for the reader of one conversation.
    pub(crate) conversation_limit: usize,
    /// Bytes that may wait for all readers together.
    pub(crate) total_limit: usize,
    /// Conversations that may wait to be taken.
    pub(crate) capacity: usize,
    /// Whether flows that are not TCP are conversations too.
    pub(crate) datagrams: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retention: Retention::default(),
            overflow: Overflow::default(),
            conversation_limit: 64 << 20,
            total_limit: 1 << 30,
            capacity: 16_384,
            datagrams: false,
        }
    }
}
