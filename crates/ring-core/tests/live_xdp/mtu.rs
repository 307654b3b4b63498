//! Raising an interface's MTU while sockets are open on it.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use live_harness::Result;
use netns::Namespace;
use ring_core::{Error, Next, PacketBatch as _, PacketSource, Side, Timeout, xdp};
use ring_sys::event::{self, READABLE};

use crate::hosts::{Sender, frame, wire};
use crate::setup::{SHORT, SOON, assert_silent, collect, need_root, open};
use crate::together::Line;

/// Waits with the source, as a capturing program does, until a raised MTU is reported.
fn report(source: &mut impl PacketSource, reports: &xdp::MtuReports) -> Result<xdp::RaisedMtu> {
    let started = Instant::now();
    while started.elapsed() < SOON {
        match source.next_batch(Timeout::After(SHORT))? {
            Next::Batch(batch) => {
                let packets = batch.packets().map(|packet| packet.data().to_vec());
                panic!("packets: {:02x?}", packets.collect::<Vec<_>>());
            }
            _ => {
                if let Some(raised) = reports.take() {
                    return Ok(raised);
                }
            }
        }
    }
    Err("nothing is reported".into())
}

/// Frames, two of which are longer than the memory's frames.
fn long() -> Vec<Vec<u8>> {
    vec![frame(1, 60), frame(2, 8900), frame(3, 1514), frame(4, 9014)]
}

pub(crate) fn packets_of_a_raised_mtu_are_counted() -> Result {
    need_root()?;
    for (mode, pieces, fits) in [
        (xdp::Attach::Native, xdp::MultiBuffer::Auto, false),
        (xdp::Attach::Generic, xdp::MultiBuffer::Auto, true),
        (xdp::Attach::Generic, xdp::MultiBuffer::Off, false),
    ] {
        let (left, right) = (Namespace::new()?, Namespace::new()?);
        let (l, r) = wire(&left, &right)?;
        let builder = xdp::Socket::builder("right0").attach(mode).multi_buffer(pieces);
        let mut group = right.run(|| builder.group().open())??;
        let reports = group.mtu_reports();
        assert_eq!(reports.take(), None);
        l.set_mtu(9000)?;
        r.set_mtu(9000)?;
        let raised = right.run(|| report(&mut group, &reports))??;
        assert_eq!((raised.interface.as_str(), raised.before, raised.now), ("right0", 1500, 9000));
        assert_eq!((raised.fits, raised.reopened), (fits, false), "{mode:?} {pieces:?}");
        Sender::new(&left, "left0")?.send(&long())?;
        let expected = if fits { long() } else { vec![frame(1, 60), frame(3, 1514)] };
        let seen = collect(&mut group, expected.len())?;
        assert_silent(&mut group)?;
        live_harness::assert_same(&seen, &expected, "what fits");
        let statistics = group.statistics()?;
        assert_eq!((statistics.packets, statistics.drops), (4, 4 - expected.len() as u64));
        // Reopened explicitly, whatever the builder's setting.
        if !fits && pieces == xdp::MultiBuffer::Auto {
            right.run(|| group.reopen())??;
            Sender::new(&left, "left0")?.send(&long())?;
            let mut seen = Vec::new();
            while let Next::Batch(batch) = group.next_batch(Timeout::After(SHORT))? {
                seen.extend(batch.packets().map(|packet| packet.data().to_vec()));
            }
            live_harness::assert_same(&seen, &long(), "what was opened again");
            let statistics = group.statistics()?;
            assert_eq!((statistics.packets, statistics.drops), (8, 2), "totals go on");
        }
        r.set_mtu(1500)?;
        assert!(matches!(
            group.next_batch(Timeout::After(Duration::from_secs(1)))?,
            Next::TimedOut
        ));
        assert_eq!(reports.take(), None, "a lowered one");
    }
    Ok(())
}

pub(crate) fn a_group_is_opened_again_for_a_raised_mtu() -> Result {
    need_root()?;
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (l, r) = wire(&left, &right)?;
    let builder = xdp::Socket::builder("right0").attach(xdp::Attach::Native).reopen(true);
    let mut group = right.run(|| builder.group().open())??;
    let reports = group.mtu_reports();
    let sender = Sender::new(&left, "left0")?;
    let readiness = group.readiness().ok_or("it waits")?.try_clone_to_owned()?;
    sender.send(&[frame(9, 100)])?;
    let Next::Batch(batch) = group.next_batch(Timeout::After(SOON))? else { panic!("a packet") };
    let kept = batch.packets().find_map(|packet| batch.retain_packet(&packet)).ok_or("kept")?;
    drop(batch);
    l.set_mtu(9000)?;
    r.set_mtu(9000)?;
    // The interface cannot be opened from another namespace, so it is left unchanged.
    let raised = left.run(|| report(&mut group, &reports))??;
    assert_eq!((raised.fits, raised.reopened), (false, false));
    r.set_mtu(9001)?;
    let raised = right.run(|| report(&mut group, &reports))??;
    assert_eq!((raised.before, raised.now), (9000, 9001));
    assert_eq!((raised.fits, raised.reopened), (true, true));
    assert_eq!(kept[..], frame(9, 100), "what is kept of before stays");
    sender.send(&long())?;
    // The same descriptor wakes its waiters.
    let ready = event::poll(
        [(&readiness, READABLE)].map(|(fd, events)| (std::os::fd::AsFd::as_fd(fd), events)),
        Some(SOON),
    )?;
    assert_eq!(ready[0] & READABLE, READABLE);
    let mut numbers = Vec::new();
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let Next::Batch(batch) = group.next_batch(Timeout::After(SOON))? else {
            panic!("{} packets", seen.len())
        };
        for packet in batch.packets() {
            numbers.push(packet.number());
            seen.push(packet.data().to_vec());
        }
    }
    live_harness::assert_same(&seen, &long(), "all");
    assert_eq!(numbers, [2, 3, 4, 5]);
    let statistics = group.statistics()?;
    assert_eq!((statistics.packets, statistics.drops), (5, 0));
    // A socket that cannot be reopened returns an error each time, and continues once it can.
    r.delete()?;
    for _ in 0..2 {
        let error = right.run(|| group.reopen())?.expect_err("the interface has gone");
        assert!(matches!(Error::from(error), Error::NoInterface { .. }));
        let waited = right.run(|| group.next_batch(Timeout::After(SHORT)).map(drop))?;
        assert!(waited.is_err(), "there is nothing to wait for");
    }
    assert!(group.is_empty() && group.statistics()?.packets == 5);
    Ok(())
}

pub(crate) fn a_tap_is_opened_again_for_a_raised_mtu() -> Result {
    need_root()?;
    let (left, middle, right) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
    let links = Line { left: &left, middle: &middle, right: &right }.up(1500)?;
    let native = |name| xdp::Socket::builder(name).attach(xdp::Attach::Native);
    let mut tap = middle.run(|| native("one").reopen(true).tap(native("two")).open())??;
    let (reports, counters) = (tap.mtu_reports(), tap.counters());
    let interrupter = tap.interrupter().ok_or("it waits")?;
    for link in &links {
        link.set_mtu(9000)?;
    }
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            middle.run(|| -> Result<u64> {
                let mut seen = 0;
                while let Next::Batch(batch) = tap.next_batch(Timeout::Never)? {
                    let is_long = |data: &[u8]| data.len() > 8000;
                    seen += batch.packets().filter(|packet| is_long(packet.data())).count() as u64;
                }
                assert_eq!(tap.statistics()?.drops, 0);
                Ok(seen)
            })
        });
        let mut raised = Vec::new();
        let started = Instant::now();
        while raised.len() < 2 && started.elapsed() < SOON {
            raised.extend(reports.take());
            std::thread::sleep(Duration::from_millis(10));
        }
        let one = left.run(|| UdpSocket::bind("10.9.0.1:4000"))??;
        let other = right.run(|| UdpSocket::bind("10.9.0.2:4000"))??;
        let mut buffer = [0; 9000];
        for (from, to, address) in
            [(&one, &other, "10.9.0.2:4000"), (&other, &one, "10.9.0.1:4000")]
        {
            to.set_read_timeout(Some(SOON))?;
            for n in 0..10 {
                from.send_to(&[n; 8900], address)?;
                assert_eq!(to.recv(&mut buffer)?, 8900);
                assert_eq!(buffer[..8900], [n; 8900]);
            }
        }
        interrupter.interrupt();
        let seen = worker.join().expect("the worker")??;
        assert_eq!(seen, 20);
        let mut names: Vec<_> = raised.iter().map(|raised| raised.interface.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["one", "two"], "{raised:?}");
        assert!(raised.iter().all(|raised| raised.fits), "{raised:?}");
        for side in [Side::Left, Side::Right] {
            assert_eq!((counters.forwarded(side).refused, counters.forwarded(side).full), (0, 0));
        }
        Ok(())
    })
}

/// The limit for sending is the interface's current MTU, not that at opening.
pub(crate) fn a_sender_follows_the_mtu() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (l, r) = wire(&left, &right)?;
    let mut peer = left.run(|| {
        ring_core::Capture::builder("left0").block_timeout(Duration::from_millis(5)).open()
    })??;
    let builder = xdp::Socket::builder("right0").multi_buffer(xdp::MultiBuffer::On);
    let mut socket = open(&right, &builder)?;
    assert!(socket.send_bytes(&frame(1, 9014)).is_err());
    l.set_mtu(9000)?;
    r.set_mtu(9000)?;
    let started = Instant::now();
    let sent = [frame(2, 9014), frame(3, 1600)];
    // A packet that is too long triggers a check of the MTU, but not each of many does.
    while socket.send_bytes(&sent[0]).is_err() {
        assert!(started.elapsed() < SOON);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(socket.send_bytes(&sent[1])?);
    socket.flush()?;
    live_harness::assert_same(&collect(&mut peer, 2)?, &sent, "sent");
    Ok(())
}
