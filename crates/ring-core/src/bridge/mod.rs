//! Bridges between two interfaces, with a verdict on each packet.

#[cfg(feature = "tokio")]
mod asynchronous;
mod builder;
mod cut;
mod lane;
mod transit;
mod xdp;

use std::fmt;
use std::time::Duration;

use ring_sys::event::Poller;

#[cfg(feature = "tokio")]
pub use self::asynchronous::AsyncBridge;
pub use self::builder::BridgeBuilder;
use self::lane::Lane;
pub use self::transit::{Transit, Verdict};
pub use self::xdp::XdpBridgeBuilder;
use self::xdp::XdpLanes;
use crate::error::system;
use crate::interruption::Interruption;
use crate::wait::Deadline;
use crate::{Error, Interrupter, Next, Side, Timeout};

/// Time to wait for an interface that accepts no more packets, since there is no event for it.
const STALLED: Duration = Duration::from_millis(1);

/// Forwards packets between two interfaces, in both directions, and calls a function for each one.
///
/// Only packets received from outside are forwarded; packets sent by the bridge or the host are
/// not. They are forwarded as on a cable: VLAN tags that were removed are reinserted, checksums
/// left to an adapter are filled in, and coalesced TCP segments are split to the other side's size.
/// UDP datagrams that a host coalesced for an adapter to split (`UDP_SEGMENT` of udp(7), over a
/// virtual link) cross as one, because the kernel does not report where to split them. While one
/// side accepts no more packets, they wait in the other side's receive ring, and the opposite
/// direction continues.
///
/// The host's own stack sees the packets as well and answers them if the interfaces have addresses,
/// so give them none. Over AF_XDP ([`xdp_builder`](Self::xdp_builder)) the stack sees none of the
/// packets.
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
    interruption: Interruption,
    /// `true` while a direction waits for room on the other side.
    stalled: bool,
}

/// Both directions.
#[derive(Debug)]
enum Lanes {
    /// Over AF_PACKET: to the right and to the left.
    Packet(Box<[Lane; 2]>),
    /// Over AF_XDP.
    Xdp(XdpLanes),
}

/// The result of one round of forwarding.
#[derive(Clone, Copy, Debug, Default)]
struct Pumped {
    /// The number of packets processed.
    packets: u64,
    /// `true` if packets may be left because the other interface accepts no more now, or if
    /// something else must be retried for which there is no event.
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

/// Totals of one direction. They never decrease.
///
/// Each captured packet is forwarded, dropped or refused. Each forwarded packet is sent, rejected,
/// lost, or still waiting to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneStatistics {
    /// Packets that the verdict accepted, including changed ones.
    pub forwarded: u64,
    /// Forwarded packets that the verdict changed.
    pub rewritten: u64,
    /// Packets that the verdict dropped.
    pub dropped: u64,
    /// Packets that cannot be sent on the other side: too long and not TCP, truncated when
    /// captured, or left empty by the verdict.
    pub refused: u64,
    /// Packets that the other interface accepted.
    pub sent: u64,
    /// Packets that the kernel refused to send on the other interface.
    pub rejected: u64,
    /// Packets discarded because the other interface was down. Over AF_XDP also packets that had to
    /// be copied while all frames were in use for receiving.
    pub lost: u64,
    /// Packets that the kernel dropped on receipt because there was no room.
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

    /// Returns the settings of a bridge.
    pub fn builder(left: &str, right: &str) -> BridgeBuilder {
        BridgeBuilder::new(left, right)
    }

    /// Forwards until an [`Interrupter`] ends it.
    ///
    /// # Errors
    /// [`Error::InterfaceGone`]; [`Error::System`]. An interface that is down is not an error:
    /// packets to it are lost and counted until it is up again.
    pub fn run(
        &mut self,
        mut verdict: impl FnMut(&mut Transit<'_>) -> Verdict,
    ) -> Result<BridgeStatistics, Error> {
        while !matches!(self.forward(Timeout::Never, &mut verdict)?, Next::Interrupted) {}
        self.statistics()
    }

    /// Waits for packets and forwards those that are there, at most some hundreds in each direction
    /// (and queue, over AF_XDP). Returns the number of packets processed. Never returns
    /// [`Next::End`].
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn forward(
        &mut self,
        timeout: Timeout,
        mut verdict: impl FnMut(&mut Transit<'_>) -> Verdict,
    ) -> Result<Next<u64>, Error> {
        let deadline = Deadline::of(timeout);
        loop {
            if self.interruption.take() {
                return Ok(Next::Interrupted);
            }
            let packets = self.pump(&mut verdict)?;
            if packets > 0 {
                return Ok(Next::Batch(packets));
            }
            let left = deadline.left();
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(Next::TimedOut);
            }
            // No event reports room in a send queue, so a stalled bridge looks again after a while.
            let longest = if self.stalled { Some(STALLED) } else { None };
            let wait = left.into_iter().chain(longest).min();
            self.poller.wait(wait, |_| {}).map_err(system("wait for packets"))?;
        }
    }

    /// Totals since the bridge was opened.
    ///
    /// # Errors
    /// [`Error::System`] if the kernel refuses to report them.
    pub fn statistics(&mut self) -> Result<BridgeStatistics, Error> {
        let [to_right, to_left] = match &mut self.lanes {
            Lanes::Packet(lanes) => [lanes[0].statistics()?, lanes[1].statistics()?],
            Lanes::Xdp(lanes) => [lanes.statistics(Side::Left)?, lanes.statistics(Side::Right)?],
        };
        Ok(BridgeStatistics { to_right, to_left })
    }

    /// A handle that ends [`run`](Self::run) and [`forward`](Self::forward) from other threads.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.interruption.interrupter()
    }

    /// Forwards packets without waiting. Returns the number of packets processed.
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
