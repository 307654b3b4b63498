//! Ends of waits.

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use live_harness::{Result, none_dropped};
use netns::Namespace;
use ring_core::{Capture, Next, PacketSource as _, RingGeometry, Timeout};

use crate::captures::open;
use crate::hosts::{SOON, Sender, frame, wire};

pub(crate) fn an_interruption_ends_the_wait() -> Result {
    let host = Namespace::new()?;
    let mut capture = open(&host, Capture::builder("lo"))?;
    let readiness = capture.readiness().expect("it waits").as_raw_fd();
    assert_eq!(capture.as_fd().as_raw_fd(), readiness, "not the socket");
    let interrupter = capture.interrupter();
    interrupter.interrupt();
    interrupter.interrupt();
    assert!(matches!(capture.next_batch(Timeout::Never)?, Next::Interrupted), "remembered");
    assert!(matches!(capture.next_batch(Timeout::Now)?, Next::TimedOut), "once");
    let other = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        interrupter.interrupt();
    });
    let started = Instant::now();
    assert!(matches!(capture.next_batch(Timeout::Never)?, Next::Interrupted));
    assert!(started.elapsed() >= Duration::from_millis(40));
    other.join().expect("the other thread");
    Ok(())
}

pub(crate) fn timeouts_are_kept() -> Result {
    let host = Namespace::new()?;
    let mut capture = open(&host, Capture::builder("lo"))?;
    for milliseconds in [0, 20, 200] {
        let (started, timeout) = (Instant::now(), Duration::from_millis(milliseconds));
        assert!(matches!(capture.next_batch(Timeout::After(timeout))?, Next::TimedOut));
        let took = started.elapsed();
        assert!(
            took >= timeout && took < timeout + Duration::from_millis(100),
            "{took:?} for {timeout:?}"
        );
    }
    Ok(())
}

/// A signal whose handler does nothing and interrupts system calls (`EINTR`).
pub(crate) fn signals_do_not_end_a_wait() -> Result {
    extern "C" fn handler(_: libc::c_int) {}
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right, Capture::builder("right0"))?;
    let sender = Sender::new(&left, "left0")?;

    // SAFETY: all zeroes are an action without flags, so without `SA_RESTART`, and with an empty
    // mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as extern "C" fn(libc::c_int) as usize;
    // SAFETY: the pointer is valid, and the handler does nothing.
    let set = unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) };
    assert_eq!(set, 0);
    // SAFETY: no arguments.
    let waiting = unsafe { libc::pthread_self() };
    let done = Arc::new(AtomicBool::new(false));
    let signals = {
        let done = done.clone();
        thread::spawn(move || {
            let mut sent = 0;
            while !done.load(Ordering::Relaxed) {
                // SAFETY: the thread lives until it is joined.
                assert_eq!(unsafe { libc::pthread_kill(waiting, libc::SIGUSR1) }, 0);
                sent += 1;
                if sent == 200 {
                    sender.send(&[frame(1, 60)])?;
                }
                thread::sleep(Duration::from_millis(2));
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(sent)
        })
    };
    let (started, time) = (Instant::now(), Duration::from_millis(200));
    assert!(matches!(capture.next_batch(Timeout::After(time))?, Next::TimedOut));
    assert!(started.elapsed() >= time);
    assert!(matches!(capture.next_batch(Timeout::Never)?, Next::Batch(_)));
    done.store(true, Ordering::Relaxed);
    assert!(signals.join().expect("the other thread")? >= 200);
    Ok(())
}

/// Four frames of 900 bytes fill a block.
const SMALL: RingGeometry =
    RingGeometry { block_size: 4096, blocks: 64, timeout: Duration::from_secs(5) };

/// Full blocks that may wait are taken several per wake-up: every packet arrives, and the thread
/// sleeps much less often.
pub(crate) fn full_blocks_are_taken_together() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let count = 400;
    let waits = |coalesce| -> Result<_> {
        let builder = Capture::builder("right0").geometry(SMALL).coalesce(coalesce);
        let mut capture = right.run(|| builder.open())??;
        let sender = Sender::new(&left, "left0")?;
        let sending = thread::spawn(move || -> Result {
            for port in 0..count {
                sender.send(&[frame(port, 900)])?;
                thread::sleep(Duration::from_millis(2));
            }
            Ok(())
        });
        let before = waits_of_this_thread();
        let mut ports = Vec::new();
        while ports.len() < count.into() {
            let Some(block) = capture.next_block(Timeout::After(SOON))? else { break };
            ports.extend(block.packets().map(|packet| packet.data()[37]));
        }
        sending.join().expect("the sender")?;
        none_dropped(capture.statistics()?.drops)?;
        assert!(ports.iter().copied().eq((0..count).map(|port| port as u8)));
        Ok(waits_of_this_thread() - before)
    };
    let (each, together) = (waits(Duration::ZERO)?, waits(Duration::from_secs(1))?);
    assert!(together * 2 < each, "{together} waits in place of {each}");
    Ok(())
}

/// A wait that sleeps until several blocks are full ends immediately when interrupted, and when its
/// timeout expires.
pub(crate) fn a_nap_ends_when_a_wait_has_to() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let builder = Capture::builder("right0").geometry(SMALL).coalesce(SMALL.timeout);
    let mut capture = right.run(|| builder.open())??;
    let sender = Sender::new(&left, "left0")?;
    let fill = || -> Result {
        for port in 0..5 {
            sender.send(&[frame(port, 900)])?;
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    };
    fill()?;
    assert_eq!(capture.next_block(Timeout::Now)?.map(|block| block.len()), Some(4));
    let interrupter = capture.interrupter();
    let other = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        interrupter.interrupt();
    });
    let started = Instant::now();
    assert!(matches!(capture.next_batch(Timeout::Never)?, Next::Interrupted));
    assert!(started.elapsed() < Duration::from_millis(1000), "{:?}", started.elapsed());
    other.join().expect("the other thread");

    fill()?;
    assert_eq!(capture.next_block(Timeout::Now)?.map(|block| block.len()), Some(4));
    let (started, time) = (Instant::now(), Duration::from_millis(100));
    assert!(matches!(capture.next_batch(Timeout::After(time))?, Next::TimedOut));
    assert!(started.elapsed() < Duration::from_millis(1000), "{:?}", started.elapsed());
    Ok(())
}

/// The number of times that this thread has slept.
fn waits_of_this_thread() -> i64 {
    // SAFETY: all zeroes are a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is valid and writable.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) }, 0);
    usage.ru_nvcsw
}
