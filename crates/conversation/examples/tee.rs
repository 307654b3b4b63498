//! Saves every packet while conversations are followed: `tee eth0 saved.pcapng`.
//!
//! The source of a stream may be a type of the program's own. This one passes on what another
//! source captures and writes it to a file. The stream ends when its source is closed, so nothing
//! is lost when `main` returns after that. A program that stops reading earlier awaits `drain`.

use std::env;
use std::error::Error;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use capture_file::CaptureWriter;
use conversation::{Chunk, FlowStreamExt as _};
use flow::FiveTuple;
use futures::StreamExt as _;
use ring_core::{
    Capture, Interrupter, LinkType, Next, PacketSink, PacketSource, Statistics, Timeout,
};

/// Bytes of streams after which this program has enough.
const ENOUGH: usize = 1 << 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let interface = arguments.next().ok_or("which interface?")?;
    let path = arguments.next().ok_or("which file to write?")?;
    let source = Tee { source: Capture::open(&interface)?, sink: CaptureWriter::create(path)? };
    let mut conversations = source.flow_conversations(FiveTuple::bidirectional());
    let mut bytes = 0;
    'enough: while let Some(conversation) = conversations.next().await {
        let mut conversation = conversation?;
        println!("{} <-> {}", conversation.initiator(), conversation.responder());
        while let Some(chunk) = conversation.next_chunk().await {
            if let Chunk::Initiator(data) | Chunk::Responder(data) = chunk {
                bytes += data.len();
            }
            if bytes >= ENOUGH {
                break 'enough;
            }
        }
    }
    let statistics = conversations.drain().await?;
    println!("{} packets saved", statistics.packets);
    Ok(())
}

/// The error of either.
#[derive(Debug, thiserror::Error)]
enum TeeError<S, W> {
    #[error(transparent)]
    Source(S),
    #[error(transparent)]
    Sink(W),
}

/// A source that writes what it passes on.
struct Tee<S, W: PacketSink> {
    source: S,
    sink: W,
}

impl<S: PacketSource, W: PacketSink> PacketSource for Tee<S, W> {
    type Batch<'a>
        = S::Batch<'a>
    where
        Self: 'a;
    type Error = TeeError<S::Error, W::Error>;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Self::Batch<'_>>, Self::Error> {
        let next = self.source.next_batch(timeout).map_err(TeeError::Source)?;
        if let Next::Batch(batch) = &next {
            self.sink.send_batch(batch).map_err(TeeError::Sink)?;
        }
        Ok(next)
    }

    fn statistics(&mut self) -> Result<Statistics, Self::Error> {
        self.source.statistics().map_err(TeeError::Source)
    }

    fn link_type(&self) -> Option<LinkType> {
        self.source.link_type()
    }

    fn is_live(&self) -> bool {
        self.source.is_live()
    }

    fn held_back(&self) -> Duration {
        self.source.held_back()
    }

    fn interrupter(&self) -> Option<Interrupter> {
        self.source.interrupter()
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        self.source.readiness()
    }
}

impl<S, W: PacketSink> Drop for Tee<S, W> {
    fn drop(&mut self) {
        if let Err(error) = self.sink.flush() {
            let cause = error.source();
            let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
            eprintln!("not all packets were saved: {error}{cause}");
        }
    }
}
