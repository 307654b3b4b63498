//! Two interfaces joined, with a say in each packet.

#[cfg(feature = "tokio")]
mod asynchronous;
mod builder;
mod cut;
mod lane;
mod transit;
mod xdp;

use std::fmt;
use std::time::{Duration, Instant};

use ring_sys::event::Poller;

#[cfg(feature = "tokio")]
pub use self::asynchronous::AsyncBridge;
pub use self::builder::BridgeBuilder;
use self::lane::Lane;
pub use self::transit::{Side, Transit, Verdict};
use self::xdp::XdpLanes;
use crate::error::system;
use crate::{Error, Interrupter, Next, Timeout};

/// How long to wait for an interface that takes no more: nobody says when it does.
const STALLED: Duration = Duration::from_millis(1);

/// Forwards packets between two interfaces, in both directions, asking a function about each.
///
/// Only what comes in from outside is forwarded: neither what the bridge itself sends nor what the host sends goes back to
/// where it came from, or across. What comes in is forwarded as it would be on a cable: VLAN tags that were taken off come
/// back, checksums left to an adapter are filled in, and TCP segments that were joined are cut to the other side's size.
/// Datagrams that a host joined for an adapter to cut (`UDP_SEGMENT` of udp(7), over a virtual link) cross as one: the
/// kernel does not tell where they are to be cut.
/// While one side takes no more, its packets wait in the other's receive ring, and the opposite direction goes on.
///
/// The host's own stack sees the packets as well. Give the two interfaces no addresses, or it answers. Over AF_XDP
/// ([`with_xdp`](Self::with_xdp)) it sees none of them.
///
/// ```no_run
/// use ring_core::{Bridge, Verdict};
///
/// # fn main() -> Result<(), ring_core::Error> {
/// let mut bridge = Bridge::open("eth0", "eth1")?;
/// let totals = bridge.run(|transit| match transit.data().get(12..14) {
///     // No IPv6 across.
///     Some([0x86, 0xdd]) => Verdict::Drop,
///     _ => Verdict::Forward,
/// })?;
/// println!("{} packets to the right", totals.to_right.forwarded);
/// # Ok(())
/// # }
/// ```
pub struct Bridge {
    lanes: Lanes,
    poller: Poller,
    interrupter: Interrupter,
    /// A direction waits for room on the other side.
    stalled: bool,
}

/// Both directions.
#[derive(Debug)]
enum Lanes {
    /// Over AF_PACKET: to the right, and to the left.
    Packet(Box<[Lane; 2]>),
    /// Over AF_XDP.
    Xdp(XdpLanes),
}

/// What came of forwarding.
#[derive(Clone, Copy, Debug, Default)]
struct Pumped {
    /// Packets that were looked at.
    packets: u64,
    /// There may be more, but the other interface takes none now, or something else is to be tried again of which nobody
    /// tells.
    stalled: bool,
}

/// Totals of both directions since the bridge was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BridgeStatistics {
    /// From the left interface to the right one.
    pub to_right: LaneStatistics,
    /// From the right interface to the left one.
    pub to_left: LaneStatistics,
}

/// Totals of one direction; none of them ever decreases.
///
/// What was captured is what was forwarded, dropped and refused; what was forwarded is what the other interface took
/// and rejected, and what still waits to be sent or was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneStatistics {
    /// Packets that the verdict let through, changed ones included.
    pub forwarded: u64,
    /// Those of them that the verdict changed.
    pub rewritten: u64,
    /// Packets that the verdict dropped.
    pub dropped: u64,
    /// Packets that cannot be sent on the other side: too long and not TCP, not captured as a whole, or left empty.
    pub refused: u64,
    /// Packets that the other interface took.
    pub sent: u64,
    /// Packets that the other interface's kernel side refused.
    pub rejected: u64,
    /// Packets that were given up because the other interface was down; over AF_XDP also those that were to be copied while
    /// the kernel had all frames, to receive into.
    pub lost: u64,
    /// Packets that the kernel had no room for on receiving.
    pub overrun: u64,
}

impl Bridge {
    /// Joins two interfaces with the defaults.
    ///
    /// # Errors
    /// As [`BridgeBuilder::open`].
    pub fn open(left: &str, right: &str) -> Result<Self, Error> {
        Self::builder(left, right).open()
    }

    /// Sets up a bridge.
    pub fn builder(left: &str, right: &str) -> BridgeBuilder {
        BridgeBuilder::new(left, right)
    }

    /// Forwards until an [`Interrupter`] ends it.
    ///
    /// # Errors
    /// [`Error::InterfaceGone`]; [`Error::System`]. An interface that is down is none: what is to be sent there is lost
    /// and counted until it is up again.
    pub fn run(
        &mut self,
        mut verdict: impl FnMut(&mut Transit<'_>) -> Verdict,
    ) -> Result<BridgeStatistics, Error> {
        while !matches!(self.forward(Timeout::Never, &mut verdict)?, Next::Interrupted) {}
        self.statistics()
    }

    /// Forwards what is there, at most some hundreds of packets in each direction (and queue, over AF_XDP), waiting for
    /// the first; how many packets were looked at. Never [`Next::End`].
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn forward(
        &mut self,
        timeout: Timeout,
        mut verdict: impl FnMut(&mut Transit<'_>) -> Verdict,
    ) -> Result<Next<u64>, Error> {
        let until = match timeout {
            Timeout::Now => Some(Instant::now()),
            Timeout::After(duration) => Instant::now().checked_add(duration),
            Timeout::Never => None,
        };
        loop {
            if self.interrupter.take() {
                return Ok(Next::Interrupted);
            }
            let packets = self.pump(&mut verdict)?;
            if packets > 0 {
                return Ok(Next::Batch(packets));
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(Next::TimedOut);
            }
            let longest = if self.stalled { Some(STALLED) } else { None };
            let wait = left.into_iter().chain(longest).min();
            self.poller.wait(wait, |_| {}).map_err(system("wait for packets"))?;
        }
    }

    /// Totals since the bridge was opened.
    ///
    /// # Errors
    /// [`Error::System`] when the kernel refuses to tell.
    pub fn statistics(&mut self) -> Result<BridgeStatistics, Error> {
        let [to_right, to_left] = match &mut self.lanes {
            Lanes::Packet(lanes) => [lanes[0].statistics()?, lanes[1].statistics()?],
            Lanes::Xdp(lanes) => [lanes.statistics(Side::Left)?, lanes.statistics(Side::Right)?],
        };
        Ok(BridgeStatistics { to_right, to_left })
    }

    /// Ends [`run`](Self::run) and [`forward`](Self::forward) from other threads.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    /// Forwards what is there without waiting; how many packets were looked at.
    fn pump(
        &mut self,
        verdict: &mut impl FnMut(&mut Transit<'_>) -> Verdict,
    ) -> Result<u64, Error> {
        let [right, left] = match &mut self.lanes {
            Lanes::Packet(lanes) => [lanes[0].pump(verdict)?, lanes[1].pump(verdict)?],
            Lanes::Xdp(lanes) => {
                [lanes.pump(Side::Left, verdict)?, lanes.pump(Side::Right, verdict)?]
            }
        };
        self.stalled = right.stalled || left.stalled;
        Ok(right.packets + left.packets)
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").field("lanes", &self.lanes).finish_non_exhaustive()
    }
}
