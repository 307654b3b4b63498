//! Counts packets and bytes of an interface by Ethernet type, for a number of seconds:
//! `embed eth0 10`.
//!
//! Its only dependency is ring-core: no runtime, no parser, no command line library.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::time::{Duration, Instant};

use ring_core::{Capture, RingProfile, Timeout};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let interface = arguments.next().ok_or("usage: embed INTERFACE [SECONDS]")?;
    let seconds: u64 = arguments.next().as_deref().unwrap_or("10").parse()?;

    let mut capture = Capture::builder(&interface).profile(RingProfile::LowMemory).open()?;
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut totals: BTreeMap<u16, (u64, u64)> = BTreeMap::new();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let Some(block) = capture.next_block(Timeout::After(left))? else { break };
        for packet in &block {
            let Some(ethertype) = packet.data().get(12..14) else { continue };
            let ethertype = u16::from_be_bytes([ethertype[0], ethertype[1]]);
            let (packets, bytes) = totals.entry(ethertype).or_default();
            *packets += 1;
            *bytes += u64::from(packet.wire_len());
        }
        drop(block);
        if Instant::now() >= end {
            break;
        }
    }
    for (ethertype, (packets, bytes)) in totals {
        println!("{ethertype:#06x}: {packets} packets, {bytes} bytes");
    }
    let statistics = capture.statistics()?;
    println!("{} packets in all, {} dropped", statistics.packets, statistics.drops);
    Ok(())
}
