//! Totals of all readers of conversations.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use conversation::{AsyncReassembler, Chunk};

/// Totals of all readers.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) bytes: AtomicU64,
    pub(crate) gap_bytes: AtomicU64,
    /// The number of sides whose end was read.
    pub(crate) closed: AtomicU64,
}

/// Reads one side of one conversation.
#[derive(Debug)]
pub(crate) struct Reader(pub(crate) Arc<Tally>);

impl<K: Send + 'static> AsyncReassembler<K> for Reader {
    async fn chunk(&mut self, chunk: Chunk<K>) -> ControlFlow<()> {
        let (counter, count) = match &chunk {
            Chunk::Initiator(data) | Chunk::Responder(data) => (&self.0.bytes, data.len() as u64),
            Chunk::Gap { len, .. } => (&self.0.gap_bytes, *len),
            Chunk::Closed { .. } => (&self.0.closed, 1),
            _ => return ControlFlow::Continue(()),
        };
        // Release the bytes before they are counted.
        drop(chunk);
        counter.fetch_add(count, Relaxed);
        ControlFlow::Continue(())
    }
}
