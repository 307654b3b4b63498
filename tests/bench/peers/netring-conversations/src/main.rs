//! `netring-conversations FILE THREADS BYTES`: netring's stream of conversations over the packets
//! of a pcap file.
//!
//! netring reads only from a ring. So the ring is made as large as the file, and all packets are
//! sent into it through the veth pair `a`, `b` of this network namespace. Then the clock starts:
//! reading the file, sending, and the kernel's work do not count. It stops when `BYTES` bytes were
//! hashed, or with the last one if no more arrive for two seconds.

use std::error::Error;
use std::fs;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use netring::async_adapters::conversation::ConversationChunk;
use netring::flow::extract::FiveTuple;
use netring::{AsyncCapture, Capture};
use tokio::sync::Notify;
use tokio::time::timeout;

#[path = "../../stream_hash.rs"]
mod stream_hash;
use stream_hash::StreamHash;

const BLOCK: usize = 4 << 20;

#[derive(Default)]
struct Progress {
    start: Option<Instant>,
    expected: u64,
    bytes: AtomicU64,
    hash: AtomicU64,
    /// Processor time until the start, in nanoseconds.
    before: u64,
    /// Nanoseconds from the start to the last byte, and of processor time.
    last: AtomicU64,
    cpu: AtomicU64,
    complete: Notify,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, file, threads, expected] = &arguments[..] else {
        return Err("FILE THREADS BYTES".into());
    };
    let file = fs::read(file)?;
    // The kernel's overhead for each packet is smaller than the packet. Some blocks are closed by
    // their timeout before they are full.
    let blocks = file.len() * 3 / BLOCK + 8;
    let capture = Capture::builder()
        .interface("b")
        .block_size(BLOCK)
        .block_count(blocks)
        .fill_rxhash(false)
        .block_timeout_ms(1000)
        .build()?;
    let packets = send(&file, "a")?;
    // Wait until the last block is closed by its timeout.
    std::thread::sleep(Duration::from_millis(1500));
    let stats = capture.stats()?;
    if stats.drops != 0 {
        return Err(format!("the ring was too small: {stats:?}").into());
    }
    let threads: usize = threads.parse()?;
    let runtime = match threads {
        1 => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        threads => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()?,
    };
    let progress = Arc::new(Progress {
        expected: expected.parse()?,
        before: processor_time(),
        start: Some(Instant::now()),
        ..Progress::default()
    });
    let conversations = runtime.block_on(read(capture, Arc::clone(&progress)))?;
    println!(
        "{{\"packets\":{packets},\"conversations\":{conversations},\"bytes\":{},\"hash\":{},\"seconds\":{},\"cpu\":{}}}",
        progress.bytes.load(Relaxed),
        progress.hash.load(Relaxed),
        progress.last.load(Relaxed) as f64 / 1e9,
        progress.cpu.load(Relaxed) as f64 / 1e9
    );
    // Exit without waiting for flows that nothing ends.
    std::process::exit(0);
}

async fn read(capture: Capture, progress: Arc<Progress>) -> Result<u64, Box<dyn Error>> {
    let mut conversations =
        AsyncCapture::new(capture)?.flow_stream(FiveTuple::bidirectional()).into_conversations();
    let mut count = 0;
    let mut seen = 0;
    loop {
        tokio::select! {
            next = timeout(Duration::from_secs(2), conversations.next()) => match next {
                Ok(Some(conversation)) => {
                    let mut conversation = conversation?;
                    let progress = Arc::clone(&progress);
                    count += 1;
                    tokio::spawn(async move {
                        let mut hashes = [StreamHash::new(), StreamHash::new()];
                        while let Some(chunk) = conversation.next_chunk().await {
                            match chunk {
                                ConversationChunk::Initiator(data) => progress.take(&mut hashes[0], &data),
                                ConversationChunk::Responder(data) => progress.take(&mut hashes[1], &data),
                                _ => {}
                            }
                        }
                        for hash in hashes {
                            progress.hash.fetch_add(hash.finish(), Relaxed);
                        }
                    });
                }
                Ok(None) => return Ok(count),
                Err(_) => {
                    let bytes = progress.bytes.load(Relaxed);
                    if bytes == seen {
                        return Ok(count);
                    }
                    seen = bytes;
                }
            },
            () = progress.complete.notified() => {
                // Flows end by their timeout, and their hashes with them.
                let _ = timeout(Duration::from_secs(3), async {
                    while let Some(Ok(_)) = conversations.next().await {}
                }).await;
                return Ok(count);
            }
        }
    }
}

impl Progress {
    fn take(&self, hash: &mut StreamHash, data: &[u8]) {
        hash.update(data);
        let bytes = self.bytes.fetch_add(data.len() as u64, Relaxed) + data.len() as u64;
        if bytes == self.expected || bytes & 0xf_ffff < data.len() as u64 {
            let time = self.start.map_or(0, |start| start.elapsed().as_nanos() as u64);
            self.last.fetch_max(time, Relaxed);
            self.cpu.fetch_max(processor_time() - self.before, Relaxed);
        }
        if bytes == self.expected {
            self.complete.notify_one();
        }
    }
}

/// The processor time of this process so far, in nanoseconds.
fn processor_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writes.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Sends the packets of a pcap file in this machine's byte order.
fn send(file: &[u8], interface: &str) -> Result<usize, Box<dyn Error>> {
    let name = std::ffi::CString::new(interface)?;
    // SAFETY: the name is a C string.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    // SAFETY: the call takes any numbers.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if index == 0 || socket < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: the descriptor is new, and nothing else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: all zeroes is a valid address.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = index as i32;
    // SAFETY: the address has the length that is passed.
    let bound = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as u32,
        )
    };
    if bound != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    let mut rest = file.get(24..).ok_or("no pcap file")?;
    let mut packets = 0;
    while let Some((header, behind)) = rest.split_first_chunk::<16>() {
        let length = u32::from_ne_bytes(header[8..12].try_into()?) as usize;
        let (frame, behind) = behind.split_at_checked(length).ok_or("a packet is cut off")?;
        // SAFETY: the frame has the length that is passed.
        let sent = unsafe { libc::send(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        if sent != frame.len() as isize {
            return Err(std::io::Error::last_os_error().into());
        }
        rest = behind;
        packets += 1;
    }
    Ok(packets)
}
