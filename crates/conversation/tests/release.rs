//! Whatever is dropped, and whenever: all memory comes back. And what an idle conversation keeps.
#![allow(missing_docs, unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use capture_file::CaptureFile;
use conversation::{Chunk, Conversations, FlowStreamExt as _, Retention};
use flow::FiveTuple;
use futures::StreamExt as _;
use source_testkit::{Connection, Fake, Fed, interleave, pattern, udp};
use tokio::io::AsyncReadExt as _;

/// The system's allocator, which counts the bytes in use.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed to the system's allocator unchanged, and counting neither allocates
// nor fails.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises about `pointer` and `layout` are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The memory that the runtime and the standard library keep for themselves, a thread's name for
/// example.
const SLACK: usize = 16 << 10;

const POINTS: usize = 9;

/// A capture of which everything is dropped at one of some points.
async fn drop_at(point: usize, live: bool, task: bool) {
    let mut connections: Vec<_> = (1..=20)
        .map(|port| {
            let mut connection = Connection::open(port);
            for round in 0..40 {
                connection.send(0, &pattern(round, 700));
                connection.send(1, &pattern(round, 1400));
            }
            connection.lose(1, 100);
            connection.fin(0);
            connection
        })
        .collect();
    let memory = interleave(&mut connections);
    drop(connections);
    let retention = if point.is_multiple_of(2) { Retention::Copy } else { Retention::Borrow };
    if live {
        let stream =
            Fake::live(memory).flow_stream(FiveTuple::bidirectional()).retention(retention);
        if point == 0 {
            return;
        }
        begun(point, if task { tasks(stream) } else { stream.into_conversations() }).await;
    } else {
        let stream = memory.flow_stream(FiveTuple::bidirectional()).retention(retention);
        if point == 0 {
            return;
        }
        let stream = stream.conversation_limit(20_000).total_limit(100_000).causal_order(true);
        begun(point, if task { tasks(stream) } else { stream.into_conversations() }).await;
    }
}

fn tasks<S: ring_core::PacketSource + Send + 'static>(
    stream: conversation::FlowStreamBuilder<S, FiveTuple>,
) -> Conversations {
    let (conversations, driver) = stream.into_driven_conversations();
    tokio::spawn(driver);
    conversations
}

async fn begun(point: usize, mut conversations: Conversations) {
    if point == 1 {
        return;
    }
    let mut first = conversations.next().await.unwrap().unwrap();
    match point {
        2 => drop(conversations),
        3 => {
            for _ in 0..3 {
                first.next_chunk().await;
            }
            drop(first);
            // The others are never taken.
            let _second = conversations.next().await;
        }
        4 => {
            let (mut initiator, responder) = first.split();
            initiator.read_exact(&mut [0; 1000]).await.unwrap();
            drop(responder);
            initiator.read_exact(&mut [0; 1000]).await.unwrap();
            drop(conversations);
        }
        5 => {
            let (initiator, mut responder) = first.split();
            drop(initiator);
            while let Some(Ok(_)) = responder.next().await {}
        }
        6 => {
            let Some(Chunk::Initiator(kept)) = first.next_chunk().await else { panic!("no data") };
            drop((first, conversations));
            assert_eq!(kept[..10], pattern(0, 10));
        }
        7 => conversations.handle().shutdown(),
        _ => {
            while first.next_chunk().await.is_some() {}
            while let Some(conversation) = conversations.next().await {
                let mut conversation = conversation.unwrap();
                while conversation.next_chunk().await.is_some() {}
            }
        }
    }
}

/// Tests that count what the process has in use run one after another.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn an_idle_conversation_keeps_at_most_a_kibibyte() {
    const COUNT: usize = 30_000;
    let _alone = ALONE.lock().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (feed, source) = Fed::new();
        let before = settled(0);
        let mut conversations =
            source.flow_stream(FiveTuple::bidirectional()).capacity(COUNT).into_conversations();
        let mut all = Vec::with_capacity(COUNT);
        for first in (0..COUNT).step_by(1000) {
            for number in first..first + 1000 {
                let mut connection = Connection::between(number);
                connection.send(0, &[1; 100]);
                connection.send(1, &[2; 400]);
                feed.all(&mut connection);
            }
            for _ in 0..1000 {
                let mut conversation = conversations.next().await.unwrap().unwrap();
                let mut bytes = 0;
                while bytes < 500 {
                    if let Some(Chunk::Initiator(data) | Chunk::Responder(data)) =
                        conversation.next_chunk().await
                    {
                        bytes += data.len();
                    }
                }
                all.push(conversation);
            }
        }
        // The table, the queues, the engine and what readers hold.
        let each = (settled(0) - before) as f64 / COUNT as f64;
        println!("{each:.0} bytes an idle conversation");
        assert!(each <= 1024.0, "{each:.0} bytes");
        drop(feed);
    });
}

/// A pcap file of 40 MB, made as it is read. Of each 64 KiB, 600 bytes are of the one connection.
struct Sparse {
    connection: Connection,
    rounds: usize,
    bytes: std::io::Cursor<Vec<u8>>,
}

impl Read for Sparse {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = Read::read(&mut self.bytes, buffer)?;
        if got > 0 || self.rounds == 0 {
            return Ok(got);
        }
        self.rounds -= 1;
        self.connection.send(0, &pattern(self.rounds as u64, 600));
        let mut packets: Vec<_> = self.connection.packets.drain(..).collect();
        packets.resize(packets.len() + 45, udp(0, 53, &[0; 1400]));
        self.bytes.get_mut().clear();
        self.bytes.set_position(0);
        for packet in packets {
            let len = packet.len() as u32;
            for field in [1, 0, len, len] {
                self.bytes.get_mut().extend(field.to_le_bytes());
            }
            self.bytes.get_mut().extend(packet);
        }
        Read::read(&mut self.bytes, buffer)
    }
}

#[test]
fn a_reader_of_little_keeps_little_of_a_file() {
    let _alone = ALONE.lock().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut header = Vec::new();
        for field in [0xa1b2_c3d4_u32, 4 << 16 | 2, 0, 0, 65_535, 1] {
            header.extend(field.to_le_bytes());
        }
        let bytes = std::io::Cursor::new(header);
        let file = Sparse { connection: Connection::open(1), rounds: 600, bytes };
        let before = settled(0);
        let mut conversations = CaptureFile::from_reader(file)
            .unwrap()
            .flow_stream(FiveTuple::bidirectional())
            .total_limit(8 << 20)
            .into_conversations();
        let handle = conversations.handle();
        let mut first = conversations.next().await.unwrap().unwrap();
        handle.finished().await;
        let kept = settled(0).saturating_sub(before);
        // A quarter of the limit in the file's own memory, the rest copied.
        assert!(kept < 4 << 20, "{kept} bytes for 600 segments of 600 bytes");
        let mut bytes = 0;
        while let Some(chunk) = first.next_chunk().await {
            if let Chunk::Initiator(data) = chunk {
                bytes += data.len();
            }
        }
        assert_eq!(bytes, 600 * 600);
    });
}

#[test]
fn all_memory_comes_back() {
    let _alone = ALONE.lock().unwrap();
    let once = |point, live, task| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(drop_at(point, live, task));
    };
    for point in 0..POINTS {
        for (live, task) in [(false, false), (true, false), (false, true), (true, true)] {
            once(point, live, task);
            let before = settled(0);
            for _ in 0..3 {
                once(point, live, task);
            }
            let after = settled(before + SLACK);
            assert!(
                after <= before + SLACK,
                "dropped at {point}, live {live}, task {task}: {} bytes more",
                after - before
            );
        }
    }
}

/// Bytes in use, once they are no more than `expected`, or have not changed for a while: engines
/// that are threads end in their own time.
fn settled(expected: usize) -> usize {
    let (mut last, mut since) = (BYTES.load(Relaxed), Instant::now());
    loop {
        let now = BYTES.load(Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        let patience = if expected == 0 { 300 } else { 3000 };
        if (expected > 0 && now <= expected) || since.elapsed() > Duration::from_millis(patience) {
            return now;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
