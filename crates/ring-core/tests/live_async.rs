//! Captures inside a tokio runtime, each test in network namespaces of its own.

#[path = "live/counting.rs"]
mod counting;
#[path = "live/hosts.rs"]
mod hosts;

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::thread;
use std::time::{Duration, Instant};

use futures_core::Stream;
use live_harness::{Result, assert_same, none_dropped};
use netns::Namespace;
use ring_core::{
    AsyncCapture, Capture, Error, Interrupter, IntoPacketSource as _, Next, OwnedPacket,
    PacketSource as _, Reactor, RingGeometry, Timeout,
};

use counting::allocations;
use hosts::{SOON, Sender, frame, wire};

live_harness::main!(
    every_packet_comes,
    full_blocks_are_taken_together,
    a_wait_that_is_cancelled_loses_nothing,
    a_stream_of_owned_packets,
    packets_of_a_stream_can_be_kept,
    a_busy_link_does_not_starve_others,
    nothing_is_allocated_per_packet,
    interruptions_and_deletion,
    a_deletion_is_noticed_together_with_a_block,
    blocks_that_come_back_are_waited_for,
    the_reactor_is_left,
    outside_a_runtime_it_is_an_error,
);

const FEW: RingGeometry =
    RingGeometry { block_size: 1 << 16, blocks: 8, timeout: Duration::from_millis(2) };

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn open(host: &Namespace) -> Result<AsyncCapture> {
    let open = || -> Result<_> {
        Ok(runtime()?.block_on(AsyncCapture::builder("right0").geometry(FEW).open())?)
    };
    host.run(open)?
}

fn numbered(count: u16) -> Vec<Vec<u8>> {
    (0..count).map(|port| frame(port, 80)).collect()
}

async fn next(
    stream: &mut (impl Stream<Item = Result<OwnedPacket, Error>> + Unpin),
) -> Option<Result<OwnedPacket, Error>> {
    poll_fn(|cx| pin!(&mut *stream).poll_next(cx)).await
}

fn every_packet_comes() -> Result {
    every_packet_comes_in(&runtime()?)?;
    // The reactor runs on another thread than the task.
    every_packet_comes_in(
        &tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?,
    )
}

fn every_packet_comes_in(runtime: &tokio::runtime::Runtime) -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right)?;
    let sender = Sender::new(&left, "left0")?;
    let frames = numbered(2000);
    let expected = frames.clone();
    let sending = thread::spawn(move || -> Result {
        for frames in frames.chunks(20) {
            sender.send(frames)?;
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    });
    let (seen, mut capture) = runtime.block_on(async {
        let reader = tokio::spawn(async move {
            let mut seen = Vec::new();
            while seen.len() < 2000 {
                let next = tokio::time::timeout(SOON, capture.next_block());
                let Ok(block) = next.await else { break };
                let block = block?.expect("nobody interrupts");
                seen.extend(block.packets().map(|packet| packet.data().to_vec()));
            }
            Ok::<_, Error>((seen, capture))
        });
        reader.await.expect("no panic")
    })?;
    sending.join().expect("the sender")?;
    none_dropped(capture.statistics()?.drops)?;
    assert_same(&seen, &expected, "packets");
    Ok(())
}

/// Full blocks that may wait are taken several per wake-up. None is left behind, neither if frames
/// arrive more slowly, nor if the capture leaves the reactor during a pause.
fn full_blocks_are_taken_together() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    // Four frames of 900 bytes fill a block.
    let timeout = Duration::from_millis(400);
    let small = RingGeometry { block_size: 4096, blocks: 64, timeout };
    let builder = Capture::builder("right0").geometry(small).coalesce(timeout);
    let mut capture = AsyncCapture::from(right.run(|| builder.open())??);
    let sender = Sender::new(&left, "left0")?;
    let sending = thread::spawn(move || -> Result<Sender> {
        for port in 0..402 {
            sender.send(&[frame(port, 900)])?;
            thread::sleep(Duration::from_millis(2));
        }
        thread::sleep(Duration::from_secs(1));
        for port in 402..413 {
            sender.send(&[frame(port, 900)])?;
            thread::sleep(Duration::from_millis(30));
        }
        Ok(sender)
    });
    let mut ports = Vec::new();
    let mut wakings = 0;
    runtime()?.block_on(async {
        let mut wait = pin!(async {
            while ports.len() < 410 {
                let next = tokio::time::timeout(SOON, capture.next_block());
                let Ok(block) = next.await else { break };
                let block = block?.expect("nobody interrupts");
                ports.extend(block.packets().map(|packet| port_of(packet.data())));
            }
            Ok::<_, Error>(())
        });
        poll_fn(|cx| {
            wakings += 1;
            wait.as_mut().poll(cx)
        })
        .await
    })?;
    let mut capture = capture.into_capture();
    none_dropped(capture.statistics()?.drops)?;
    assert!(wakings < 70, "{wakings} wakings for some 104 blocks");
    while ports.len() < 413 {
        let block = capture.next_block(Timeout::After(SOON))?.expect("the rest");
        ports.extend(block.packets().map(|packet| port_of(packet.data())));
    }
    sending.join().expect("the sender")?;
    none_dropped(capture.statistics()?.drops)?;
    assert!(ports.into_iter().eq(0..413));
    Ok(())
}

fn port_of(frame: &[u8]) -> u16 {
    u16::from_be_bytes([frame[36], frame[37]])
}

fn a_wait_that_is_cancelled_loses_nothing() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right)?;
    let sender = Sender::new(&left, "left0")?;
    let frames = numbered(100);
    let expected = frames.clone();
    let sending = thread::spawn(move || -> Result {
        for frame in frames.chunks(1) {
            sender.send(frame)?;
            thread::sleep(Duration::from_millis(6));
        }
        Ok(())
    });
    let (mut seen, mut cancelled, mut drops) = (Vec::new(), 0, 0);
    runtime()?.block_on(async {
        while seen.len() + drops < 100 && cancelled < 20_000 {
            match tokio::time::timeout(Duration::from_millis(1), capture.next_block()).await {
                Ok(block) => {
                    let block = block?.expect("nobody interrupts");
                    seen.extend(block.packets().map(|packet| packet.data().to_vec()));
                    continue;
                }
                Err(_) => cancelled += 1,
            };
            drops = capture.statistics()?.drops as usize;
        }
        Ok::<_, Error>(())
    })?;
    sending.join().expect("the sender")?;
    assert!(cancelled > 10, "{cancelled}");
    assert_eq!(seen.len() + drops, expected.len(), "what was not delivered was dropped");
    none_dropped(drops as u64)?;
    assert_same(&seen, &expected, "packets");
    Ok(())
}

fn a_stream_of_owned_packets() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut stream = open(&right)?.into_packets();
    Sender::new(&left, "left0")?.send(&numbered(500))?;
    let mut seen = Vec::new();
    runtime()?.block_on(async {
        for _ in 0..500 {
            let packet = tokio::time::timeout(SOON, next(&mut stream)).await?.expect("no end")?;
            assert_eq!(packet.as_packet().number(), seen.len() as u64 + 1);
            seen.push(packet.into_data().to_vec());
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    })?;
    assert_same(&seen, &numbered(500), "packets");
    Ok(())
}

fn packets_of_a_stream_can_be_kept() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    for in_place in [false, true] {
        // In place, at most half of the ring is kept.
        let count = if in_place { 4 } else { 40 };
        let mut stream = open(&right)?.into_packets().in_place(in_place);
        let mut kept = Vec::new();
        runtime()?.block_on(async {
            for port in 0..count {
                sender.send(&[frame(port, 80)])?;
                kept.push(tokio::time::timeout(SOON, next(&mut stream)).await?.expect("no end")?);
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        })?;
        let statistics = stream.statistics()?;
        assert_eq!((statistics.drops, statistics.ring_exhausted), (0, 0), "{statistics:?}");
        assert_eq!(statistics.blocks_on_loan, if in_place { 4 } else { 0 });
        assert_eq!(
            kept.iter().map(|packet| packet.data().to_vec()).collect::<Vec<_>>(),
            numbered(count)
        );
    }
    Ok(())
}

fn a_busy_link_does_not_starve_others() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right)?;
    let sender = Sender::new(&left, "left0")?;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = stop.clone();
    let sending = thread::spawn(move || -> Result {
        let frames = numbered(256);
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            sender.send(&frames)?;
        }
        Ok(())
    });
    let ticks = runtime()?.block_on(async {
        // Both run in one task, so the ticks run only if the reader yields.
        let reader = tokio::spawn(async move {
            loop {
                let block = capture.next_block().await?.expect("nobody interrupts");
                std::hint::black_box(block.packets().count());
                drop(block);
                if std::hint::black_box(false) {
                    return Ok::<_, Error>(());
                }
            }
        });
        let (until, mut ticks) = (Instant::now() + Duration::from_millis(500), 0);
        while Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
            ticks += 1;
        }
        reader.abort();
        ticks
    });
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    sending.join().expect("the sender")?;
    assert!(ticks > 20, "{ticks} ticks of a millisecond in half a second");
    Ok(())
}

/// No allocation per packet; a few per block of packets that own their bytes.
fn nothing_is_allocated_per_packet() -> Result {
    const PACKETS: usize = 3000;
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let send = |interrupter: Interrupter| -> Result<thread::JoinHandle<Result>> {
        let sender = Sender::new(&left, "left0")?;
        Ok(thread::spawn(move || {
            for frames in numbered(PACKETS as u16).chunks(100) {
                sender.send(frames)?;
                thread::sleep(Duration::from_millis(1));
            }
            // The kernel drops packets on a busy machine, so waiting for all of them could last
            // forever.
            thread::sleep(Duration::from_millis(100));
            interrupter.interrupt();
            Ok(())
        }))
    };
    let mut capture = open(&right)?;
    let runtime_of_all = runtime()?;
    // The first wait of each kind allocates something, and the timing of packets decides which
    // kinds occur. Allocations per packet, block or wait would show in every round.
    let mut rounds = Vec::new();
    while rounds.len() < 6 && !rounds.contains(&0) {
        let sending = send(capture.interrupter())?;
        let (seen, allocated) = runtime_of_all.block_on(async {
            let (mut seen, before) = (0, allocations());
            while let Some(block) = capture.next_block().await? {
                seen += block.packets().map(|packet| packet.data().len() / 80).sum::<usize>();
            }
            Ok::<_, Error>((seen, allocations() - before))
        })?;
        sending.join().expect("the sender")?;
        assert!(seen > PACKETS / 10, "{seen} packets");
        rounds.push(allocated);
    }
    assert!(rounds.contains(&0), "allocations in each round: {rounds:?}");

    for in_place in [false, true] {
        let capture = open(&right)?;
        let sending = send(capture.interrupter())?;
        let mut stream = capture.into_packets().in_place(in_place);
        let (seen, allocated) = runtime()?.block_on(async {
            let (mut seen, before) = (0, allocations());
            while let Some(packet) = next(&mut stream).await {
                assert_eq!(packet?.data().len(), 80);
                seen += 1;
            }
            Ok::<_, Error>((seen, allocations() - before))
        })?;
        sending.join().expect("the sender")?;
        assert!(seen > PACKETS as u64 / 10, "{seen} packets");
        assert!(allocated < seen / 5, "{allocated} allocations for {seen} packets");
    }
    Ok(())
}

fn interruptions_and_deletion() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (_l, r) = wire(&left, &right)?;
    let mut capture = open(&right)?;
    let interrupter = capture.interrupter();
    runtime()?.block_on(async {
        let other = thread::spawn(move || {
            thread::sleep(Duration::from_millis(30));
            interrupter.interrupt();
        });
        let ended = tokio::time::timeout(SOON, capture.next_block()).await?;
        assert!(ended?.is_none());
        other.join().expect("the other thread");
        // First down, which the kernel reports, then deleted, which it does not.
        r.down()?;
        assert!(
            tokio::time::timeout(Duration::from_millis(100), capture.next_block()).await.is_err()
        );
        r.delete()?;
        let ended = tokio::time::timeout(SOON, capture.next_block()).await?;
        assert!(matches!(ended, Err(Error::InterfaceGone { .. })), "{ended:?}");
        Ok(())
    })
}

/// Other events are not forgotten if they were reported together with a block.
fn a_deletion_is_noticed_together_with_a_block() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (_l, r) = wire(&left, &right)?;
    let mut capture = open(&right)?;
    let sender = Sender::new(&left, "left0")?;
    runtime()?.block_on(async {
        let wait = capture.next_block();
        assert!(tokio::time::timeout(Duration::from_millis(20), wait).await.is_err());
        sender.send(&[frame(1, 80)])?;
        thread::sleep(Duration::from_millis(20));
        r.down()?;
        r.delete()?;
        let block = tokio::time::timeout(SOON, capture.next_block()).await??;
        assert_eq!(block.expect("a block").len(), 1);
        let ended = tokio::time::timeout(SOON, capture.next_block()).await?;
        assert!(matches!(ended, Err(Error::InterfaceGone { .. })), "{ended:?}");
        Ok(())
    })
}

/// If all blocks of a ring are kept, capturing continues when they are returned, on any thread.
fn blocks_that_come_back_are_waited_for() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right)?;
    let sender = Sender::new(&left, "left0")?;
    runtime()?.block_on(async {
        let mut kept = Vec::new();
        for port in 0..8 {
            sender.send(&[frame(port, 80)])?;
            let block = tokio::time::timeout(SOON, capture.next_block()).await??;
            kept.push(block.expect("a block").share());
        }
        let wait = capture.next_block();
        assert!(tokio::time::timeout(Duration::from_millis(20), wait).await.is_err());
        let (started, start) = std::sync::mpsc::channel();
        let other = thread::spawn(move || -> Result {
            start.recv()?;
            thread::sleep(Duration::from_millis(20));
            drop(kept);
            thread::sleep(Duration::from_millis(20));
            sender.send(&[frame(8, 80)])?;
            Ok(())
        });
        started.send(())?;
        let block = tokio::time::timeout(SOON, capture.next_block()).await??;
        let ports: Vec<_> =
            block.expect("a block").packets().map(|packet| port_of(packet.data())).collect();
        assert_eq!(ports, [8]);
        other.join().expect("the other thread")
    })?;
    assert!(capture.statistics()?.ring_exhausted > 0);
    Ok(())
}

fn the_reactor_is_left() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right)?;
    let sender = Sender::new(&left, "left0")?;
    runtime()?.block_on(async {
        sender.send(&[frame(1, 80)])?;
        let block = tokio::time::timeout(SOON, capture.next_block()).await??;
        assert_eq!(block.expect("a block").len(), 1);
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    })?;
    let mut source = capture.into_packet_source()?;
    sender.send(&[frame(2, 80)])?;
    // The source was not called yet, and its descriptor reports the block.
    let runtime = runtime()?;
    let entered = runtime.enter();
    let reactor = Reactor::watch(source.readiness().expect("one to wait on"))?;
    drop(entered);
    runtime.block_on(async {
        let ready = poll_fn(|cx| reactor.poll_ready(cx));
        tokio::time::timeout(SOON, ready).await.expect("readable in time")
    })?;
    assert!(matches!(source.next_batch(Timeout::After(SOON))?, Next::Batch(_)));
    Ok(())
}

fn outside_a_runtime_it_is_an_error() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right)?;
    let mut future = pin!(capture.next_block());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match Future::poll(future.as_mut(), &mut context) {
        std::task::Poll::Ready(Err(Error::NoRuntime)) => Ok(()),
        other => panic!("{other:?}"),
    }
}
