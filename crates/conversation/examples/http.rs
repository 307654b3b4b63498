//! Prints requests and responses as they go by: `http eth0`, or `http capture.pcap`.
//!
//! Each direction of a conversation is an `AsyncRead`, over which the parser of heads is that of
//! the crate httparse. At a gap the buffer is emptied before reading goes on, so that nothing is
//! joined across it; the next head is found behind it.

use std::env;
use std::error::Error;
use std::path::Path;

use conversation::{Conversation, Conversations, FlowStreamExt as _, Half};
use flow::{FiveTuple, FlowSide};
use futures::StreamExt as _;
use ring_core::{AsyncCapture, CaptureFile};
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let input = env::args().nth(1).ok_or("which interface, or which file?")?;
    let mut conversations = open(&input)?;
    let mut readers = JoinSet::new();
    while let Some(conversation) = conversations.next().await {
        readers.spawn(follow(conversation?));
        // Tasks that are done leave the set.
        while readers.try_join_next().is_some() {}
    }
    readers.join_all().await;
    Ok(())
}

/// A task reads each conversation, so a file can wait for the slowest and memory stays bounded.
fn open(input: &str) -> Result<Conversations, Box<dyn Error>> {
    let key = FiveTuple::bidirectional();
    Ok(if Path::new(input).is_file() {
        CaptureFile::open(input)?.flow_stream(key).independent_readers(true).into_conversations()
    } else {
        AsyncCapture::open(input)?.flow_conversations(key)
    })
}

async fn follow(conversation: Conversation) {
    let name = format!("{} > {}", conversation.initiator(), conversation.responder());
    let (requests, responses) = conversation.split();
    tokio::join!(heads(requests, &name), heads(responses, &name));
}

/// Prints the first line of each head, and skips what lies between.
async fn heads(mut half: Half, name: &str) {
    let mut bytes = Vec::new();
    loop {
        match half.read_buf(&mut bytes).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => match half.skip_gap() {
                Some(gap) => {
                    println!("{name} {gap}");
                    bytes.clear();
                }
                None => return eprintln!("{name} {error}"),
            },
        }
        while let Some((line, end)) = head(half.side(), &bytes) {
            println!("{name} {line}");
            bytes.drain(..end);
        }
        if bytes.len() > 64 << 10 {
            // A body: no head is so long.
            bytes.drain(..bytes.len() - 4);
        }
    }
}

/// The next head in these bytes, and where it ends.
fn head(side: FlowSide, bytes: &[u8]) -> Option<(String, usize)> {
    let marks: &[&[u8]] = match side {
        FlowSide::Initiator => &[b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS "],
        FlowSide::Responder => &[b"HTTP/1."],
    };
    (0..bytes.len())
        .filter(|start| marks.iter().any(|mark| bytes[*start..].starts_with(mark)))
        .find_map(|start| {
            let (line, length) = parse(side, &bytes[start..])?;
            Some((line, start + length))
        })
}

fn parse(side: FlowSide, bytes: &[u8]) -> Option<(String, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    match side {
        FlowSide::Initiator => {
            let mut request = httparse::Request::new(&mut headers);
            let httparse::Status::Complete(length) = request.parse(bytes).ok()? else {
                return None;
            };
            Some((format!("{} {}", request.method?, request.path?), length))
        }
        FlowSide::Responder => {
            let mut response = httparse::Response::new(&mut headers);
            let httparse::Status::Complete(length) = response.parse(bytes).ok()? else {
                return None;
            };
            Some((format!("{} {}", response.code?, response.reason?), length))
        }
    }
}
