//! Signals: those that end a command, and those that request its counts or a flush.
//!
//! They are blocked in all threads and taken by one thread with sigwait(3). So no handler can
//! interrupt a system call, and a command that waits for a reader or a disk is still heard: the
//! wait itself watches [`wait_for`]'s event.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, raise};
use ring_core::Interrupter;
use ring_sys::event::{self, Event};

use crate::Error;

/// The time for handing over what is queued, from the first signal on.
pub(crate) const HAND_OVER: Duration = Duration::from_millis(1400);
/// The time from the first signal on for the rest of a line or record that a slow reader has begun
/// to take.
const REST: Duration = Duration::from_millis(1700);
/// The time from the first signal to the end of the process, for one that cannot even print its
/// summary.
const END: Duration = Duration::from_millis(1900);
/// The time within which the same signal again is the same request. timeout(1) signals its child
/// and then the whole process group, and a terminal's Ctrl-C may reach the command through a
/// wrapper as well as directly: the second of the two must not cut the hand-over short.
const REPEATED: Duration = Duration::from_millis(100);

/// The time of the first signal.
static REQUESTED: OnceLock<Instant> = OnceLock::new();
/// Raised by the first signal, and never taken back.
static EVENT: OnceLock<Event> = OnceLock::new();
static FLUSH: AtomicBool = AtomicBool::new(false);
static COUNTS: AtomicBool = AtomicBool::new(false);
static WATCHERS: Mutex<Watchers> =
    Mutex::new(Watchers { wakes: Vec::new(), ends: Vec::new(), counts: Vec::new() });

struct Watchers {
    wakes: Vec<Interrupter>,
    ends: Vec<Box<dyn FnOnce() + Send>>,
    counts: Vec<Box<dyn Fn() + Send>>,
}

/// Takes the signals over. To be called while the process has one thread, since threads inherit the
/// mask.
pub(crate) fn listen() -> Result<(), Error> {
    if EVENT.get().is_none() {
        let _ = EVENT.set(Event::new().map_err(Error::Signals)?);
    }
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGUSR2] {
        signals.add(signal);
    }
    // What nohup(1) ignores stays ignored. SIGINT is taken in any case, as tcpdump does: shells
    // without job control ignore it for background commands, and scripts end those with it.
    if !is_ignored(Signal::SIGHUP) {
        signals.add(Signal::SIGHUP);
    }
    // Writing beyond the largest file is an error of that write alone. Blocked, the signal stays
    // pending for ever.
    let mut blocked = signals;
    blocked.add(Signal::SIGXFSZ);
    blocked.thread_block().map_err(|error| Error::Signals(error.into()))?;
    let take = move || {
        let mut before = None;
        while let Ok(signal) = signals.wait() {
            if ends_command(signal) && is_repeated(before, signal) {
                continue;
            }
            arrived(signal);
            // Taken after the work: a signal that was pending meanwhile came within the time.
            before = Some((signal, Instant::now()));
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(take).map_err(Error::Signals)?;
    Ok(())
}

/// Every signal ends this source's wait.
pub(crate) fn wakes(interrupter: Interrupter) {
    if is_requested() {
        interrupter.interrupt();
    }
    watchers(|watchers| watchers.wakes.push(interrupter));
}

/// Calls this when the first signal comes that ends the command, at once if it has come.
pub(crate) fn ends(end: impl FnOnce() + Send + 'static) {
    watchers(|watchers| watchers.ends.push(Box::new(end)));
    if is_requested() {
        end_all();
    }
}

/// Calls this at every SIGUSR1.
pub(crate) fn counts(print: impl Fn() + Send + 'static) {
    watchers(|watchers| watchers.counts.push(Box::new(print)));
}

/// `true` once a signal requested the end.
pub(crate) fn is_requested() -> bool {
    REQUESTED.get().is_some()
}

/// `true` once the time for handing over has passed.
pub(crate) fn is_over() -> bool {
    time_left().is_some_and(|left| left.is_zero())
}

/// The time that is left for handing over; `None` before a signal requested the end.
pub(crate) fn time_left() -> Option<Duration> {
    REQUESTED.get().map(|since| HAND_OVER.saturating_sub(since.elapsed()))
}

/// The time that is left until the summary is to be printed, if it is to be printed before the
/// process ends; `None` before a signal requested the end.
pub(crate) fn time_to_summary() -> Option<Duration> {
    REQUESTED.get().map(|since| REST.saturating_sub(since.elapsed()))
}

/// `true` once for each SIGUSR1, several at once counting as one.
pub(crate) fn takes_counts() -> bool {
    COUNTS.swap(false, Ordering::Relaxed)
}

/// `true` once for each SIGUSR2, several at once counting as one.
pub(crate) fn takes_flush() -> bool {
    FLUSH.swap(false, Ordering::Relaxed)
}

/// Waits until a descriptor is ready for `events` (see [`event::poll`]); `false` if the time for
/// handing over ended first.
pub(crate) fn wait_for(descriptor: BorrowedFd<'_>, events: i16) -> io::Result<bool> {
    wait_within(HAND_OVER, descriptor, events)
}

/// The same with more time, for the rest of a line or record of which the reader has got a part.
pub(crate) fn wait_for_rest(descriptor: BorrowedFd<'_>, events: i16) -> io::Result<bool> {
    wait_within(REST, descriptor, events)
}

fn wait_within(limit: Duration, descriptor: BorrowedFd<'_>, events: i16) -> io::Result<bool> {
    loop {
        let left = REQUESTED.get().map(|since| limit.saturating_sub(since.elapsed()));
        let ready = match (left, EVENT.get()) {
            (None, Some(event)) => {
                let watched = [(descriptor, events), (event.as_fd(), event::READABLE)];
                event::poll(watched, None)?[0]
            }
            (left, _) => {
                if left.is_some_and(|left| left.is_zero()) {
                    return Ok(false);
                }
                event::poll([(descriptor, events)], left)?[0]
            }
        };
        if ready != 0 {
            return Ok(true);
        }
    }
}

/// Waits until there is something to read; `false` if the end was requested before there was. What
/// came before the request is read, though the request was noticed first.
pub(crate) fn wait_to_read(descriptor: BorrowedFd<'_>) -> io::Result<bool> {
    let Some(event) = EVENT.get() else { return Ok(!is_requested()) };
    loop {
        let is_last = is_requested();
        let watched = [(descriptor, event::READABLE), (event.as_fd(), event::READABLE)];
        if event::poll(watched, is_last.then_some(Duration::ZERO))?[0] != 0 {
            return Ok(true);
        }
        if is_last {
            return Ok(false);
        }
    }
}

/// Waits, and returns early when a signal requests the end.
pub(crate) fn sleep(time: Duration) -> io::Result<()> {
    match EVENT.get() {
        Some(event) => event::poll([(event.as_fd(), event::READABLE)], Some(time)).map(|_| ()),
        None => {
            thread::sleep(time);
            Ok(())
        }
    }
}

fn arrived(signal: Signal) {
    match signal {
        Signal::SIGUSR1 => {
            COUNTS.store(true, Ordering::Relaxed);
            watchers(|watchers| watchers.counts.iter().for_each(|print| print()));
        }
        Signal::SIGUSR2 => FLUSH.store(true, Ordering::Relaxed),
        _ if REQUESTED.set(Instant::now()).is_ok() => {
            // Standard error may be a pipe that nobody reads, and a disk may hang: neither keeps
            // the process.
            let _ = thread::Builder::new().name("end".to_owned()).spawn(move || {
                thread::sleep(END);
                end_by(signal);
            });
            if let Some(event) = EVENT.get() {
                event.raise();
            }
            end_all();
        }
        _ => end_by(signal),
    }
    watchers(|watchers| watchers.wakes.iter().for_each(Interrupter::interrupt));
}

/// `true` if a signal requests the end.
fn ends_command(signal: Signal) -> bool {
    !matches!(signal, Signal::SIGUSR1 | Signal::SIGUSR2)
}

/// `true` if a signal is the one before, delivered twice.
fn is_repeated(before: Option<(Signal, Instant)>, signal: Signal) -> bool {
    before.is_some_and(|(kind, at)| kind == signal && at.elapsed() < REPEATED)
}

/// Runs what waits for the end, outside of the lock.
fn end_all() {
    let ends = watchers(|watchers| std::mem::take(&mut watchers.ends));
    ends.into_iter().for_each(|end| end());
}

/// Ends the process at once as the signal's default action does, so that shells see which signal it
/// was.
fn end_by(signal: Signal) -> ! {
    let mut own = SigSet::empty();
    own.add(signal);
    let _ = own.thread_unblock();
    let _ = raise(signal);
    // Ignored, as SIGINT is in the background of a script.
    process::exit(128 + signal as i32)
}

fn watchers<T>(change: impl FnOnce(&mut Watchers) -> T) -> T {
    change(&mut WATCHERS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// `true` if the process was started with this signal ignored.
fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 << (signal as i32 - 1) != 0)
}
