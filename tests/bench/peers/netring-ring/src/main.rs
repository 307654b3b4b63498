//! netring-ring receive|receive-async|receive-xdp INTERFACE; inject|send-xdp INTERFACE LENGTH COUNT
//! RATE

use std::error::Error;
use std::time::{Duration, Instant};

use netring::xdp::XdpFlags;
use netring::{AsyncCapture, Capture, Injector, XdpMode, XdpSocket};
use nix::sys::resource::{UsageWho, getrusage};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const IDLE: Duration = Duration::from_millis(150);
const NOBODY: Duration = Duration::from_secs(5);
const BATCH: u64 = 64;

#[derive(Default)]
struct Tally {
    packets: u64,
    /// The number of packets before the clock was started, with the first block.
    warm: u64,
    before: Duration,
    bytes: u64,
    sum: u64,
}

impl Tally {
    #[inline(always)]
    fn add(&mut self, data: &[u8], time: u64) {
        let kind = data.get(12..14).map_or(0, |kind| u16::from_ne_bytes([kind[0], kind[1]]));
        self.packets += 1;
        self.bytes += data.len() as u64;
        self.sum = self.sum.wrapping_add(time).wrapping_add(u64::from(kind));
    }

    fn block_ends(&mut self) {
        if self.warm == 0 {
            (self.warm, self.before) = (self.packets, cpu());
        }
    }

    fn patience(&self) -> Duration {
        if self.packets > 0 { IDLE } else { NOBODY }
    }

    fn say(&self, cpu: Duration, drops: u64) {
        println!(
            r#"{{"packets":{},"warm":{},"bytes":{},"sum":{},"cpu_ns":{},"drops":{drops}}}"#,
            self.packets,
            self.warm,
            self.bytes,
            self.sum,
            (cpu - self.before).as_nanos()
        );
    }
}

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["receive", interface] => receive(interface),
        ["receive-async", interface] => receive_async(interface),
        ["receive-xdp", interface] => receive_xdp(interface),
        ["inject", interface, length, count, _] => {
            inject(interface, length.parse()?, count.parse()?)
        }
        ["send-xdp", interface, length, count, _] => {
            send_xdp(interface, length.parse()?, count.parse()?)
        }
        _ => Err("what?".into()),
    }
}

fn capture(interface: &str) -> Outcome<Capture> {
    Ok(Capture::builder()
        .interface(interface)
        .block_size(4 << 20)
        .block_count(64)
        .frame_size(2048)
        .block_timeout_ms(60)
        .build()?)
}

fn receive(interface: &str) -> Outcome {
    let mut capture = capture(interface)?;
    let mut tally = Tally::default();
    println!("ready");
    while let Some(batch) = capture.next_batch_blocking(tally.patience())? {
        for packet in &batch {
            let time = packet.timestamp();
            tally.add(packet.data(), u64::from(time.sec) * 1_000_000_000 + u64::from(time.nsec));
        }
        drop(batch);
        tally.block_ends();
    }
    tally.say(cpu(), u64::from(capture.stats()?.drops));
    Ok(())
}

fn receive_async(interface: &str) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut capture = AsyncCapture::new(capture(interface)?)?;
        let mut tally = Tally::default();
        println!("ready");
        while let Ok(guard) = tokio::time::timeout(tally.patience(), capture.readable()).await {
            let mut guard = guard?;
            while let Some(batch) = guard.next_batch() {
                for packet in &batch {
                    let time = packet.timestamp();
                    tally.add(
                        packet.data(),
                        u64::from(time.sec) * 1_000_000_000 + u64::from(time.nsec),
                    );
                }
                drop(batch);
                tally.block_ends();
            }
        }
        tally.say(cpu(), u64::from(capture.stats()?.drops));
        Ok(())
    })
}

fn receive_xdp(interface: &str) -> Outcome {
    let mut socket = patiently(|| {
        XdpSocket::builder()
            .interface(interface)
            .queue_id(0)
            .frame_size(4096)
            .frame_count(4096)
            .mode(XdpMode::Rx)
            .with_default_program()
            .xdp_attach_flags(XdpFlags::DRV_MODE)
            .build()
    })?;
    println!("ready");
    let mut tally = Tally { before: cpu(), ..Tally::default() };
    let mut until = Instant::now() + tally.patience();
    // A wait may end early without a batch.
    while Instant::now() < until {
        while let Some(batch) = socket.next_batch_blocking(tally.patience())? {
            for packet in batch.iter() {
                tally.add(packet.data(), 0);
            }
            drop(batch);
            until = Instant::now() + tally.patience();
        }
    }
    let counted = socket.statistics()?;
    tally.say(cpu(), counted.rx_dropped + counted.rx_ring_full);
    Ok(())
}

/// Retries, because the queue of a closed socket stays busy for some milliseconds.
fn patiently<T>(open: impl Fn() -> Result<T, netring::Error>) -> Result<T, netring::Error> {
    let start = Instant::now();
    loop {
        match open() {
            Err(_) if start.elapsed() < Duration::from_secs(2) => {
                std::thread::sleep(Duration::from_millis(1));
            }
            opened => return opened,
        }
    }
}

fn inject(interface: &str, length: usize, count: u64) -> Outcome {
    let mut injector =
        Injector::builder().interface(interface).qdisc_bypass(true).frame_count(512).build()?;
    let frame = frame(length);
    println!("ready");
    let (before, start) = (cpu(), Instant::now());
    let (mut queued, mut stuck) = (0, 0);
    while queued < count && stuck < 1000 {
        let mut batch = 0;
        while batch < BATCH
            && let Some(mut slot) = injector.allocate(length)
        {
            slot.data_mut()[..length].copy_from_slice(&frame);
            slot.set_len(length);
            slot.send();
            batch += 1;
        }
        injector.flush()?;
        queued += batch;
        stuck = if batch == 0 { stuck + 1 } else { 0 };
    }
    say_sent(queued, start.elapsed(), cpu() - before);
    Ok(())
}

fn send_xdp(interface: &str, length: usize, count: u64) -> Outcome {
    let mut socket = patiently(|| {
        XdpSocket::builder()
            .interface(interface)
            .queue_id(0)
            .frame_size(4096)
            .frame_count(4096)
            .mode(XdpMode::Tx)
            .build()
    })?;
    let frame = frame(length);
    println!("ready");
    let (before, start) = (cpu(), Instant::now());
    let mut queued = 0;
    while queued < count {
        let mut batch = 0;
        while batch < BATCH && socket.send(&frame)? {
            batch += 1;
        }
        socket.flush()?;
        queued += batch;
    }
    say_sent(queued, start.elapsed(), cpu() - before);
    Ok(())
}

fn frame(length: usize) -> Vec<u8> {
    let mut frame = vec![0; length];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0]);
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&u16::try_from(length - 14).unwrap_or(0).to_be_bytes());
    frame
}

fn say_sent(sent: u64, wall: Duration, cpu: Duration) {
    println!(r#"{{"sent":{sent},"wall_ns":{},"cpu_ns":{}}}"#, wall.as_nanos(), cpu.as_nanos());
}

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("rusage");
    let micros = |time: nix::sys::time::TimeVal| {
        Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1000)
    };
    micros(usage.user_time()) + micros(usage.system_time())
}
