//! Pausing wake-ups of a socket for a fixed time, while a runtime's reactor waits with a poller's
//! descriptor.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use ring_sys::event::{Alarm, Poller};

/// A pause during which the socket does not wake waiters of the poller; a timer ends the pause.
#[derive(Debug)]
pub(crate) struct Pause {
    /// The keys of the socket and of the timer in the poller.
    keys: [u64; 2],
    /// Created by the first pause.
    alarm: Option<Alarm>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Awake,
    Pausing,
    /// The time has passed, but the socket's events are still disabled. The pause must be ended,
    /// unless another one begins.
    Over,
}

impl Pause {
    pub(crate) fn new(keys: [u64; 2]) -> Self {
        Self { keys, alarm: None, state: State::Awake }
    }

    /// Begins a pause of length `time`, or extends the current one to it.
    pub(crate) fn start(
        &mut self,
        poller: &Poller,
        socket: BorrowedFd<'_>,
        time: Duration,
    ) -> io::Result<()> {
        let alarm = match self.alarm.take() {
            Some(alarm) => alarm,
            None => {
                let alarm = Alarm::new()?;
                poller.add_edge(alarm.as_fd(), self.keys[1])?;
                alarm
            }
        };
        // The timer is set before the socket is disabled. If either call fails, the waiter still
        // has something that wakes it.
        self.alarm.insert(alarm).set(time)?;
        if self.state == State::Awake {
            poller.change_edge(socket, self.keys[0], false)?;
        }
        self.state = State::Pausing;
        Ok(())
    }

    /// Called when the timer fired.
    pub(crate) fn wake(&mut self) {
        if self.state == State::Pausing {
            self.state = State::Over;
        }
    }

    /// `true` if a pause has not reached its end.
    pub(crate) fn is_under_way(&self) -> bool {
        self.state == State::Pausing
    }

    /// Enables the socket's events again. If data is there, waiters wake up at once.
    #[inline]
    pub(crate) fn end(&mut self, poller: &Poller, socket: BorrowedFd<'_>) -> io::Result<()> {
        if self.state != State::Awake {
            // Changing an edge-triggered entry reports what is ready now (`ep_modify`), so nothing
            // that arrived during the pause is missed.
            poller.change_edge(socket, self.keys[0], true)?;
            self.state = State::Awake;
        }
        Ok(())
    }
}
