//! An interface's MTU, which may change while a socket is bound.
//!
//! The kernel does not report the change to a bound socket. In generic mode and on virtual links
//! the change takes effect, and from then on packets may arrive that do not fit into a frame.
//! `__xsk_rcv` of net/xdp/xsk.c drops those, unless packets may span frames. Drivers of adapters
//! refuse an MTU that is too large for their receive buffers while a program is attached.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ring_sys::packet::PacketSocket;

use super::socket::Socket;

/// Minimum time between two checks caused by packets that are too long to be sent, since many may
/// come in a row.
const BETWEEN: Duration = Duration::from_millis(20);
/// Maximum number of changes to keep until they are taken.
const KEPT: usize = 16;

/// Reports that the MTU of an interface was raised while AF_XDP sockets were open on it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RaisedMtu {
    /// The interface's name.
    pub interface: String,
    /// The previous MTU in bytes.
    pub before: u32,
    /// The new MTU in bytes.
    pub now: u32,
    /// `true` if packets of the new maximum length can be received, in one frame or in several.
    /// Otherwise the kernel drops and counts them, until the sockets are reopened.
    pub fits: bool,
    /// `true` if the sockets were reopened because of the change, see
    /// [`SocketBuilder::reopen`](super::SocketBuilder::reopen).
    pub reopened: bool,
}

/// Reports of raised MTUs of a source's interfaces. Cheap to clone, and valid when the source moves
/// to another thread. A change is noticed within half a second while the source is waiting.
#[derive(Clone, Debug, Default)]
pub struct MtuReports {
    reports: Arc<Mutex<VecDeque<RaisedMtu>>>,
}

impl MtuReports {
    /// Takes the oldest report. Only the newest 16 are kept.
    #[must_use]
    pub fn take(&self) -> Option<RaisedMtu> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    pub(crate) fn add(&self, report: RaisedMtu) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        // The newest reports describe the present state, so the oldest are dropped if nobody takes
        // them.
        if reports.len() == KEPT {
            reports.pop_front();
        }
        reports.push_back(report);
    }
}

/// The MTU as of the last check.
#[derive(Debug)]
pub(crate) struct Mtu {
    now: AtomicU32,
    /// Length of the link-layer header, including a VLAN tag.
    header: u32,
    looked: Mutex<Instant>,
    /// A packet socket without a protocol, which receives nothing. It queries the network namespace
    /// of the interface, which may differ from the thread's. `None` only in tests that simulate the
    /// kernel.
    socket: Option<PacketSocket>,
}

impl Mtu {
    pub(crate) fn new(mtu: u32, header: u32, socket: Option<PacketSocket>) -> Self {
        Self { now: AtomicU32::new(mtu), header, looked: Mutex::new(Instant::now()), socket }
    }

    /// The MTU in bytes.
    #[inline]
    pub(crate) fn now(&self) -> u32 {
        self.now.load(Ordering::Relaxed)
    }

    /// Maximum length of a packet, including link-layer header and VLAN tag.
    #[inline]
    pub(crate) fn longest(&self) -> u32 {
        self.now().saturating_add(self.header)
    }

    /// Reads the MTU. If the interface is gone or was renamed, the value is unchanged.
    pub(crate) fn look(&self, interface: &str) {
        if let Some(Ok(mtu)) = self.socket.as_ref().map(|socket| socket.mtu(interface)) {
            self.now.store(mtu, Ordering::Relaxed);
        }
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Reads the MTU if a packet of this length is too long for the interface, assuming that it has
    /// no VLAN tag.
    #[inline]
    pub(crate) fn look_for(&self, interface: &str, len: usize) {
        const TAG: usize = 4;
        // A packet longer than the MTU known so far may mean that the MTU was raised, which nothing
        // else reports to a sender.
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

/// The MTUs of a source's interfaces as last reported.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    known: Vec<u32>,
    pub(crate) reports: MtuReports,
}

impl Watched {
    /// Takes the current MTUs of new sockets as reported, given one socket of each interface.
    pub(crate) fn accept<'a>(&mut self, sockets: impl IntoIterator<Item = &'a Socket>) {
        self.known = sockets.into_iter().map(|socket| socket.endpoint().mtu.now()).collect();
    }

    /// `true` if an MTU changed since the last report.
    pub(crate) fn is_news<'a>(&self, sockets: impl IntoIterator<Item = &'a Socket>) -> bool {
        let now = sockets.into_iter().map(|socket| socket.endpoint().mtu.now());
        self.known.iter().zip(now).any(|(known, now)| *known != now)
    }

    /// The interfaces whose MTU was raised since the last call.
    #[inline]
    pub(crate) fn raised<'a>(
        &mut self,
        sockets: impl IntoIterator<Item = &'a Socket>,
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
    /// Records that the sockets were reopened; `socket` is the new one of the interface.
    pub(crate) fn settle(&mut self, socket: Option<&Socket>) {
        self.reopened = true;
        self.fits = socket.is_some_and(fits);
    }

    /// The report of a changed MTU. `None` unless it was raised.
    pub(crate) fn of(socket: &Socket, before: u32, now: u32) -> Option<Self> {
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

/// `true` if the longest packets of the interface are received whole.
fn fits(socket: &Socket) -> bool {
    let endpoint = socket.endpoint();
    endpoint.multi_buffer || endpoint.mtu.longest() <= endpoint.umem.memory.receive_room()
}
