//! Blocks on loan, and a ring without room.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use live_harness::{Result, none_dropped};
use netns::Namespace;
use ring_core::{Capture, PacketBatch as _, RingGeometry, Timeout};

use crate::captures::{FEW, SHORT, open, thread_time};
use crate::hosts::{SOON, Sender, frame, wire};

pub(crate) fn kept_blocks_exhaust_the_ring_and_come_back() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right, Capture::builder("right0").geometry(FEW))?;
    let sender = Sender::new(&left, "left0")?;
    let mut kept = Vec::new();
    for port in 1..=4 {
        sender.send(&[frame(port, 60)])?;
        kept.push(capture.next_block(Timeout::After(SOON))?.expect("a block").share());
    }
    assert_eq!((capture.statistics()?.blocks_on_loan, capture.free_blocks()), (4, 0));
    sender.send(&[frame(5, 60)])?;
    assert!(capture.next_block(SHORT)?.is_none(), "every block is kept");
    let statistics = capture.statistics()?;
    assert_eq!(statistics.ring_exhausted, 1);
    assert_eq!(statistics.drops, 1, "the kernel had no room");
    // Kept packets are unchanged, and the wait ends when another thread returns the next block.
    let ports: Vec<_> = kept.iter().flat_map(|b| b.packets().map(|p| p.data().to_vec())).collect();
    assert_eq!(ports, (1..=4).map(|port| frame(port, 60)).collect::<Vec<_>>());
    let giver = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        drop(kept);
        let frames = [frame(6, 60)];
        sender.send(&frames).map(|()| sender)
    });
    let block = capture.next_block(Timeout::After(SOON))?.expect("packets again");
    let packet = block.packets().next().expect("a packet");
    assert_eq!(packet.data(), frame(6, 60));
    assert!(packet.meta().losing, "a packet was lost before this");
    drop(block);
    giver.join().expect("the other thread")?;
    let statistics = capture.statistics()?;
    assert_eq!((statistics.packets, statistics.drops, statistics.losing), (6, 1, 1));
    assert_eq!(statistics.blocks_on_loan, 0);
    Ok(())
}

pub(crate) fn an_idle_link_with_its_newest_block_kept_costs_nothing() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    for blocks in [2, 8] {
        let geometry = RingGeometry { blocks, ..FEW };
        let mut capture = open(&right, Capture::builder("right0").geometry(geometry))?;
        // First only the newest block is kept, then all blocks.
        for keep in [1, blocks] {
            let mut kept = Vec::new();
            for port in 0..keep {
                sender.send(&[frame(port as u16, 60)])?;
                kept.push(capture.next_block(Timeout::After(SOON))?.expect("a block").share());
            }
            let (idle, before) = (Duration::from_secs(1), thread_time());
            assert!(capture.next_block(Timeout::After(idle))?.is_none());
            let used = thread_time() - before;
            assert!(
                used < idle / 100,
                "{used:?} of processor time while {keep} of {blocks} blocks are kept"
            );
        }
    }
    Ok(())
}

pub(crate) fn drops_add_up() -> Result {
    const SENT: usize = 20_000;
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right, Capture::builder("right0").geometry(FEW))?;
    let frames: Vec<_> = (0..SENT).map(|at| frame(at as u16, 200)).collect();
    Sender::new(&left, "left0")?.send(&frames)?;
    let (mut delivered, mut marked) = (0, 0);
    while let Some(block) = capture.next_block(SHORT)? {
        delivered += block.packets().count() as u64;
        marked += block.packets().filter(|packet| packet.meta().losing).count() as u64;
    }
    Sender::new(&left, "left0")?.send(&frames[..10])?;
    while let Some(block) = capture.next_block(SHORT)? {
        delivered += block.packets().count() as u64;
        marked += block.packets().filter(|packet| packet.meta().losing).count() as u64;
    }
    let statistics = capture.statistics()?;
    assert_eq!(statistics.packets, SENT as u64 + 10);
    assert!(statistics.drops > 0, "four blocks of 64 KiB do not hold them");
    assert_eq!(delivered + statistics.drops, statistics.packets);
    assert_eq!(statistics.losing, marked);
    assert!(marked > 0 && statistics.freezes > 0, "{statistics:?}");
    assert_eq!(capture.statistics()?, statistics, "totals stay");
    Ok(())
}

pub(crate) fn a_dropped_capture_with_a_kept_block_stops_collecting() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    for locked in [false, true] {
        let mut capture =
            open(&right, Capture::builder("right0").geometry(FEW).lock_filter(locked))?;
        sender.send(&[frame(1, 60)])?;
        let block = capture.next_block(Timeout::After(SOON))?.expect("a block").share();
        drop(capture);
        let frames: Vec<_> = (0..5000).map(|at| frame(at, 60)).collect();
        sender.send(&frames)?;
        let data: Vec<_> = block.packets().map(|packet| packet.data().to_vec()).collect();
        assert_eq!(data, [frame(1, 60)], "it is still readable");
    }
    Ok(())
}

/// A capturing thread passes blocks to workers over a bounded queue, and nothing is copied.
pub(crate) fn shared_blocks_go_to_workers() -> Result {
    const SENT: u16 = 30_000;
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right, Capture::builder("right0"))?;
    let (blocks, queue) = mpsc::sync_channel::<ring_core::SharedBlock>(8);
    let queue = std::sync::Arc::new(std::sync::Mutex::new(queue));
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let queue = queue.clone();
            thread::spawn(move || {
                let mut ports = Vec::new();
                loop {
                    let next = queue.lock().expect("no worker panics").recv();
                    let Ok(block) = next else { return ports };
                    let memory = block.retain().expect("a shared block is kept already");
                    for packet in &block {
                        let data = memory.slice_ref(packet.data());
                        assert_eq!(data.as_ptr(), packet.data().as_ptr());
                        ports.push(u16::from_be_bytes([data[36], data[37]]));
                    }
                }
            })
        })
        .collect();
    let sender = Sender::new(&left, "left0")?;
    let sending = thread::spawn(move || {
        sender.send(&(0..SENT).map(|port| frame(port, 100)).collect::<Vec<_>>())
    });
    while let Some(block) = capture.next_block(SHORT)? {
        blocks.send(block.share())?;
    }
    sending.join().expect("the sender")?;
    drop(blocks);
    let mut ports: Vec<_> =
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect();
    ports.sort_unstable();
    none_dropped(capture.statistics()?.drops)?;
    assert_eq!(ports, (0..SENT).collect::<Vec<_>>());
    assert_eq!(capture.statistics()?.blocks_on_loan, 0);
    Ok(())
}

/// The capture is dropped while another thread reads one of its blocks. The ring must stay until
/// that is done, and no longer.
pub(crate) fn a_thread_reads_on_while_the_capture_goes() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    let frames: Vec<_> = (0..200).map(|port| frame(port, 200)).collect();
    for _ in 0..10 {
        let mut capture = open(&right, Capture::builder("right0").geometry(FEW))?;
        assert_eq!(rings_mapped()?, 1);
        sender.send(&frames)?;
        let block = capture.next_block(Timeout::After(SOON))?.expect("packets").share();
        let first = block.bytes().slice_ref(block.packets().next().expect("one").data());
        let expected = frames.clone();
        let (begun, has_begun) = mpsc::channel();
        let (gone, has_gone) = mpsc::channel();
        let reader = thread::spawn(move || {
            let (mut rounds, mut after) = (0, 0);
            while after < 3 {
                for (packet, expected) in block.packets().zip(&expected) {
                    assert_eq!(packet.data(), expected);
                }
                rounds += 1;
                if rounds == 2 {
                    begun.send(()).expect("the test waits");
                }
                after += u32::from(after > 0 || has_gone.try_recv().is_ok());
            }
            block.len()
        });
        has_begun.recv()?;
        drop(capture);
        sender.send(&frames)?;
        gone.send(())?;
        assert!(reader.join().expect("nothing was wrong with the packets") > 0);
        // Bytes cut from the block keep it, on any thread.
        assert_eq!(rings_mapped()?, 1);
        let last = thread::spawn(move || first.to_vec());
        assert_eq!(last.join().expect("a copy"), frames[0]);
        assert_eq!(rings_mapped()?, 0);
    }
    Ok(())
}

/// A copy of a block can be kept without a limit: it keeps neither the ring's memory nor its
/// socket.
pub(crate) fn a_copy_keeps_nothing_of_the_ring() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right, Capture::builder("right0").snaplen(60).geometry(FEW))?;
    Sender::new(&left, "left0")?.send(&[frame(1, 60), frame(2, 100)])?;
    let copy = capture.next_block(Timeout::After(SOON))?.expect("packets").copy();
    assert_eq!(capture.statistics()?.truncated, 1);
    drop(capture);
    assert_eq!(rings_mapped()?, 0);
    let lens: Vec<_> =
        copy.packets().map(|packet| (packet.data().len(), packet.wire_len())).collect();
    assert_eq!(lens, [(60, 60), (60, 100)]);
    Ok(())
}

/// Number of packet sockets whose ring is mapped in this process.
fn rings_mapped() -> Result<usize> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    Ok(maps.lines().filter(|line| line.contains(" socket:[")).count())
}

/// No way of receiving allocates memory per packet; a block on loan costs a few allocations.
pub(crate) fn nothing_is_allocated_per_packet() -> Result {
    const PACKETS: u64 = 10_000;
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right, Capture::builder("right0"))?;
    let sender = Sender::new(&left, "left0")?;
    let frames: Vec<_> = (0..PACKETS as u16).map(|port| frame(port, 60)).collect();

    sender.send(&frames)?;
    let (before, mut seen) = (crate::counting::allocations(), 0);
    while let Some(block) = capture.next_block(SHORT)? {
        seen += block.packets().count() as u64;
    }
    assert_eq!((seen, crate::counting::allocations() - before), (PACKETS, 0), "by block");

    sender.send(&frames)?;
    let (before, mut seen) = (crate::counting::allocations(), 0);
    while let Some(packet) = capture.next_packet(SHORT)? {
        seen += u64::from(packet.data().len() == 60);
    }
    assert_eq!((seen, crate::counting::allocations() - before), (PACKETS, 0), "one by one");

    sender.send(&frames)?;
    let (before, mut seen, mut blocks) = (crate::counting::allocations(), 0, 0);
    while let Some(block) = capture.next_block(SHORT)? {
        let shared = block.share();
        for packet in &shared {
            seen += u64::from(shared.bytes().slice_ref(packet.data()).len() == 60);
        }
        blocks += 1;
    }
    let allocated = crate::counting::allocations() - before;
    assert_eq!(seen, PACKETS);
    assert!(allocated <= 3 * blocks, "{allocated} allocations for {blocks} blocks on loan");
    Ok(())
}
