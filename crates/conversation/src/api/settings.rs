//! Settings of conversations.

/// The bytes that a reader hands out before it tells the engine, unless limits are so small that it
/// would matter.
const AT_ONCE: usize = 16 << 10;

/// The memory beyond the bound that flows may take, at most.
const MARGIN: usize = 64 << 20;

/// The memory that holds the bytes of chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retention {
    /// Large segments of a file stay in the buffer that they were read into, as long as readers
    /// keep no more than 256 MiB of such buffers, or a quarter of the
    /// [`total_limit`](crate::FlowStreamBuilder::total_limit) if that is less. Small ones are
    /// copied and joined, and so is all that comes from a wire: a ring stops at a block that a
    /// reader keeps, however many others are free.
    #[default]
    Adaptive,
    /// Everything is copied into pooled memory: a reader that keeps a chunk keeps at most 128 KiB
    /// beside it, and all that keep chunks 64 MiB; beyond that, chunks get memory of their own.
    Copy,
    /// Large segments stay where they were captured, in the blocks of a ring as well, while more
    /// than half of the ring is free. For readers that release every chunk at once: a ring stops at
    /// the first block of which a reader keeps a single byte, and then the kernel drops packets.
    /// Packets of AF_XDP are always copied.
    Borrow,
}

/// The policy for bytes that come for a conversation whose reader is too slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// A live source drops them and says so with an exact gap; a source that can wait, waits.
    #[default]
    Drop,
    /// The engine waits for the reader, whatever the source: on a wire this loses packets in the
    /// kernel.
    Block,
    /// A live source gives the conversation up and says so with
    /// [`Chunk::Overrun`](crate::Chunk::Overrun), for readers to whom a stream with a gap is worth
    /// nothing; a source that can wait, waits. Where all readers together have too much waiting, a
    /// conversation of which nothing waits gets a gap instead: its reader is not the slow one.
    Close,
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
    /// The bound of all memory, if there is one. It shortens `total_limit`.
    pub(crate) memory: Option<Memory>,
    /// The longest capture time between packets whose bytes become one chunk, in nanoseconds.
    pub(crate) span: u64,
    /// Conversations that may wait to be taken.
    pub(crate) capacity: usize,
    /// `true` if flows that are not TCP are conversations too.
    pub(crate) datagrams: bool,
    /// `true` if a side's bytes wait for those of the other that it has acknowledged.
    pub(crate) causal: bool,
    /// `true` if each conversation is read by a task that waits for nothing else.
    pub(crate) independent: bool,
}

/// The limit of flows and waiting bytes together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// The bytes that were asked for.
    bytes: usize,
    /// The bytes with the margin.
    limit: usize,
    /// Tables that share them.
    tables: usize,
}

impl Memory {
    /// The margin is smaller for a source with a ring, which is memory, too.
    pub(crate) fn new(bytes: usize, tables: usize, live: bool) -> Self {
        let margin = if live { (bytes / 8).min(MARGIN / 2) } else { (bytes / 4).min(MARGIN) };
        Self { bytes, limit: bytes.saturating_add(margin), tables }
    }

    /// The limit of one table.
    pub(crate) fn of_table(&self) -> usize {
        self.limit / self.tables
    }

    /// The bytes that may wait for readers where a table takes this much: half of all, or what
    /// remains, but a little always.
    pub(crate) fn of_readers(&self, table: usize) -> usize {
        let rest = self.limit.saturating_sub(table.saturating_mul(self.tables));
        rest.min(self.bytes / 2).max(self.bytes / 32)
    }

    /// A table's part of what waits for readers.
    pub(crate) fn share(&self, queued: usize) -> usize {
        queued / self.tables
    }
}

impl Settings {
    /// The part of what a reader has handed out that may still count as queued: little beside any
    /// limit, though each of many readers may have this amount.
    pub(crate) fn at_once(&self) -> usize {
        AT_ONCE.min(self.conversation_limit / 16).min(self.total_limit / 1024)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retention: Retention::default(),
            overflow: Overflow::default(),
            conversation_limit: 64 << 20,
            total_limit: 1 << 30,
            memory: None,
            span: 1_000_000,
            capacity: 16_384,
            datagrams: false,
            causal: false,
            independent: false,
        }
    }
}

/// The policy for a conversation that begins when there are as many as there may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnLimit {
    /// It is not announced, nothing of it is kept, and it is counted as refused.
    #[default]
    Refuse,
    /// One makes room that has brought nothing for long: the most silent of sixteen that are looked
    /// at. Its flow ends as [`Evicted`](flow::EndReason::Evicted), and is counted. This happens
    /// once a batch, so that for a moment there may be more.
    EvictIdlest,
}
