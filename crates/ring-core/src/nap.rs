//! Sleeping for a while whatever comes, while somebody else waits with a poller's descriptor: a runtime's reactor.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use ring_sys::event::{Alarm, Poller};

/// During a nap the socket wakes nobody who waits with the poller; an alarm does.
#[derive(Debug)]
pub(crate) struct Nap {
    /// The socket's key in the poller, and the alarm's.
    keys: [u64; 2],
    /// Once there was a nap.
    alarm: Option<Alarm>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Awake,
    Napping,
    /// The time has passed, but the socket still wakes nobody: the nap is to be ended, unless another one begins.
    Over,
}

impl Nap {
    pub(crate) fn new(keys: [u64; 2]) -> Self {
        Self { keys, alarm: None, state: State::Awake }
    }

    /// Begins a nap of so long; or goes on with one.
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
        self.alarm.insert(alarm).set(time)?;
        if self.state == State::Awake {
            poller.change_edge(socket, self.keys[0], false)?;
        }
        self.state = State::Napping;
        Ok(())
    }

    /// The alarm has happened.
    pub(crate) fn wake(&mut self) {
        if self.state == State::Napping {
            self.state = State::Over;
        }
    }

    /// Whether the time has not passed.
    pub(crate) fn is_under_way(&self) -> bool {
        self.state == State::Napping
    }

    /// The socket wakes those who wait again, and does so at once if there is something.
    #[inline]
    pub(crate) fn end(&mut self, poller: &Poller, socket: BorrowedFd<'_>) -> io::Result<()> {
        if self.state != State::Awake {
            poller.change_edge(socket, self.keys[0], true)?;
            self.state = State::Awake;
        }
        Ok(())
    }
}
