//! Bytes of servers, each connection through a channel of its own to a task of its own. A file
//! waits for slow tasks.
//!
//! `cargo run -p conversation --example channels -- capture.pcap`

use capture_file::CaptureFile;
use conversation::{Chunk, FlowStreamExt as _};
use flow::{FiveTuple, FlowSide};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Bytes that may wait, for this program or behind holes.
const MEMORY: usize = 64 << 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("which file?")?;
    let mut readers = JoinSet::new();
    CaptureFile::open(path)?
        .flow_stream(FiveTuple::bidirectional())
        .memory(MEMORY)
        .into_conversations()
        .into_channels(|conversation, side| {
            if side == FlowSide::Initiator {
                return None;
            }
            // Tasks that are done leave the set.
            while readers.try_join_next().is_some() {}
            let (sender, mut chunks) = mpsc::channel(8);
            let server = conversation.responder();
            readers.spawn(async move {
                while let Some(chunk) = chunks.recv().await {
                    match chunk {
                        Chunk::Responder(data) => println!("{server}: {} bytes", data.len()),
                        Chunk::Gap { len, .. } => println!("{server}: {len} bytes missing"),
                        _ => {}
                    }
                }
            });
            Some(sender)
        })
        .await?;
    // What is still in the channels is theirs.
    readers.join_all().await;
    Ok(())
}
