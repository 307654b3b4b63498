//! Flows of a capture file with a state of the program's own: who sent how much, as it goes on.
//!
//! `cargo run -p conversation --example flow_events -- capture.pcap`

use capture_file::CaptureFile;
use conversation::{FlowEvent, FlowStreamExt as _};
use flow::{FiveTuple, Orientation};

/// The most that was said at once.
struct Largest(u64);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("which file?")?;
    let mut flows = CaptureFile::open(path)?
        .flow_stream(FiveTuple::bidirectional())
        .details(true)
        .events()
        .with_state(|_| Largest(0));
    while let Some(event) = flows.next_event().await {
        match event? {
            (FlowEvent::Data { len, .. }, Some(Largest(largest))) => *largest = len.max(*largest),
            (FlowEvent::Datagram { len, .. }, Some(Largest(largest))) => {
                *largest = u64::from(len).max(*largest);
            }
            (FlowEvent::Ended { record, .. }, Some(Largest(largest))) => {
                // A key has its ends in an order of its own.
                let (initiator, responder) = match record.initiator_orientation {
                    Orientation::Forward => (record.key.a, record.key.b),
                    Orientation::Reverse => (record.key.b, record.key.a),
                };
                println!(
                    "{initiator} > {responder}: {} and {} bytes, at most {largest} at once, {:?}",
                    record.initiator.payload_bytes, record.responder.payload_bytes, record.reason
                );
            }
            _ => {}
        }
    }
    Ok(())
}
