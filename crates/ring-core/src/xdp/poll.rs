//! Waiting for packets.

use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use ring_sys::event::{self, FAILED, Poller, READABLE, Readiness, Ticker};

use super::batch::Batch;
use super::error::Error;
use super::receiver::Receiver;
use crate::wait::Pause;
use crate::{Next, Timeout};

/// Maximum time to sleep, since the kernel has no event for a removed interface.
const CHECKED: Duration = Duration::from_millis(500);
/// Maximum time to sleep while waiting for frames that the kernel is sending, since it has no event
/// for their completion.
pub(crate) const STARVED: Duration = Duration::from_millis(1);

/// The descriptors that other waiters use.
#[derive(Debug)]
pub(crate) struct Watch {
    poller: Poller,
    /// Makes them check if the interface still exists.
    ticker: Ticker,
    pause: Pause,
    /// The time since when other waiters wait for the socket.
    asleep: Option<Instant>,
}

const SOCKET: u64 = 0;
const INTERRUPTED: u64 = 1;
const RETURNED: u64 = 2;
const TICKED: u64 = 3;
const PAUSED: u64 = 4;

/// The reason why a wait ended.
pub(crate) enum Woken {
    /// Packets have been taken and must be lent next.
    Packets,
    /// The timeout expired.
    TimedOut,
    /// An [`Interrupter`] ended the wait.
    Interrupted,
}

impl Receiver {
    /// Waits for the next batch.
    #[inline]
    pub(crate) fn receive(&mut self, timeout: Timeout) -> Result<Next<Batch<'_>>, Error> {
        Ok(match self.take(timeout)? {
            Woken::Packets => Next::Batch(self.lend()),
            Woken::TimedOut => Next::TimedOut,
            Woken::Interrupted => Next::Interrupted,
        })
    }

    /// Takes received packets, and waits for some if necessary. They must be lent next.
    #[inline]
    pub(crate) fn take(&mut self, timeout: Timeout) -> Result<Woken, Error> {
        self.refill()?;
        // A driver that found no frames stops polling its ring and waits to be woken
        // (`xsk_set_rx_need_wakeup`). Packets wait in the adapter until then.
        if self.fill().takes_wakeup() {
            self.endpoint.wake_receive()?;
        }
        if self.interruption.take() {
            return Ok(Woken::Interrupted);
        }
        // Events are consumed before the ring is read. The set is edge-triggered, so a packet that
        // arrives in between raises a new event, and the next wait ends at once.
        if self.poller.get().is_some() {
            self.take_events()?;
        }
        if self.take_received()? {
            self.woke_others();
            return Ok(Woken::Packets);
        }
        let woken = self.wait(timeout)?;
        if matches!(woken, Woken::TimedOut) {
            self.want_for_others();
            self.pause_others()?;
        } else if let Some(watch) = self.poller.get_mut() {
            // No other waiter was asleep.
            watch.asleep = None;
        }
        Ok(woken)
    }

    /// Consumes the events of the set of descriptors, since all their causes are checked now.
    fn take_events(&mut self) -> Result<(), Error> {
        let Some(watch) = self.poller.get_mut() else { return Ok(()) };
        let mut ticked = false;
        let seen = |readiness: Readiness| match readiness.key {
            TICKED => ticked = true,
            PAUSED => watch.pause.wake(),
            // Checked in any case.
            _ => {}
        };
        watch
            .poller
            .wait(Some(Duration::ZERO), seen)
            .map_err(|source| Error::System { operation: "wait for packets", source })?;
        if ticked {
            watch.ticker.take();
            self.endpoint.look()?;
        }
        Ok(())
    }

    /// Waits until packets have been taken, the timeout expires, or an interruption.
    fn wait(&mut self, timeout: Timeout) -> Result<Woken, Error> {
        // Even if no time is left to wait: a caller that only ever polls would otherwise never wake
        // the driver.
        if self.fill().needs_wakeup() {
            self.endpoint.wake_receive()?;
        }
        let patience = match timeout {
            Timeout::Now => return Ok(Woken::TimedOut),
            Timeout::After(time) => Some(time),
            Timeout::Never => None,
        };
        let mut left = patience;
        let started = Instant::now();
        let remaining = |time: Duration| time.saturating_sub(started.elapsed());
        if !self.spin.is_off() {
            let deadline = patience.and_then(|time| started.checked_add(time));
            if self.look(started, deadline)? {
                self.spin.came_after(started.elapsed());
                return Ok(Woken::Packets);
            }
            left = patience.map(remaining);
        } else if self.sleep_regardless(left)? {
            if self.take_received()? {
                return Ok(Woken::Packets);
            }
            left = patience.map(remaining);
        }
        // Waiting is dominated by the cost of wake-ups, so the clock is read only when necessary.
        loop {
            if self.interruption.take() {
                return Ok(Woken::Interrupted);
            }
            if left == Some(Duration::ZERO) {
                return Ok(Woken::TimedOut);
            }
            if self.sleep(left)? {
                self.learn(started);
                return Ok(Woken::Packets);
            }
            left = patience.map(remaining);
        }
    }

    /// On a busy link, sleeps for a fixed time regardless of packets, and returns `true`. An
    /// interruption ends the sleep early.
    fn sleep_regardless(&mut self, left: Option<Duration>) -> Result<bool, Error> {
        if !self.coalescing.learns() || self.endpoint.busy_poll || self.wants_frames() {
            return Ok(false);
        }
        let Some(pause) = self.coalescing.next(self.taken(), self.fill().target()) else {
            return Ok(false);
        };
        let pause = left.map_or(pause, |left| left.min(pause)).min(CHECKED);
        event::poll([(self.interruption.as_fd(), READABLE)], Some(pause)).map_err(poll_failed)?;
        Ok(true)
    }

    /// Records that packets ended a sleep that began at `started`.
    fn learn(&mut self, started: Instant) {
        if self.spin.learns() || self.coalescing.learns() {
            let waited = started.elapsed();
            self.spin.came_after(waited);
            self.coalescing.came_after(waited);
        }
    }

    /// Spins while that is worthwhile. `true` if packets arrived.
    fn look(&mut self, started: Instant, deadline: Option<Instant>) -> Result<bool, Error> {
        let until = match (self.spin.until(started), deadline) {
            (Some(until), Some(deadline)) => Some(until.min(deadline)),
            (until, deadline) => until.or(deadline),
        };
        loop {
            // Reading the clock costs as much as several looks at the ring.
            for _ in 0..16 {
                if self.take_received()? {
                    return Ok(true);
                }
                std::hint::spin_loop();
            }
            // With busy polling nothing arrives by interrupt: the device is polled in this call.
            if self.endpoint.busy_poll || self.fill().needs_wakeup() {
                self.endpoint.wake_receive()?;
            }
            if self.starving {
                self.refill()?;
            }
            let over = until.is_some_and(|until| Instant::now() >= until);
            if over || self.interruption.is_raised() {
                return self.take_received();
            }
        }
    }

    /// Sleeps until packets arrive, a wanted frame is returned, an interruption, or for at most
    /// `left`. `true` if packets arrived.
    fn sleep(&mut self, left: Option<Duration>) -> Result<bool, Error> {
        if self.wants_frames() {
            return self.sleep_short_of_frames(left);
        }
        let Some(socket) = self.endpoint.descriptor() else { return self.take_received() };
        let waits = [(socket, READABLE), (self.interruption.as_fd(), READABLE)];
        let limit = left.map_or(CHECKED, |left| left.min(CHECKED));
        let [socket, _] = event::poll(waits, Some(limit)).map_err(poll_failed)?;
        self.awake(socket)
    }

    /// Like [`sleep`](Self::sleep), if frames are wanted, too.
    #[cold]
    fn sleep_short_of_frames(&mut self, left: Option<Duration>) -> Result<bool, Error> {
        let endpoint = self.endpoint.clone();
        let (umem, waiter) = (&endpoint.umem, self.waiter.clone());
        let mut limit = left.map_or(CHECKED, |left| left.min(CHECKED));
        // Announced before the pool is checked again, in that order: see `wait::frame_return`.
        umem.memory.returns.want(&waiter);
        self.refill()?;
        if self.wants_frames() && umem.in_flight() > 0 {
            limit = limit.min(STARVED);
        }
        let Some(descriptor) = endpoint.descriptor() else { return self.take_received() };
        let waits = [
            (descriptor, READABLE),
            (self.interruption.as_fd(), READABLE),
            (waiter.event.as_fd(), READABLE),
        ];
        let [socket, ..] = event::poll(waits, Some(limit)).map_err(poll_failed)?;
        umem.memory.returns.have(&waiter);
        self.refill()?;
        self.awake(socket)
    }

    /// Called after a sleep, with the ready events of the socket.
    #[inline]
    fn awake(&mut self, socket: i16) -> Result<bool, Error> {
        let packets = self.take_received()?;
        if !packets {
            self.endpoint.look()?;
            // Another thread's call on the sending half took the error between poll(2) and `look`.
            if socket & FAILED != 0 {
                let interface = self.endpoint.interface.to_string();
                return Err(Error::InterfaceGone { interface });
            }
        }
        Ok(packets)
    }

    /// Makes the descriptor of [`readiness`](PacketSource::readiness) report when wanted frames are
    /// returned.
    fn want_for_others(&mut self) {
        let returns = &self.endpoint.umem.memory.returns;
        if self.poller.get().is_none() {
            return;
        }
        if self.wants_frames() {
            returns.want(&self.waiter);
            if self.endpoint.umem.memory.pooled() > 0 {
                self.waiter.event.raise();
            }
        } else {
            returns.have(&self.waiter);
        }
    }

    /// Like [`sleep_regardless`](Self::sleep_regardless), for waiters on the descriptor of
    /// [`readiness`](PacketSource::readiness).
    #[inline]
    fn pause_others(&mut self) -> Result<(), Error> {
        let (short, taken, frames) = (self.wants_frames(), self.taken(), self.fill().target());
        let (Some(watch), Some(socket)) = (self.poller.get_mut(), self.endpoint.descriptor())
        else {
            return Ok(());
        };
        // A busy-polled device makes no progress while nobody polls it, so a pause would only add
        // latency.
        let off = !self.coalescing.learns() || self.endpoint.busy_poll;
        if off || watch.pause.is_under_way() && !short {
            return Ok(());
        }
        match if short { None } else { self.coalescing.next(taken, frames) } {
            Some(time) => watch.pause.start(&watch.poller, socket, time),
            None => {
                watch.asleep.get_or_insert_with(Instant::now);
                watch.pause.end(&watch.poller, socket)
            }
        }
        .map_err(|source| Error::System { operation: "sleep with a timer", source })
    }

    /// Called when packets arrived, which may have ended another waiter's sleep.
    #[inline]
    fn woke_others(&mut self) {
        if let Some(watch) = self.poller.get_mut()
            && let Some(asleep) = watch.asleep.take()
        {
            self.coalescing.came_after(asleep.elapsed());
        }
    }

    /// The set of descriptors for other waiters, created on first use.
    pub(crate) fn poller(&self) -> Result<&Poller, Error> {
        if let Some(watch) = self.poller.get() {
            return Ok(&watch.poller);
        }
        let watch =
            self.watch().map_err(|source| Error::System { operation: "make a poller", source })?;
        Ok(&self.poller.get_or_init(|| watch).poller)
    }

    fn watch(&self) -> io::Result<Watch> {
        let poller = Poller::new()?;
        if let Some(socket) = self.endpoint.descriptor() {
            poller.add_edge(socket, SOCKET)?;
        }
        poller.add_edge(self.interruption.as_fd(), INTERRUPTED)?;
        poller.add_edge(self.waiter.event.as_fd(), RETURNED)?;
        let ticker = Ticker::new(CHECKED)?;
        poller.add_edge(ticker.as_fd(), TICKED)?;
        Ok(Watch { poller, ticker, pause: Pause::new([SOCKET, PAUSED]), asleep: None })
    }
}

fn poll_failed(source: io::Error) -> Error {
    Error::System { operation: "wait for an event", source }
}
