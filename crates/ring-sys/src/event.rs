//! Waiting for descriptors: epoll(7), eventfd(2).

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::socket_option::check;

/// An eventfd(2) that other threads can wait on; closed on drop.
#[derive(Debug)]
pub struct Event {
    fd: OwnedFd,
}

impl Event {
    /// Creates an event that is not raised, `eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)`.
    ///
    /// # Errors
    /// As eventfd(2).
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the descriptor was made by the call above and belongs to nobody else.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Raises the event and wakes all waiters.
    pub fn raise(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: the buffer is valid for its length. The only possible failure is a counter at its
        // maximum; waiters are awake then anyway.
        unsafe { libc::write(self.fd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Resets the event. Returns `true` if it was raised.
    pub fn take(&self) -> bool {
        let mut count = [0_u8; 8];
        // SAFETY: the buffer is valid and writable for its length. The read fails if the event is
        // not raised.
        unsafe { libc::read(self.fd.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) == 8 }
    }
}

impl AsFd for Event {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// An [`Event`] with a flag in memory, so that checking it makes no system call while it is not
/// raised.
///
/// Watch its descriptor edge-triggered: one that is [taken](Self::take) while it is raised may
/// leave the descriptor readable without the flag.
#[derive(Debug)]
pub struct FlaggedEvent {
    raised: AtomicBool,
    event: Event,
}

impl FlaggedEvent {
    /// Creates an event that is not raised.
    ///
    /// # Errors
    /// As [`Event::new`].
    pub fn new() -> io::Result<Self> {
        Ok(Self { raised: AtomicBool::new(false), event: Event::new()? })
    }

    /// Raises the event and wakes all waiters.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        self.event.raise();
    }

    /// `true` if the event is raised. Does not reset it.
    #[inline]
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }

    /// Resets the event. Returns `true` if it was raised.
    #[inline]
    pub fn take(&self) -> bool {
        if !self.is_raised() {
            return false;
        }
        // The descriptor is cleared before the flag. In the other order this could clear the
        // descriptor of a new event whose flag stays set. One that is raised after the descriptor
        // was cleared causes one spurious wake-up.
        self.event.take();
        self.raised.swap(false, Ordering::Acquire)
    }
}

impl AsFd for FlaggedEvent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// A periodic timer; closed on drop.
#[derive(Debug)]
pub struct Ticker {
    fd: OwnedFd,
}

impl Ticker {
    /// Creates a timer that fires every `interval`, for the first time after one `interval`
    /// (`timerfd_create(CLOCK_MONOTONIC)`).
    ///
    /// # Errors
    /// As timerfd_create(2) and timerfd_settime(2).
    pub fn new(interval: Duration) -> io::Result<Self> {
        let fd = timer()?;
        set_timer(&fd, interval, interval)?;
        Ok(Self { fd })
    }

    /// Resets the timer. Returns how often it has fired since the last call.
    pub fn take(&self) -> u64 {
        let mut count = [0_u8; 8];
        // SAFETY: the buffer is valid and writable for its length. The read fails if the timer has
        // not fired.
        let read =
            unsafe { libc::read(self.fd.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
        if read == 8 { u64::from_ne_bytes(count) } else { 0 }
    }
}

impl AsFd for Ticker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A one-shot timer; closed on drop.
#[derive(Debug)]
pub struct Alarm {
    fd: OwnedFd,
}

impl Alarm {
    /// Creates a disarmed timer (`timerfd_create(CLOCK_MONOTONIC)`).
    ///
    /// # Errors
    /// As timerfd_create(2).
    pub fn new() -> io::Result<Self> {
        Ok(Self { fd: timer()? })
    }

    /// Arms the timer to fire once `after` has passed, at least a nanosecond from now. This
    /// replaces an earlier setting and clears an expiration that was not consumed.
    ///
    /// # Errors
    /// As timerfd_settime(2).
    pub fn set(&self, after: Duration) -> io::Result<()> {
        set_timer(&self.fd, after.max(Duration::from_nanos(1)), Duration::ZERO)
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// For [`poll`]: readable.
pub const READABLE: i16 = libc::POLLIN;
/// For [`poll`]: writable.
pub const WRITABLE: i16 = libc::POLLOUT;
/// From [`poll`]: an error is pending, or the other end is closed.
pub const FAILED: i16 = libc::POLLERR | libc::POLLHUP | libc::POLLNVAL;

/// Waits until one of the descriptors is ready for the events requested, and returns the ready
/// events of each. Waits at most `timeout`, or without limit if `None`. Returns early, with no
/// events, if a signal arrives. Meant for a few descriptors that change from call to call; a
/// [`Poller`] remembers its descriptors.
///
/// # Errors
/// As poll(2), without `EINTR`.
pub fn poll<const N: usize>(
    descriptors: [(BorrowedFd<'_>, i16); N],
    timeout: Option<Duration>,
) -> io::Result<[i16; N]> {
    let mut entries = descriptors.map(|(descriptor, events)| libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events,
        revents: 0,
    });
    let count = N as libc::nfds_t;
    let happened = match timeout.and_then(whole_millis) {
        // SAFETY: the entries are valid and writable for their number.
        Some(millis) => check(unsafe { libc::poll(entries.as_mut_ptr(), count, millis) }),
        None => {
            let timeout = timeout.map(|timeout| libc::timespec {
                tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
                tv_nsec: timeout.subsec_nanos().into(),
            });
            let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
            // SAFETY: the entries are valid and writable for their number, the time is valid or
            // null, and so is the mask.
            check(unsafe { libc::ppoll(entries.as_mut_ptr(), count, timeout, std::ptr::null()) })
        }
    };
    match happened {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok([0; N]),
        happened => happened?,
    };
    Ok(entries.map(|entry| entry.revents))
}

/// The time in milliseconds, if it is a whole number that poll(2) takes. poll(2) is faster than
/// ppoll(2), which writes the remaining time back.
fn whole_millis(time: Duration) -> Option<libc::c_int> {
    const NANOS: u32 = 1_000_000;
    let (seconds, rest) = (libc::c_int::try_from(time.as_secs()).ok()?, time.subsec_nanos());
    if !rest.is_multiple_of(NANOS) {
        return None;
    }
    seconds.checked_mul(1000)?.checked_add((rest / NANOS) as libc::c_int)
}

/// A set of descriptors to wait for, epoll(7); closed on drop.
#[derive(Debug)]
pub struct Poller {
    fd: OwnedFd,
}

/// An event of a [`Poller`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The key given to [`Poller::add_edge`].
    pub key: u64,
    /// `EPOLLERR` or `EPOLLHUP`.
    pub error: bool,
}

impl Poller {
    /// Creates an empty set, `epoll_create1(EPOLL_CLOEXEC)`.
    ///
    /// # Errors
    /// As epoll_create1(2).
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor was made by the call above and belongs to nobody else.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Adds a descriptor, edge-triggered (`EPOLLIN | EPOLLET`): each change wakes a waiter once,
    /// even if data stays unread.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn add_edge(&self, descriptor: BorrowedFd<'_>, key: u64) -> io::Result<()> {
        self.add(descriptor, key, libc::EPOLLIN | libc::EPOLLET)
    }

    /// Adds a descriptor, level-triggered (`EPOLLIN`): wakes as long as there is data to read.
    ///
    /// # Errors
    /// As epoll_ctl(2): `EPERM` for descriptors that are always readable, such as regular files.
    pub fn add_level(&self, descriptor: BorrowedFd<'_>, key: u64) -> io::Result<()> {
        self.add(descriptor, key, libc::EPOLLIN)
    }

    /// Changes a descriptor that was added edge-triggered: if `readable` is `true`, data and errors
    /// wake a waiter, otherwise errors only.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn change_edge(
        &self,
        descriptor: BorrowedFd<'_>,
        key: u64,
        readable: bool,
    ) -> io::Result<()> {
        let events = if readable { libc::EPOLLIN | libc::EPOLLET } else { libc::EPOLLET };
        self.control(libc::EPOLL_CTL_MOD, descriptor, key, events)
    }

    /// Waits for events and passes each one to `seen`. Waits at most `timeout`, or without limit if
    /// `None`. Returns early, without events, if a signal arrives. Timeouts are rounded up to
    /// milliseconds.
    ///
    /// # Errors
    /// As epoll_wait(2), without `EINTR`.
    pub fn wait(
        &self,
        timeout: Option<Duration>,
        mut seen: impl FnMut(Readiness),
    ) -> io::Result<()> {
        const MOST: usize = 8;
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; MOST];
        let timeout = timeout.map_or(-1, |timeout| {
            libc::c_int::try_from(timeout.as_nanos().div_ceil(1_000_000))
                .unwrap_or(libc::c_int::MAX)
        });
        // SAFETY: the pointer is valid and writable for the number of events given.
        let happened = check(unsafe {
            libc::epoll_wait(self.fd.as_raw_fd(), events.as_mut_ptr(), MOST as libc::c_int, timeout)
        });
        let happened = match happened {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            happened => happened?,
        };
        for event in &events[..happened as usize] {
            let error = event.events & (libc::EPOLLERR | libc::EPOLLHUP) as u32 != 0;
            seen(Readiness { key: event.u64, error });
        }
        Ok(())
    }

    fn add(&self, descriptor: BorrowedFd<'_>, key: u64, events: libc::c_int) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, descriptor, key, events)
    }

    fn control(
        &self,
        operation: libc::c_int,
        descriptor: BorrowedFd<'_>,
        key: u64,
        events: libc::c_int,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: key };
        let (poller, descriptor) = (self.fd.as_raw_fd(), descriptor.as_raw_fd());
        // SAFETY: the pointer to the event is valid for the time of the call.
        check(unsafe { libc::epoll_ctl(poller, operation, descriptor, &mut event) })?;
        Ok(())
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn timer() -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    let fd = check(unsafe {
        libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK)
    })?;
    // SAFETY: the descriptor was made by the call above and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set_timer(fd: &OwnedFd, first: Duration, interval: Duration) -> io::Result<()> {
    let time = |time: Duration| libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: time.subsec_nanos().into(),
    };
    let setting = libc::itimerspec { it_interval: time(interval), it_value: time(first) };
    // SAFETY: the pointer to the setting is valid for the time of the call; the null pointer means
    // that the old setting is not returned.
    check(unsafe { libc::timerfd_settime(fd.as_raw_fd(), 0, &setting, std::ptr::null_mut()) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticker_ticks() {
        let (ticker, poller) =
            (Ticker::new(Duration::from_millis(1)).expect("a ticker"), Poller::new().expect("one"));
        poller.add_edge(ticker.as_fd(), 3).expect("added");
        for _ in 0..3 {
            let mut keys = Vec::new();
            poller
                .wait(Some(Duration::from_secs(5)), |readiness| keys.push(readiness.key))
                .expect("waits");
            assert_eq!(keys, [3]);
            assert!(ticker.take() > 0);
        }
    }

    #[test]
    fn an_alarm_happens_once_and_later_when_it_is_set_again() {
        let (alarm, poller) = (Alarm::new().expect("an alarm"), Poller::new().expect("a poller"));
        poller.add_edge(alarm.as_fd(), 5).expect("added");
        let happened = |timeout| {
            let mut count = 0;
            poller.wait(Some(timeout), |_| count += 1).expect("waits");
            count
        };
        alarm.set(Duration::ZERO).expect("set");
        assert_eq!(happened(Duration::from_secs(5)), 1);
        assert_eq!(happened(Duration::from_millis(20)), 0);
        // The expiration was not consumed, yet arming the timer again produces a new event.
        alarm.set(Duration::from_millis(1)).expect("set");
        assert_eq!(happened(Duration::from_secs(5)), 1);
        alarm.set(Duration::from_millis(1)).expect("set");
        alarm.set(Duration::from_secs(3600)).expect("set");
        assert_eq!(happened(Duration::from_millis(20)), 0);
    }

    #[test]
    fn a_descriptor_is_heard_only_while_it_is_to_be() {
        let (event, poller) = (Event::new().expect("an event"), Poller::new().expect("a poller"));
        poller.add_edge(event.as_fd(), 7).expect("added");
        let heard = |timeout| {
            let mut heard = false;
            poller.wait(Some(timeout), |_| heard = true).expect("waits");
            heard
        };
        poller.change_edge(event.as_fd(), 7, false).expect("changed");
        event.raise();
        assert!(!heard(Duration::from_millis(20)));
        poller.change_edge(event.as_fd(), 7, true).expect("changed");
        assert!(heard(Duration::from_secs(5)), "what came meanwhile is told");
    }

    #[test]
    fn an_event_stays_readable_until_it_is_taken() {
        let (one, other) = (Event::new().expect("an event"), Event::new().expect("an event"));
        let ready = |timeout| {
            let both = [(one.as_fd(), READABLE), (other.as_fd(), READABLE)];
            poll(both, Some(timeout)).expect("waits")
        };
        assert_eq!(ready(Duration::from_nanos(1)), [0, 0]);
        other.raise();
        assert_eq!(ready(Duration::from_secs(5)), [0, READABLE]);
        assert_eq!(ready(Duration::ZERO), [0, READABLE]);
        assert!(other.take());
        assert_eq!(ready(Duration::ZERO), [0, 0]);
    }

    #[test]
    fn an_event_wakes_once() {
        let (event, poller) = (Event::new().expect("an event"), Poller::new().expect("a poller"));
        poller.add_edge(event.as_fd(), 7).expect("added");
        let woken = |timeout| {
            let mut keys = Vec::new();
            poller.wait(Some(timeout), |readiness| keys.push(readiness.key)).expect("waits");
            keys
        };
        assert!(woken(Duration::from_micros(1)).is_empty());
        event.raise();
        assert_eq!(woken(Duration::from_secs(5)), [7]);
        assert!(woken(Duration::ZERO).is_empty(), "edge-triggered");
        assert!(event.take());
        assert!(!event.take());
    }
}
