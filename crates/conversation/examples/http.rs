//! Prints requests and responses as they go by: `http eth0`, or `http capture.pcap`.
//!
//! Each direction of a conversation is an `AsyncRead`, over which the parser of heads is that of
//! the crate httparse. At a gap the buffer is emptied before reading goes on, so that nothing is
//! joined across it; the next head is found behind it.

use std::env;
use std::error::Error;
use std::path::Path;

use capture_file::CaptureFile;
use conversation::{Conversation, Conversations, FlowStreamExt as _, Half};
use flow::{FiveTuple, FlowSide};
use futures::StreamExt as _;
use httparse::Status;
use ring_core::AsyncCapture;
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;

/// Bytes that may wait, for this program or behind holes.
const MEMORY: usize = 64 << 20;
/// The longest head that is looked for.
const LONGEST_HEAD: usize = 64 << 10;
/// The longest word that a head begins with.
const LONGEST_MARK: usize = 8;

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
        let flows = CaptureFile::open(input)?.flow_stream(key).memory(MEMORY);
        flows.independent_readers(true).into_conversations()
    } else {
        AsyncCapture::open(input)?.flow_stream(key).memory(MEMORY).into_conversations()
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
        while let Some(line) = head(half.side(), &mut bytes) {
            println!("{name} {line}");
        }
    }
}

/// The first line of the next head. Takes off the bytes up to its end, and those that are part of
/// no head.
fn head(side: FlowSide, bytes: &mut Vec<u8>) -> Option<String> {
    let marks: &[&[u8]] = match side {
        FlowSide::Initiator => &[b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS "],
        FlowSide::Responder => &[b"HTTP/1."],
    };
    let is_mark = |bytes: &[u8]| marks.iter().any(|mark| bytes.starts_with(mark));
    loop {
        let Some(start) = (0..bytes.len()).find(|start| is_mark(&bytes[*start..])) else {
            // A mark may have begun at the end.
            bytes.drain(..bytes.len().saturating_sub(LONGEST_MARK));
            return None;
        };
        bytes.drain(..start);
        match parse(side, bytes) {
            Ok(Status::Complete((line, end))) => {
                bytes.drain(..end);
                return Some(line);
            }
            Ok(Status::Partial) if bytes.len() <= LONGEST_HEAD => return None,
            // A body that happens to hold a mark.
            _ => drop(bytes.drain(..1)),
        }
    }
}

/// The first line of the head at the start of these bytes, and the head's length.
fn parse(side: FlowSide, bytes: &[u8]) -> httparse::Result<(String, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    match side {
        FlowSide::Initiator => {
            let mut request = httparse::Request::new(&mut headers);
            let Status::Complete(length) = request.parse(bytes)? else {
                return Ok(Status::Partial);
            };
            let (method, path) = (request.method, request.path);
            let line = format!("{} {}", method.unwrap_or_default(), path.unwrap_or_default());
            Ok(Status::Complete((line, length)))
        }
        FlowSide::Responder => {
            let mut response = httparse::Response::new(&mut headers);
            let Status::Complete(length) = response.parse(bytes)? else {
                return Ok(Status::Partial);
            };
            let (code, reason) = (response.code, response.reason);
            let line = format!("{} {}", code.unwrap_or_default(), reason.unwrap_or_default());
            Ok(Status::Complete((line, length)))
        }
    }
}
