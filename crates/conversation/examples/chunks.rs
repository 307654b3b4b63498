//! Counts the bytes of every conversation, in one task and in bounded memory: `chunks eth0`, or
//! `chunks capture.pcap`.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::path::Path;

use capture_file::CaptureFile;
use conversation::{Chunk, ChunkEvent, ChunkStream, FlowStreamExt as _};
use flow::FiveTuple;
use futures::StreamExt as _;
use ring_core::AsyncCapture;

/// Bytes that may wait, for this program or behind holes.
const MEMORY: usize = 64 << 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let input = env::args().nth(1).ok_or("which interface, or which file?")?;
    let mut events = open(&input)?;
    let mut bytes: HashMap<_, usize> = HashMap::new();
    while let Some(event) = events.next().await {
        match event? {
            ChunkEvent::Started { id, .. } => {
                bytes.insert(id, 0);
            }
            ChunkEvent::Chunk {
                id,
                chunk: Chunk::Initiator(data) | Chunk::Responder(data),
                ..
            } => *bytes.entry(id).or_default() += data.len(),
            ChunkEvent::Chunk { id, chunk: Chunk::Closed { record, .. }, .. } => {
                let (a, b) = (record.key.a, record.key.b);
                println!("{a} <-> {b}: {} bytes", bytes.remove(&id).unwrap_or(0));
            }
            _ => {}
        }
    }
    Ok(())
}

fn open(input: &str) -> Result<ChunkStream, Box<dyn Error>> {
    let key = FiveTuple::bidirectional();
    Ok(if Path::new(input).is_file() {
        CaptureFile::open(input)?.flow_stream(key).memory(MEMORY).into_chunk_stream()
    } else {
        AsyncCapture::open(input)?.flow_stream(key).memory(MEMORY).into_chunk_stream()
    })
}
