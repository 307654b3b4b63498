//! Waiting.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use live_harness::Result;
use netns::Namespace;
use ring_core::{Next, PacketBatch as _, PacketSource as _, Timeout, xdp};
use ring_sys::event::{self, READABLE};

use crate::hosts::{Sender, wire};
use crate::setup::{SHORT, SOON, assert_silent, collect, frames, open};
use crate::socket_option::{SO_PREFER_BUSY_POLL, option};

const ADAPTIVE: xdp::Wait = xdp::Wait::Adaptive(Duration::from_micros(50));

pub(crate) fn each_way_of_waiting_sees_every_packet() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    let sent = frames(200, 100);
    let base = xdp::Socket::builder("right0");
    for builder in [
        base.clone().wait(xdp::Wait::Sleep),
        base.clone().wait(xdp::Wait::Spin),
        base.clone().wait(ADAPTIVE),
        base.clone().wait(xdp::Wait::Coalesce(Duration::from_micros(50))),
        base.clone().need_wakeup(false),
        base.busy_poll(Duration::from_micros(20), 16),
    ] {
        let mut socket = open(&right, &builder)?;
        // One at a time, with pauses around the learned spin time.
        for (n, frame) in sent.iter().enumerate() {
            let pause = Duration::from_micros([0, 10, 40, 60, 500][n % 5]);
            thread::sleep(pause);
            sender.send(std::slice::from_ref(frame))?;
            assert_eq!(collect(&mut socket, 1)?, std::slice::from_ref(frame));
        }
        assert_silent(&mut socket)?;
    }
    Ok(())
}

/// The kernel accepts the budget but does not report it.
pub(crate) fn busy_polling_is_asked_of_the_kernel() -> Result {
    let host = Namespace::new()?;
    let builder = xdp::Socket::builder("lo").attach(xdp::Attach::Generic);
    for (builder, expected) in
        [(builder.clone(), (0, 0)), (builder.busy_poll(Duration::from_micros(20), 16), (20, 1))]
    {
        let _socket = open(&host, &builder)?;
        let time = option(libc::AF_XDP, libc::SO_BUSY_POLL)?;
        assert_eq!((time, option(libc::AF_XDP, SO_PREFER_BUSY_POLL)?), expected);
    }
    Ok(())
}

pub(crate) fn timeouts_and_interruptions() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    for wait in [xdp::Wait::Sleep, xdp::Wait::Spin, ADAPTIVE, xdp::Wait::default()] {
        let mut socket = open(&right, &xdp::Socket::builder("right0").wait(wait))?;
        for millis in [0, 1, 50] {
            let (time, started) = (Duration::from_millis(millis), Instant::now());
            assert!(matches!(socket.next_batch(Timeout::After(time))?, Next::TimedOut));
            let took = started.elapsed();
            assert!(took >= time && took < time + SHORT, "{wait:?}: {took:?} instead of {time:?}");
        }
        assert!(matches!(socket.next_batch(Timeout::Now)?, Next::TimedOut));
        let interrupter = socket.interrupter().expect("it waits");
        let other = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            interrupter.interrupt();
        });
        assert!(matches!(socket.next_batch(Timeout::Never)?, Next::Interrupted));
        other.join().expect("the other");
        assert!(matches!(socket.next_batch(Timeout::Now)?, Next::TimedOut), "only once");
    }
    Ok(())
}

pub(crate) fn the_readiness_descriptor_wakes() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let memory = xdp::UmemConfig::new().frames(8);
    let builder = xdp::Socket::builder("right0").ring_size(8).fill_target(8).memory(memory);
    let mut socket = open(&right, &builder)?;
    let sender = Sender::new(&left, "left0")?;
    let sent = frames(9, 100);
    let ready = |socket: &xdp::Socket| -> Result<bool> {
        let descriptor = socket.readiness().expect("it has one");
        let [ready] = event::poll([(descriptor, READABLE)], Some(SHORT))?;
        Ok(ready != 0)
    };
    assert!(matches!(socket.next_batch(Timeout::Now)?, Next::TimedOut));
    while ready(&socket)? {
        assert!(matches!(socket.next_batch(Timeout::Now)?, Next::TimedOut));
    }
    sender.send(&sent[..8])?;
    let mut kept = Vec::new();
    while kept.len() < 8 {
        assert!(ready(&socket)?, "{} packets", kept.len());
        if let Next::Batch(batch) = socket.next_batch(Timeout::Now)? {
            kept.extend(batch.into_frames());
        }
    }
    while ready(&socket)? {
        assert!(matches!(socket.next_batch(Timeout::Now)?, Next::TimedOut));
    }
    // Nothing can arrive before a frame is returned, so that must be reported as well.
    drop(kept);
    assert!(ready(&socket)?, "frames came back");
    assert!(matches!(socket.next_batch(Timeout::Now)?, Next::TimedOut));
    sender.send(&sent[8..])?;
    assert!(ready(&socket)?);
    assert_eq!(collect(&mut socket, 1)?, sent[8..]);
    Ok(())
}

/// The way in which the tests of coalescing wait for packets.
#[derive(Clone, Copy, Debug)]
enum By {
    /// In the source.
    Itself,
    /// Outside, with the source's descriptor.
    Descriptor,
}

impl By {
    /// The next packets that arrive together. Empty if none arrive.
    fn next(self, socket: &mut xdp::Socket) -> Result<Vec<Vec<u8>>> {
        let timeout = match self {
            Self::Itself => Timeout::After(SOON),
            Self::Descriptor => Timeout::Now,
        };
        let started = Instant::now();
        while started.elapsed() < SOON {
            if let Some(packets) = taken(socket.next_batch(timeout)?) {
                return Ok(packets);
            }
            let descriptor = socket.readiness().expect("it has one");
            event::poll([(descriptor, READABLE)], Some(SOON))?;
        }
        Ok(Vec::new())
    }
}

/// `None` if interrupted.
fn taken(next: Next<xdp::Batch<'_>>) -> Option<Vec<Vec<u8>>> {
    match next {
        Next::Batch(batch) => Some(batch.packets().map(|packet| packet.data().to_vec()).collect()),
        Next::Interrupted => Some(Vec::new()),
        _ => None,
    }
}

pub(crate) fn packets_that_come_quickly_are_taken_together() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let sent = frames(100, 100);
    for by in [By::Itself, By::Descriptor] {
        let wakeups = |wait| -> Result<usize> {
            let mut socket = open(&right, &xdp::Socket::builder("right0").wait(wait))?;
            assert!(matches!(socket.next_batch(Timeout::Now)?, Next::TimedOut));
            let sender = Sender::new(&left, "left0")?;
            thread::scope(|scope| {
                scope.spawn(|| {
                    for frame in &sent {
                        sender.send(std::slice::from_ref(frame)).expect("it is sent");
                        thread::sleep(Duration::from_millis(1));
                    }
                });
                let (mut seen, mut wakeups) = (Vec::new(), 0);
                while seen.len() < sent.len() {
                    seen.extend(by.next(&mut socket)?);
                    wakeups += 1;
                }
                assert_eq!(seen, sent);
                Ok(wakeups)
            })
        };
        let (each, together) =
            (wakeups(xdp::Wait::Sleep)?, wakeups(xdp::Wait::Coalesce(Duration::from_millis(20)))?);
        assert!(together * 3 < each, "{by:?}: {together} wake-ups in place of {each}");
    }
    Ok(())
}

pub(crate) fn no_packet_is_slept_through() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    let sent = frames(2000, 100);
    for by in [By::Itself, By::Descriptor] {
        let builder = xdp::Socket::builder("right0").wait(xdp::Wait::default());
        let mut socket = open(&right, &builder)?;
        assert!(matches!(socket.next_batch(Timeout::Now)?, Next::TimedOut));
        thread::scope(|scope| -> Result {
            scope.spawn(|| {
                for (n, frames) in sent.chunks(3).enumerate() {
                    thread::sleep(Duration::from_micros([0, 20, 150, 300, 700][n % 5]));
                    sender.send(frames).expect("they are sent");
                }
            });
            let mut seen = Vec::new();
            while seen.len() < sent.len() {
                let started = Instant::now();
                seen.extend(by.next(&mut socket)?);
                // Otherwise the ticker that checks the interface would find them after half a
                // second.
                let waited = started.elapsed();
                assert!(waited < Duration::from_millis(400), "{by:?}: {waited:?}");
            }
            assert_eq!(seen, sent);
            Ok(())
        })?;
    }
    Ok(())
}

pub(crate) fn a_packet_after_a_pause_is_not_delayed() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    let sent = frames(2, 100);
    let most = Duration::from_millis(400);
    for by in [By::Itself, By::Descriptor] {
        let builder = xdp::Socket::builder("right0").wait(xdp::Wait::Coalesce(most));
        let mut socket = open(&right, &builder)?;
        assert!(matches!(socket.next_batch(Timeout::Now)?, Next::TimedOut));
        for _ in 0..3 {
            let sent_at = thread::scope(|scope| -> Result<Instant> {
                let sending = scope.spawn(|| {
                    thread::sleep(most * 2);
                    let before = Instant::now();
                    sender.send(&sent[..1]).expect("it is sent");
                    before
                });
                assert_eq!(by.next(&mut socket)?, sent[..1]);
                Ok(sending.join().expect("it does not panic"))
            })?;
            let late = sent_at.elapsed();
            assert!(late < most / 2, "{by:?}: {late:?}");
        }
    }
    Ok(())
}

pub(crate) fn an_interruption_ends_a_nap() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    let sent = frames(1, 100);
    for by in [By::Itself, By::Descriptor] {
        let builder = xdp::Socket::builder("right0").wait(xdp::Wait::Coalesce(SOON));
        let mut socket = open(&right, &builder)?;
        assert!(matches!(socket.next_batch(Timeout::Now)?, Next::TimedOut));
        let interrupter = socket.interrupter().expect("it waits");
        let napping = AtomicBool::new(false);
        thread::scope(|scope| -> Result {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(20));
                sender.send(&sent).expect("it is sent");
                while !napping.load(Ordering::Acquire) {
                    thread::yield_now();
                }
                thread::sleep(Duration::from_millis(50));
                interrupter.interrupt();
            });
            assert_eq!(by.next(&mut socket)?, sent);
            napping.store(true, Ordering::Release);
            let started = Instant::now();
            assert_eq!(by.next(&mut socket)?.len(), 0);
            assert!(started.elapsed() < SOON / 2, "{by:?}: {:?}", started.elapsed());
            Ok(())
        })?;
    }
    Ok(())
}
