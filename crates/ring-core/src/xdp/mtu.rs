//! An interface's MTU, which others may change while a socket is bound.
//!
//! The kernel tells a bound socket nothing of it. In generic mode and on virtual links the change is taken, and from then
//! on packets come that a frame may have no room for: `__xsk_rcv` of net/xdp/xsk.c drops those, unless packets may span
//! frames. Drivers of adapters refuse an MTU that their receive buffers have no room for while a program is attached.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ring_sys::packet::PacketSocket;

use super::socket::XdpSocket;

/// The least time between two looks because of packets that are too long to be sent: each may be followed by another.
const BETWEEN: Duration = Duration::from_millis(20);
/// Changes that are kept for whoever asks: an MTU may change again and again while nobody does.
const KEPT: usize = 16;

/// The MTU of an interface was raised while AF_XDP sockets were open on it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RaisedMtu {
    /// The interface.
    pub interface: String,
    /// What it was before, in bytes.
    pub before: u32,
    /// What it is now, in bytes.
    pub now: u32,
    /// `true` if the longest packets of now are received: in one frame, or in several. Otherwise the kernel drops and
    /// counts them, until the sockets are opened again.
    pub fits: bool,
    /// `true` if the sockets were opened again because of it, see
    /// [`XdpSocketBuilder::reopen`](super::XdpSocketBuilder::reopen).
    pub reopened: bool,
}

/// The raised MTUs of a source's interfaces, to be asked for wherever the source has gone; cheap to clone. Each is
/// noticed within half a second while the source is waited with.
#[derive(Clone, Debug, Default)]
pub struct XdpMtuReports {
    reports: Arc<Mutex<VecDeque<RaisedMtu>>>,
}

impl XdpMtuReports {
    /// The next change that nobody has taken yet; the oldest of more than 16 are forgotten.
    #[must_use]
    pub fn take(&self) -> Option<RaisedMtu> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    pub(crate) fn add(&self, report: RaisedMtu) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        if reports.len() == KEPT {
            reports.pop_front();
        }
        reports.push_back(report);
    }
}

/// The MTU as it was when it was last looked at.
#[derive(Debug)]
pub(crate) struct Mtu {
    now: AtomicU32,
    /// Bytes of the link-layer header, a VLAN tag included.
    header: u32,
    looked: Mutex<Instant>,
    /// A packet socket without a protocol, which receives nothing: it asks in the network namespace of the interface,
    /// which may be another than the thread's. `None` only where a test plays the kernel.
    socket: Option<PacketSocket>,
}

impl Mtu {
    pub(crate) fn new(mtu: u32, header: u32, socket: Option<PacketSocket>) -> Self {
        Self { now: AtomicU32::new(mtu), header, looked: Mutex::new(Instant::now()), socket }
    }

    /// In bytes.
    #[inline]
    pub(crate) fn now(&self) -> u32 {
        self.now.load(Ordering::Relaxed)
    }

    /// The longest packet of the interface, link-layer header and a VLAN tag included.
    #[inline]
    pub(crate) fn longest(&self) -> u32 {
        self.now().saturating_add(self.header)
    }

    /// Asks the kernel. An interface that has gone, or has another name now, stays as it was.
    pub(crate) fn look(&self, interface: &str) {
        if let Some(Ok(mtu)) = self.socket.as_ref().map(|socket| socket.mtu(interface)) {
            self.now.store(mtu, Ordering::Relaxed);
        }
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Asks the kernel if a packet of this length would be too long for the interface, not counting a tag that it does
    /// not have.
    #[inline]
    pub(crate) fn look_for(&self, interface: &str, len: usize) {
        const TAG: usize = 4;
        if len + TAG > self.longest() as usize {
            self.look_again(interface);
        }
    }

    #[cold]
    fn look_again(&self, interface: &str) {
        let looked = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.elapsed() >= BETWEEN {
            self.look(interface);
        }
    }
}

/// The MTUs that were reported of the interfaces of a source.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    known: Vec<u32>,
    pub(crate) reports: XdpMtuReports,
}

impl Watched {
    /// Watches these sockets' interfaces, one socket of each.
    pub(crate) fn of<'a>(sockets: impl IntoIterator<Item = &'a XdpSocket>) -> Self {
        let mut watched = Self::default();
        watched.accept(sockets);
        watched
    }

    /// Nothing of before is reported any more: the sockets are new.
    pub(crate) fn accept<'a>(&mut self, sockets: impl IntoIterator<Item = &'a XdpSocket>) {
        self.known = sockets.into_iter().map(|socket| socket.endpoint().mtu.now()).collect();
    }

    /// `true` if [`raised`](Self::raised) has something to look at.
    pub(crate) fn is_news<'a>(&self, sockets: impl IntoIterator<Item = &'a XdpSocket>) -> bool {
        let now = sockets.into_iter().map(|socket| socket.endpoint().mtu.now());
        self.known.iter().zip(now).any(|(known, now)| *known != now)
    }

    /// The interfaces whose MTU was raised since this was last called.
    #[inline]
    pub(crate) fn raised<'a>(
        &mut self,
        sockets: impl IntoIterator<Item = &'a XdpSocket>,
    ) -> Vec<RaisedMtu> {
        let mut raised = Vec::new();
        for (known, socket) in self.known.iter_mut().zip(sockets) {
            let now = socket.endpoint().mtu.now();
            if now != *known {
                raised.extend(RaisedMtu::of(socket, *known, now));
                *known = now;
            }
        }
        raised
    }
}

impl RaisedMtu {
    /// The sockets were opened again, this one for the interface.
    pub(crate) fn settle(&mut self, socket: Option<&XdpSocket>) {
        self.reopened = true;
        self.fits = socket.is_some_and(fits);
    }

    /// The change from one MTU to another, if it is a raised one.
    pub(crate) fn of(socket: &XdpSocket, before: u32, now: u32) -> Option<Self> {
        let interface = || socket.endpoint().interface.to_string();
        (now > before).then(|| Self {
            interface: interface(),
            before,
            now,
            fits: fits(socket),
            reopened: false,
        })
    }
}

/// `true` if the longest packets of the interface come whole.
fn fits(socket: &XdpSocket) -> bool {
    let endpoint = socket.endpoint();
    endpoint.multi_buffer || endpoint.mtu.longest() <= endpoint.umem.memory.receive_room()
}
