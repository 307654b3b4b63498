//! Engines that are tasks.
#![allow(missing_docs)]

mod behaviour;

use conversation::{ChunkStream, Conversations, FlowStreamBuilder};
use flow::FlowExtractor;
use ring_core::PacketSource;

/// Starts the engines of a stream.
trait Begin<K: Clone> {
    fn begin(self) -> Conversations<K>;
    fn begin_chunks(self) -> ChunkStream<K>;
}

impl<S, E> Begin<E::Key> for FlowStreamBuilder<S, E>
where
    S: PacketSource + Send + 'static,
    E: FlowExtractor + Send + 'static,
{
    fn begin(self) -> Conversations<E::Key> {
        let (conversations, driver) = self.into_driven_conversations();
        tokio::spawn(driver);
        conversations
    }

    fn begin_chunks(self) -> ChunkStream<E::Key> {
        let (chunks, driver) = self.into_driven_chunk_stream();
        tokio::spawn(driver);
        chunks
    }
}
