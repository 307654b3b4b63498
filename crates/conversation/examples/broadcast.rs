//! One capture for two readers, of whom one is slow.
//!
//! `cargo run -p conversation --example broadcast -- eth0`

use std::time::Duration;

use conversation::{FlowEvent, FlowStreamExt as _};
use flow::FiveTuple;
use futures::StreamExt as _;
use ring_core::Capture;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let interface = std::env::args().nth(1).ok_or("which interface?")?;
    let events = Capture::open(&interface)?.flow_stream(FiveTuple::bidirectional()).broadcast(1024);
    let (mut quick, mut slow) = (events.subscribe(), events.subscribe());
    tokio::spawn(async move {
        while let Some(event) = slow.next().await {
            if let Ok(FlowEvent::Lagged { count, .. }) = event {
                println!("the slow reader missed {count} events");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    while let Some(event) = quick.next().await {
        if let FlowEvent::Started { key, .. } = event? {
            println!("{} <-> {}", key.a, key.b);
        }
    }
    Ok(())
}
