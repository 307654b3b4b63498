//! Receiving.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use live_harness::Result;
use netns::Namespace;
use ring_core::{
    Error, LinkType, Next, PacketBatch as _, PacketSource as _, Timeout, TimestampSource, xdp,
};

use crate::hosts::{Sender, wire};
use crate::setup::{MODES, SHORT, SOON, assert_same, assert_silent, collect, frames, open};

fn packets_arrive(attach: xdp::Attach, mode: xdp::Mode) -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let builder = xdp::Socket::builder("right0").attach(attach).zero_copy(xdp::ZeroCopy::Wanted);
    let mut socket = open(&right, &builder)?;
    assert_eq!(socket.outcome().mode, Some(mode));
    assert!(!socket.outcome().zero_copy, "veth copies");
    assert_eq!(socket.link_type(), Some(LinkType::ETHERNET));
    assert_silent(&mut socket)?;

    let sender = Sender::new(&left, "left0")?;
    let sent = frames(3000, 1514);
    let mut seen = Vec::new();
    for part in sent.chunks(500) {
        sender.send(part)?;
        seen.extend(collect(&mut socket, part.len())?);
    }
    assert_same(&seen, &sent);
    assert_eq!(seen, sent, "one queue keeps the order");
    assert_silent(&mut socket)?;

    sender.send(&sent[..2])?;
    let Next::Batch(batch) = socket.next_batch(Timeout::After(SOON))? else { panic!("packets") };
    let packet = batch.packets().next().expect("a batch is not empty");
    assert_eq!(packet.number(), 3001);
    assert_eq!(packet.meta().timestamp_source, TimestampSource::Software);
    assert!(packet.timestamp().seconds() > 1_700_000_000);
    drop(batch);
    let statistics = socket.statistics()?;
    assert_eq!((statistics.drops, statistics.malformed, statistics.ring_exhausted), (0, 0, 0));
    Ok(())
}

pub(crate) fn packets_arrive_in_native_mode() -> Result {
    packets_arrive(xdp::Attach::Native, xdp::Mode::Native)?;
    packets_arrive(xdp::Attach::Auto, xdp::Mode::Native)
}

pub(crate) fn packets_arrive_in_generic_mode() -> Result {
    packets_arrive(xdp::Attach::Generic, xdp::Mode::Generic)
}

pub(crate) fn frames_are_kept_on_other_threads() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let mut socket = open(&right, &xdp::Socket::builder("right0"))?;
    let umem = socket.umem();
    let sender = Sender::new(&left, "left0")?;
    let sent = frames(4000, 200);
    let (to, from) = mpsc::channel::<Box<dyn AsRef<[u8]> + Send + Sync>>();
    let worker = thread::spawn(move || {
        let mut seen = Vec::new();
        for data in from {
            seen.push((*data).as_ref().to_vec());
        }
        seen
    });
    let mut copied = 0;
    for part in sent.chunks(400) {
        sender.send(part)?;
        let mut got = 0;
        while got < part.len() {
            let Next::Batch(batch) = socket.next_batch(Timeout::After(SOON))? else {
                panic!("{got} of {} packets", part.len())
            };
            got += batch.len();
            if got % 2 == 0 {
                for packet in batch.packets() {
                    match batch.retain_packet(&packet) {
                        Some(bytes) => to.send(Box::new(bytes))?,
                        None => {
                            copied += 1;
                            to.send(Box::new(packet.data().to_vec()))?;
                        }
                    }
                }
            } else {
                for (frame, meta) in batch.into_frames() {
                    assert_eq!(meta.wire_len as usize, frame.len());
                    to.send(Box::new(frame))?;
                }
            }
        }
    }
    drop(to);
    let seen = worker.join().expect("the worker");
    assert_same(&seen, &sent);
    println!("{copied} of {} packets were better copied", sent.len());
    assert_eq!(umem.held_frames(), 0);
    drop(socket);
    assert_eq!(umem.free_frames(), umem.frames() as usize);
    Ok(())
}

pub(crate) fn a_receiver_that_starves_goes_on_when_frames_come_back() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    for mode in MODES {
        let memory = xdp::UmemConfig::new().frames(64);
        let builder = xdp::Socket::builder("right0")
            .attach(mode)
            .ring_size(64)
            .fill_target(64)
            .memory(memory);
        let mut socket = open(&right, &builder)?;
        let sender = Sender::new(&left, "left0")?;
        let sent = frames(128, 100);
        sender.send(&sent[..64])?;
        let mut kept = Vec::new();
        while kept.len() < 64 {
            let Next::Batch(batch) = socket.next_batch(Timeout::After(SOON))? else {
                panic!("{} packets", kept.len())
            };
            kept.extend(batch.into_frames().map(|(frame, _)| frame));
        }
        assert_silent(&mut socket)?;
        sender.send(&sent[64..70])?;
        assert_silent(&mut socket)?;
        let statistics = socket.statistics()?;
        assert_eq!(statistics.blocks_on_loan, 64);
        assert!(statistics.ring_exhausted >= 1 && statistics.drops == 6, "{statistics:?}");

        // Another thread returns the frames while the receiver sleeps.
        let (started, pause) = (Instant::now(), Duration::from_millis(100));
        let last = sent[127].clone();
        let giver = thread::spawn(move || -> Result {
            thread::sleep(pause);
            drop(kept);
            // After the wake-up the kernel gets its frames, and a packet can arrive.
            thread::sleep(pause);
            sender.send(&[last]).map(|()| drop(sender))
        });
        assert_eq!(collect(&mut socket, 1)?, [sent[127].clone()]);
        assert!(started.elapsed() >= pause * 2);
        giver.join().expect("the giver")?;
    }
    Ok(())
}

pub(crate) fn drops_are_counted() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let memory = xdp::UmemConfig::new().frames(256);
    let builder = xdp::Socket::builder("right0").ring_size(128).memory(memory);
    let mut socket = open(&right, &builder)?;
    let sender = Sender::new(&left, "left0")?;
    let sent = frames(1000, 100);
    sender.send(&sent)?;
    thread::sleep(SHORT);
    let seen = collect(&mut socket, 128)?;
    assert_eq!(seen, sent[..128]);
    assert_silent(&mut socket)?;
    let statistics = socket.statistics()?;
    assert_eq!((statistics.packets, statistics.drops), (1000, 872), "{statistics:?}");
    // Later packets are received normally.
    sender.send(&sent[..100])?;
    assert_eq!(collect(&mut socket, 100)?, sent[..100]);
    Ok(())
}

pub(crate) fn jumbo_packets_span_frames() -> Result {
    for mode in MODES {
        let (left, right) = (Namespace::new()?, Namespace::new()?);
        let (l, r) = wire(&left, &right)?;
        l.set_mtu(9000)?;
        r.set_mtu(9000)?;
        let mut socket = open(&right, &xdp::Socket::builder("right0").attach(mode))?;
        assert!(socket.outcome().multi_buffer, "the MTU says so");
        let sender = Sender::new(&left, "left0")?;
        let sent =
            [frames(3, 90), vec![crate::hosts::frame(7, 8900), crate::hosts::frame(8, 9014)]]
                .concat();
        sender.send(&sent)?;
        assert_eq!(collect(&mut socket, sent.len())?, sent);

        sender.send(&sent[4..])?;
        let Next::Batch(batch) = socket.next_batch(Timeout::After(SOON))? else {
            panic!("a packet")
        };
        let kept: Vec<_> = batch.packets().map(|packet| batch.retain_packet(&packet)).collect();
        assert_eq!(kept[0].as_deref(), Some(&sent[4][..]), "a copy, since it is in pieces");
        let pieces: Vec<_> = batch.into_frames().map(|(frame, _)| frame).collect();
        assert!(pieces.len() >= 3, "{} pieces", pieces.len());
        let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.data()).copied().collect();
        assert_eq!(joined, sent[4]);
        drop((pieces, socket));

        let off = xdp::Socket::builder("right0").attach(mode).multi_buffer(xdp::MultiBuffer::Off);
        let mut socket = open(&right, &off)?;
        sender.send(&sent)?;
        assert_eq!(collect(&mut socket, 3)?, sent[..3]);
        assert_silent(&mut socket)?;
        assert_eq!(socket.statistics()?.drops, 2, "those that do not fit are counted");
    }
    Ok(())
}

pub(crate) fn large_segments_come_whole_in_generic_mode() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let mut socket = open(
        &right,
        &xdp::Socket::builder("right0").attach(xdp::Attach::Generic).steer("tcp dst port 80"),
    )?;
    // Steered packets are never acknowledged, so only the first flight arrives, coalesced by the
    // stack.
    let listener = right.run(|| TcpListener::bind("10.9.0.2:81"))??;
    let echo = thread::spawn(move || -> std::io::Result<Vec<u8>> {
        let mut got = Vec::new();
        listener.accept()?.0.read_to_end(&mut got)?;
        Ok(got)
    });
    let mut other = left.run(|| TcpStream::connect("10.9.0.2:81"))??;
    let data: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
    other.write_all(&data)?;
    drop(other);
    assert_eq!(echo.join().expect("the listener")?, data, "what is not steered arrives");
    assert_silent(&mut socket)?;
    let attempt = left
        .run(|| TcpStream::connect_timeout(&"10.9.0.2:80".parse().expect("an address"), SHORT))?;
    assert!(attempt.is_err(), "its SYN went to the socket");
    assert!(!collect(&mut socket, 1)?.is_empty());
    Ok(())
}

pub(crate) fn memory_of_huge_pages() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let preferred = xdp::UmemConfig::new().frames(1024).huge_pages(xdp::HugePages::Preferred);
    let mut socket = open(&right, &xdp::Socket::builder("right0").memory(preferred.clone()))?;
    // 2 MiB of frames are one huge page, if the machine has a free one
    // (`/proc/sys/vm/nr_hugepages`).
    let free = free_huge_pages()?;
    println!("huge pages: {}, {free} more", socket.umem().has_huge_pages());
    assert!(socket.umem().has_huge_pages() || free < 2);
    let sender = Sender::new(&left, "left0")?;
    let sent = frames(100, 1000);
    sender.send(&sent)?;
    assert_eq!(collect(&mut socket, 100)?, sent);
    let required = preferred.frames(1 << 20).frame_size(4096).huge_pages(xdp::HugePages::Required);
    let error = required.allocate().expect_err("4 GiB of huge pages are not reserved here");
    assert!(matches!(error, xdp::Error::HugePages { needed, .. } if needed == 1 << 32), "{error}");
    Ok(())
}

pub(crate) fn unaligned_frames_of_any_size() -> Result {
    for mode in MODES {
        let (left, right) = (Namespace::new()?, Namespace::new()?);
        let (l, r) = wire(&left, &right)?;
        for link in [&l, &r] {
            link.set_mtu(2500)?;
        }
        let mut peer = left.run(|| {
            ring_core::Capture::builder("left0").block_timeout(Duration::from_millis(5)).open()
        })??;
        // Most frames cross a page boundary.
        let memory = xdp::UmemConfig::new().frames(333).frame_size(2816).unaligned(true);
        let builder = xdp::Socket::builder("right0").attach(mode).ring_size(128).memory(memory);
        let required = builder.clone().zero_copy(xdp::ZeroCopy::Required);
        let error = crate::setup::opened(&right, &required)?.expect_err("always copied");
        assert!(matches!(error, xdp::Error::UnalignedZeroCopy | xdp::Error::Permission { .. }));
        let mut socket = open(&right, &builder.multi_buffer(xdp::MultiBuffer::Off))?;
        let umem = socket.umem();
        let sender = Sender::new(&left, "left0")?;
        let sent = frames(1000, 2514);
        for part in sent.chunks(50) {
            sender.send(part)?;
            let mut got = Vec::new();
            while got.len() < part.len() {
                let Next::Batch(batch) = socket.next_batch(Timeout::After(SOON))? else {
                    panic!("{} packets", got.len())
                };
                got.extend(batch.into_frames().map(|(frame, _)| frame));
            }
            assert!(got.iter().map(|frame| frame.data()).eq(part.iter().map(|frame| &frame[..])));
            // Frames are sent back to their origin in the same memory.
            assert_same(&collect(&mut peer, part.len())?, part);
            for mut frame in got {
                frame.data_mut()[..12].rotate_left(6);
                socket.send(frame)?;
            }
            assert!(socket.sender()?.drain(Timeout::After(SOON))?);
            let back: Vec<_> = part
                .iter()
                .map(|frame| [&frame[6..12], &frame[..6], &frame[12..]].concat())
                .collect();
            assert_same(&collect(&mut peer, part.len())?, &back);
        }
        let statistics = socket.statistics()?;
        assert_eq!((statistics.drops, statistics.malformed), (0, 0));
        drop(socket);
        assert_eq!(umem.free_frames(), 333);
    }
    Ok(())
}

fn free_huge_pages() -> Result<u64> {
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let line = memory.lines().find_map(|line| line.strip_prefix("HugePages_Free:"));
    Ok(line.ok_or("no word of huge pages")?.trim().parse()?)
}

pub(crate) fn an_interface_that_goes_away_is_an_error() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (_l, r) = wire(&left, &right)?;
    let mut socket = open(&right, &xdp::Socket::builder("right0"))?;
    r.delete()?;
    let started = Instant::now();
    let error = loop {
        match socket.next_batch(Timeout::After(SOON)) {
            Err(error) => break error,
            Ok(Next::TimedOut) => panic!("it should not take so long"),
            Ok(_) => {}
        }
    };
    assert!(matches!(error, Error::InterfaceGone { .. }), "{error}");
    assert!(started.elapsed() < SOON);
    Ok(())
}

pub(crate) fn a_queue_can_be_opened_again_at_once() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    let sent = frames(10, 100);
    let mut modes = HashSet::new();
    for round in 0..20 {
        let builder = xdp::Socket::builder("right0").attach(MODES[round % 2]);
        let mut socket = open(&right, &builder)?;
        modes.insert(socket.outcome().mode);
        sender.send(&sent)?;
        assert_eq!(collect(&mut socket, 10)?, sent, "round {round}");
    }
    assert_eq!(modes.len(), 2);
    Ok(())
}
