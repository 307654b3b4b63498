//! Sleeping through several blocks while somebody else waits, with the descriptor of the waiter: a runtime's reactor.

use std::os::fd::AsFd as _;
use std::time::Duration;

use ring_sys::event::{Alarm, Poller};
use ring_sys::packet::PacketSocket;

use super::wait::{NAPPED, SOCKET};
use crate::Error;
use crate::error::system;

/// During a nap the socket wakes nobody who waits with the poller; an alarm does.
#[derive(Debug, Default)]
pub(crate) struct Nap {
    /// Once there was a nap.
    alarm: Option<Alarm>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Awake,
    Napping,
    /// The time has passed, but the socket still wakes nobody.
    Over,
}

impl Nap {
    /// Begins a nap of so long; or goes on with one.
    pub(crate) fn start(
        &mut self,
        poller: &Poller,
        socket: &PacketSocket,
        time: Duration,
    ) -> Result<(), Error> {
        let alarm = match self.alarm.take() {
            Some(alarm) => alarm,
            None => {
                let alarm = Alarm::new().map_err(system("make a timer"))?;
                poller.add_edge(alarm.as_fd(), NAPPED).map_err(system("watch a descriptor"))?;
                alarm
            }
        };
        self.alarm.insert(alarm).set(time).map_err(system("set a timer"))?;
        if self.state == State::Awake {
            hear(poller, socket, false)?;
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

    /// Whether the nap is to be ended, unless another one begins.
    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// The socket wakes those who wait again, and does so at once if there is something.
    #[inline]
    pub(crate) fn end(&mut self, poller: &Poller, socket: &PacketSocket) -> Result<(), Error> {
        if self.state != State::Awake {
            hear(poller, socket, true)?;
            self.state = State::Awake;
        }
        Ok(())
    }
}

fn hear(poller: &Poller, socket: &PacketSocket, readable: bool) -> Result<(), Error> {
    let changed = poller.change_edge(socket.as_fd(), SOCKET, readable);
    changed.map_err(system("watch a descriptor"))
}
