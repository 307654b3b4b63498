//! A host that forwards frames between two links, with losses.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use live_harness::Result;
use netns::Namespace;
use nix::{
    ifaddrs::getifaddrs,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send,
        setsockopt, socket, sockopt,
    },
};

use crate::Random;

/// The rates, in a thousandth, at which TCP segments of each direction are disturbed. Other frames
/// are forwarded unchanged.
#[derive(Clone, Copy, Debug)]
pub struct Roughness {
    /// Lost.
    pub lost: u64,
    /// Forwarded twice.
    pub doubled: u64,
    /// Overtaken by up to eight others, or late by up to four milliseconds.
    pub overtaken: u64,
    /// The seed of the sequence of decisions.
    pub seed: u64,
}

/// The maximum time for which a segment is held back, so that the last of a burst arrives as well.
const LATE: Duration = Duration::from_millis(4);

/// The receive buffer in bytes for each direction.
const RECEIVE_BUFFER: usize = 16 << 20;

/// Counters of disturbed segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Toll {
    /// Forwarded at least once.
    pub passed: u64,
    /// Not forwarded.
    pub lost: u64,
    /// Forwarded twice.
    pub doubled: u64,
    /// Held back.
    pub overtaken: u64,
}

/// Forwards frames in both directions, on its own thread, until it is dropped.
#[derive(Debug)]
pub struct Forwarder {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    stop: AtomicBool,
    passed: AtomicU64,
    lost: AtomicU64,
    doubled: AtomicU64,
    overtaken: AtomicU64,
}

impl Forwarder {
    /// Connects two links of `middle`, which must not have addresses.
    ///
    /// # Errors
    ///
    /// If a packet socket cannot be opened.
    pub fn start(middle: Namespace, links: [&str; 2], roughness: Roughness) -> Result<Self> {
        let [left, right] = links.map(|link| middle.run(|| raw_socket(link)));
        let (left, right) = (left??, right??);
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let random = |salt| Random::new(roughness.seed.wrapping_mul(2).wrapping_add(salt));
        let mut lanes = [
            Lane::new(left.try_clone()?, right.try_clone()?, roughness, random(0)),
            Lane::new(right, left, roughness, random(1)),
        ];
        let thread = thread::Builder::new().name("forwarder".into()).spawn(move || {
            let _middle = middle; // it lasts as long as somebody forwards in it
            while !shared.stop.load(Ordering::Relaxed) {
                if let Err(error) = turn(&mut lanes, &shared) {
                    eprintln!("forwarder: {error}");
                    return;
                }
            }
        })?;
        Ok(Self { state, thread: Some(thread) })
    }

    /// The counters so far.
    pub fn toll(&self) -> Toll {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Toll {
            passed: read(&self.state.passed),
            lost: read(&self.state.lost),
            doubled: read(&self.state.doubled),
            overtaken: read(&self.state.overtaken),
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits for frames and forwards those that are available.
fn turn(lanes: &mut [Lane; 2], state: &State) -> io::Result<()> {
    let waiting = lanes.iter().any(|lane| !lane.held.is_empty());
    let timeout = PollTimeout::from(if waiting { 1_u8 } else { 50 });
    let mut ready = lanes.each_ref().map(|lane| PollFd::new(lane.from.as_fd(), PollFlags::POLLIN));
    match poll(&mut ready, timeout) {
        Ok(_) | Err(nix::Error::EINTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    lanes.iter_mut().try_for_each(|lane| lane.turn(state))
}

/// One direction.
struct Lane {
    from: OwnedFd,
    to: OwnedFd,
    roughness: Roughness,
    random: Random,
    /// Frames that others overtake, each with the number that still may and the time since when it
    /// is held.
    held: VecDeque<(Vec<u8>, u64, Instant)>,
    buffer: Vec<u8>,
}

impl Lane {
    fn new(from: OwnedFd, to: OwnedFd, roughness: Roughness, random: Random) -> Self {
        Self { from, to, roughness, random, held: VecDeque::new(), buffer: vec![0; 1 << 17] }
    }

    fn turn(&mut self, state: &State) -> io::Result<()> {
        // Bounded, because the other direction must get its turn.
        for _ in 0..64 {
            let length = match recv(self.from.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT)
            {
                Ok(length) => length,
                Err(nix::Error::EAGAIN | nix::Error::EINTR) => break,
                Err(errno) => return Err(errno.into()),
            };
            self.judge(length, state)?;
        }
        let now = Instant::now();
        while let Some((frame, ..)) =
            self.held.pop_front_if(|(_, left, since)| *left == 0 || now - *since > LATE)
        {
            self.send(&frame)?;
        }
        Ok(())
    }

    fn judge(&mut self, length: usize, state: &State) -> io::Result<()> {
        let frame = self.buffer[..length].to_vec();
        if !is_tcp(&frame) {
            return self.send(&frame);
        }
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        if self.random.happens(self.roughness.lost) {
            count(&state.lost);
            return Ok(());
        }
        count(&state.passed);
        if self.random.happens(self.roughness.overtaken) {
            count(&state.overtaken);
            let others = 1 + self.random.below(8);
            self.held.push_back((frame, others, Instant::now()));
            return Ok(());
        }
        if self.random.happens(self.roughness.doubled) {
            count(&state.doubled);
            self.send(&frame)?;
        }
        self.send(&frame)?;
        self.held.iter_mut().for_each(|(_, left, _)| *left = left.saturating_sub(1));
        Ok(())
    }

    fn send(&self, frame: &[u8]) -> io::Result<()> {
        match send(self.to.as_raw_fd(), frame, MsgFlags::empty()) {
            // A full queue loses frames, as on any path.
            Ok(_) | Err(nix::Error::ENOBUFS | nix::Error::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Returns `true` if this Ethernet frame carries TCP without IPv6 extension headers.
fn is_tcp(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        Some([0x08, 0x00]) => frame.get(23) == Some(&6),
        Some([0x86, 0xdd]) => frame.get(20) == Some(&6),
        _ => false,
    }
}

/// Opens a packet socket for whole frames of one link, in the namespace of this thread. It does not
/// receive the frames that it sends itself.
fn raw_socket(link: &str) -> io::Result<OwnedFd> {
    let descriptor =
        socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
    let address = link_address(link)?.ok_or(io::ErrorKind::NotFound)?;
    bind(descriptor.as_raw_fd(), &address)?;
    // Only the real root may exceed the system's limit. Frames that do not fit are lost, as on any
    // path.
    setsockopt(&descriptor, sockopt::RcvBufForce, &RECEIVE_BUFFER)
        .or_else(|_| setsockopt(&descriptor, sockopt::RcvBuf, &RECEIVE_BUFFER))?;
    Ok(descriptor)
}

fn link_address(link: &str) -> io::Result<Option<LinkAddr>> {
    let found = getifaddrs()?
        .filter(|interface| interface.interface_name == link)
        .find_map(|interface| interface.address?.as_link_addr().copied());
    Ok(found)
}
