//! HTTP requests and DNS questions of a capture file.
//!
//! `cargo run -p conversation --features flowscope --example messages -- capture.pcap`

use std::collections::HashMap;

use capture_file::CaptureFile;
use conversation::{FlowStreamExt as _, MessageEvent};
use flow::{FiveTuple, Orientation};
use flowscope::dns::{DnsMessage, DnsUdpParser};
use flowscope::http::{HttpMessage, HttpParser};
use futures::StreamExt as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("which file?")?;
    let mut sessions = CaptureFile::open(&path)?
        .flow_stream(FiveTuple::bidirectional())
        .session_stream(HttpParser::default());
    let mut servers = HashMap::new();
    while let Some(event) = sessions.next().await {
        match event? {
            MessageEvent::Started { id, key, initiator, .. } => {
                let forward = initiator == Orientation::Forward;
                servers.insert(id, if forward { key.b } else { key.a });
            }
            MessageEvent::Message { id, message: HttpMessage::Request(request), .. } => {
                println!("{}: {}", servers[&id], String::from_utf8_lossy(&request.path));
            }
            MessageEvent::Ended { id, .. } => drop(servers.remove(&id)),
            _ => {}
        }
    }
    let mut datagrams = CaptureFile::open(&path)?
        .flow_stream(FiveTuple::bidirectional())
        .datagram_stream(DnsUdpParser::default());
    while let Some(event) = datagrams.next().await {
        if let MessageEvent::Message { message: DnsMessage::Query(query), .. } = event? {
            println!("{:?}", query.questions);
        }
    }
    Ok(())
}
