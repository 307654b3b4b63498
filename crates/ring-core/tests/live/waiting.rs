//! How waits end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use live_harness::Result;
use netns::Namespace;
use ring_core::{Capture, Next, PacketSource as _, Timeout};

use crate::captures::open;
use crate::hosts::{Sender, frame, wire};

pub(crate) fn an_interruption_ends_the_wait() -> Result {
    let host = Namespace::new()?;
    let mut capture = open(&host, Capture::builder("lo"))?;
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

/// A signal whose handler does nothing and has system calls interrupted (`EINTR`).
pub(crate) fn signals_do_not_end_a_wait() -> Result {
    extern "C" fn handler(_: libc::c_int) {}
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right, Capture::builder("right0"))?;
    let sender = Sender::new(&left, "left0")?;

    // SAFETY: all zeroes are an action without flags, so without `SA_RESTART`, and with an empty mask.
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
                // SAFETY: the thread lives until this one was joined.
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
