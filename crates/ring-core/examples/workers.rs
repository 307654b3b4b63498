//! Several threads process the packets of an interface, without a runtime: `workers eth0 4`.
//!
//! One thread captures, and passes whole blocks to the next worker with room in its queue. Nothing
//! is copied: the kernel gets a block back when the worker drops it. The queues are short, since
//! the kernel stops at a block that is kept. If all queues are full, the capturing thread waits,
//! the ring fills up, and the kernel counts the packets that it drops.
//!
//! Ends at a line on standard input, or at its end.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use ring_core::{Capture, RingProfile, SharedBlock, Timeout};

/// Maximum number of blocks queued per worker. All queues together hold less than half of the ring.
const QUEUE: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let interface = arguments.next().ok_or("which interface?")?;
    let workers: usize = arguments.next().as_deref().unwrap_or("2").parse()?;

    let mut capture = Capture::builder(&interface).profile(RingProfile::Throughput).open()?;
    let interrupter = capture.interrupter();
    let (mut queues, mut threads) = (Vec::new(), Vec::new());
    for _ in 0..workers.max(1) {
        let (queue, blocks) = sync_channel(QUEUE);
        queues.push(queue);
        threads.push(thread::spawn(|| count(blocks)));
    }
    thread::spawn(move || {
        let _ = io::stdin().read_line(&mut String::new());
        interrupter.interrupt();
    });

    let mut turn = 0;
    while let Some(block) = capture.next_block(Timeout::Never)? {
        turn = hand_on(&queues, turn, block.share());
    }
    // Blocks that the kernel has handed over already.
    while let Some(block) = capture.next_block(Timeout::Now)? {
        turn = hand_on(&queues, turn, block.share());
    }
    drop(queues);

    let mut total = HashMap::new();
    for (worker, thread) in threads.into_iter().enumerate() {
        let (ethertypes, busy) = thread.join().map_err(|_| "a worker panicked")?;
        println!("worker {worker}: {busy:?} of work");
        for (ethertype, packets) in ethertypes {
            *total.entry(ethertype).or_insert(0) += packets;
        }
    }
    for (ethertype, packets) in total {
        println!("{ethertype:#06x}: {packets} packets");
    }
    let statistics = capture.statistics()?;
    println!(
        "{} packets, {} dropped; the ring was exhausted {} times",
        statistics.packets, statistics.drops, statistics.ring_exhausted
    );
    Ok(())
}

/// Passes the block to the first worker with room, starting at `turn`. If none has room, waits for
/// the worker whose turn it is. Returns the next turn.
fn hand_on(queues: &[SyncSender<SharedBlock>], turn: usize, block: SharedBlock) -> usize {
    let mut block = block;
    for step in 0..queues.len() {
        let worker = (turn + step) % queues.len();
        match queues[worker].try_send(block) {
            Ok(()) => return (worker + 1) % queues.len(),
            Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => block = back,
        }
    }
    // Fails only if the worker has panicked, which is reported at the end.
    let _ = queues[turn].send(block);
    (turn + 1) % queues.len()
}

/// Counts packets by EtherType.
fn count(blocks: Receiver<SharedBlock>) -> (HashMap<u16, u64>, Duration) {
    let (mut ethertypes, mut busy) = (HashMap::new(), Duration::ZERO);
    for block in blocks {
        let started = Instant::now();
        for packet in &block {
            if let Some(&[high, low]) = packet.data().get(12..14) {
                *ethertypes.entry(u16::from_be_bytes([high, low])).or_insert(0) += 1;
            }
        }
        busy += started.elapsed();
    }
    (ethertypes, busy)
}
