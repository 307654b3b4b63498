//! Our own receivers and senders as separate processes, like peers: this program again, with a role
//! in place of a group.

use std::error::Error;
use std::io::Write as _;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use ring_core::{
    AsyncCapture, Capture, CaptureBuilder, Injector, Next, Packet, PacketBatch as _,
    PacketSource as _, RingProfile, SendPath, SharedBlock, Timeout, xdp,
};

use crate::memory;
use crate::wire::{Received, Sent};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// A receiver ends when no packet has arrived for this time, after the first packet or from the
/// start.
const IDLE: Duration = Duration::from_millis(150);
const NOBODY: Duration = Duration::from_secs(5);

/// The maximum number of blocks in flight to the worker.
const QUEUE: usize = 16;

/// Plays the role in the command line. `None` if there is no role.
pub(crate) fn play() -> Option<Outcome> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Some(match words[..] {
        ["receive", interface] => receive(builder(interface)),
        ["receive-each", interface] => receive(builder(interface).coalesce(Duration::ZERO)),
        ["receive-async", interface] => receive_async(interface),
        ["receive-shared", interface] => receive_shared(interface),
        ["receive-xdp", interface, wait] => receive_xdp(interface, wait),
        ["send-messages", interface, length, count, _] => {
            inject(SendPath::Messages, interface, length, count)
        }
        ["send-ring", interface, length, count, _] => {
            inject(SendPath::Ring, interface, length, count)
        }
        ["send-xdp", interface, length, count, _] => send_xdp(interface, length, count),
        _ => return None,
    })
}

/// The counters of a receiver.
#[derive(Debug, Default)]
struct Tally {
    packets: u64,
    /// The number of packets before the clock was started.
    warm: u64,
    bytes: u64,
    sum: u64,
    /// The processor time before the clock was started.
    cpu: Duration,
    allocations: u64,
}

impl Tally {
    fn start() -> Outcome<Self> {
        println!("ready");
        std::io::stdout().flush()?;
        Ok(Self { cpu: cpu()?, allocations: memory::allocations(), ..Self::default() })
    }

    /// Does the same work in every receiver: it reads the time, the length, and the type of the
    /// payload.
    #[inline(always)]
    fn add<'p>(&mut self, packets: impl Iterator<Item = Packet<'p>>) {
        let (mut bytes, mut sum) = (0, 0_u64);
        for packet in packets {
            let kind = match packet.data().get(12..14) {
                Some(&[first, second]) => u16::from_ne_bytes([first, second]),
                _ => 0,
            };
            bytes += packet.data().len() as u64;
            sum = sum.wrapping_add(packet.timestamp().as_nanos()).wrapping_add(u64::from(kind));
        }
        self.bytes += bytes;
        self.sum = self.sum.wrapping_add(sum);
    }

    /// Starts the clock after the first block.
    #[inline]
    fn block_ends(&mut self) -> Outcome {
        if self.warm == 0 {
            (self.warm, self.cpu) = (self.packets, cpu()?);
        }
        Ok(())
    }

    fn patience(&self) -> Timeout {
        Timeout::After(if self.packets > 0 { IDLE } else { NOBODY })
    }

    fn say(&self, cpu_now: Duration, drops: u64) -> Outcome {
        let received = Received {
            packets: self.packets,
            warm: self.warm,
            bytes: self.bytes,
            sum: self.sum,
            cpu_ns: (cpu_now - self.cpu).as_nanos() as u64,
            drops,
            allocations: Some(memory::allocations() - self.allocations),
        };
        println!("{}", serde_json::to_string(&received)?);
        Ok(())
    }
}

fn builder(interface: &str) -> CaptureBuilder {
    Capture::builder(interface).profile(RingProfile::Throughput)
}

fn receive(builder: CaptureBuilder) -> Outcome {
    let mut capture = builder.open()?;
    let mut tally = Tally::start()?;
    while let Some(block) = capture.next_block(tally.patience())? {
        tally.packets += block.len() as u64;
        tally.add(block.packets());
        drop(block);
        tally.block_ends()?;
    }
    let cpu = cpu()?;
    tally.say(cpu, capture.statistics()?.drops)
}

fn receive_async(interface: &str) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut capture = AsyncCapture::from(builder(interface).open()?);
    runtime.block_on(async {
        // The capture registers with the reactor when it is first awaited.
        let nothing = tokio::time::timeout(Duration::from_millis(1), capture.next_block()).await;
        drop(nothing);
        let mut tally = Tally::start()?;
        let mut patience = NOBODY;
        while let Ok(block) = tokio::time::timeout(patience, capture.next_block()).await {
            let Some(block) = block? else { break };
            tally.packets += block.len() as u64;
            tally.add(block.packets());
            drop(block);
            tally.block_ends()?;
            patience = IDLE;
        }
        let cpu = cpu()?;
        tally.say(cpu, capture.statistics()?.drops)
    })
}

/// Takes blocks on one thread and reads them on another.
fn receive_shared(interface: &str) -> Outcome {
    let mut capture = builder(interface).open()?;
    let (sender, blocks) = sync_channel::<SharedBlock>(QUEUE);
    let worker = thread::spawn(move || {
        let mut seen = Tally::default();
        for block in blocks {
            seen.add(block.packets());
        }
        seen
    });
    let mut tally = Tally::start()?;
    while let Some(block) = capture.next_block(tally.patience())? {
        tally.packets += block.len() as u64;
        sender.send(block.share())?;
        tally.block_ends()?;
    }
    drop(sender);
    let seen = worker.join().map_err(|_| "the worker panicked")?;
    let cpu = cpu()?;
    let tally = Tally { bytes: seen.bytes, sum: seen.sum, ..tally };
    tally.say(cpu, capture.statistics()?.drops)
}

fn receive_xdp(interface: &str, wait: &str) -> Outcome {
    let wait = match wait {
        "sleep" => xdp::Wait::Sleep,
        "adaptive" => xdp::Wait::Adaptive(Duration::from_micros(20)),
        _ => xdp::Wait::default(),
    };
    let mut socket = xdp::Socket::builder(interface)
        .direction(xdp::Direction::Receive)
        .attach(xdp::Attach::Native)
        .zero_copy(xdp::ZeroCopy::Forbidden)
        .wait(wait)
        .open()?;
    let mut tally = Tally::start()?;
    while let Next::Batch(batch) = socket.next_batch(tally.patience())? {
        tally.packets += batch.len() as u64;
        tally.add(batch.packets());
    }
    let cpu = cpu()?;
    tally.say(cpu, socket.statistics()?.drops)
}

fn inject(path: SendPath, interface: &str, length: &str, count: &str) -> Outcome {
    let count: u64 = count.parse()?;
    let frame = frame(length.parse()?);
    let mut injector =
        Injector::builder(interface).path(path).qdisc_bypass(true).slots(512).open()?;
    let sending = Sending::start()?;
    for _ in 0..count {
        injector.send_frame(&frame)?;
    }
    injector.flush()?;
    sending.say(injector.statistics().packets)
}

fn send_xdp(interface: &str, length: &str, count: &str) -> Outcome {
    let count: u64 = count.parse()?;
    let frame = frame(length.parse()?);
    let mut socket = xdp::Socket::builder(interface)
        .direction(xdp::Direction::Send)
        .zero_copy(xdp::ZeroCopy::Forbidden)
        .open()?;
    let sending = Sending::start()?;
    let mut queued = 0;
    while queued < count {
        let mut batch = 0;
        while batch < 64 && socket.send_bytes(&frame)? {
            batch += 1;
        }
        queued += batch;
        socket.flush()?;
    }
    if !socket.sender()?.drain(Timeout::After(NOBODY))? {
        return Err("packets were not sent".into());
    }
    sending.say(queued)
}

struct Sending {
    start: Instant,
    cpu: Duration,
    allocations: u64,
}

impl Sending {
    fn start() -> Outcome<Self> {
        println!("ready");
        std::io::stdout().flush()?;
        Ok(Self { start: Instant::now(), cpu: cpu()?, allocations: memory::allocations() })
    }

    fn say(self, sent: u64) -> Outcome {
        let sent = Sent {
            sent,
            wall_ns: self.start.elapsed().as_nanos() as u64,
            cpu_ns: (cpu()? - self.cpu).as_nanos() as u64,
            allocations: Some(memory::allocations() - self.allocations),
        };
        println!("{}", serde_json::to_string(&sent)?);
        Ok(())
    }
}

/// A UDP datagram over IPv4 to another host, of `length` bytes.
fn frame(length: usize) -> Vec<u8> {
    let mut frame = vec![0; length.max(42)];
    let total = u16::try_from(frame.len() - 14).unwrap_or(u16::MAX);
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0]);
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&total.to_be_bytes());
    frame[22..24].copy_from_slice(&[64, 17]);
    frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    frame
}

/// The processor time of this process.
fn cpu() -> Outcome<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let duration = |time: TimeVal| {
        Duration::from_secs(time.tv_sec().unsigned_abs())
            + Duration::from_micros(time.tv_usec().unsigned_abs())
    };
    Ok(duration(usage.user_time()) + duration(usage.system_time()))
}
