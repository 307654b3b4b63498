//! Flows of a capture file with a state of the program's own: who sent how much, as it goes on.
//!
//! `cargo run -p conversation --example flow_events -- capture.pcap`

use conversation::{FlowEvent, FlowStreamExt as _};
use flow::{FiveTuple, FiveTupleKey};
use ring_core::CaptureFile;

struct Seen {
    key: FiveTupleKey,
    largest: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("which file?")?;
    let mut flows = CaptureFile::open(path)?
        .flow_stream(FiveTuple::bidirectional())
        .details(true)
        .with_state(|key| Seen { key: *key, largest: 0 });
    while let Some(event) = flows.next_event().await {
        match event? {
            (FlowEvent::Data { len, .. }, Some(seen)) => seen.largest = seen.largest.max(len),
            (FlowEvent::Datagram { len, .. }, Some(seen)) => {
                seen.largest = seen.largest.max(u64::from(len));
            }
            (FlowEvent::Ended { record, .. }, Some(Seen { key, largest })) => println!(
                "{} <-> {}: {} and {} bytes, at most {largest} at once, {:?}",
                key.a,
                key.b,
                record.initiator.delivered_bytes,
                record.responder.delivered_bytes,
                record.reason
            ),
            _ => {}
        }
    }
    Ok(())
}
