//! One direction of a bridge over AF_PACKET.

use ring_sys::packet::ENETDOWN;

use super::{LaneStatistics, Pumped, Side, Transit, Verdict};
use crate::{Capture, Error, Injector, Timeout};

/// Packets in one go at most, so that the other direction gets its turn.
pub(super) const ONE_GO: u64 = 256;

/// From one interface's receive ring to the other's send queue.
#[derive(Debug)]
pub(crate) struct Lane {
    from: Side,
    capture: Capture,
    injector: Injector,
    /// What the verdict makes of a packet.
    changed: Vec<u8>,
    statistics: LaneStatistics,
}

impl Lane {
    pub(crate) fn new(from: Side, capture: Capture, injector: Injector) -> Self {
        let (changed, statistics) = (Vec::new(), LaneStatistics::default());
        Self { from, capture, injector, changed, statistics }
    }

    /// Forwards what is there, as far as the other interface takes it. What it does not take stays in the receive ring.
    pub(crate) fn pump(
        &mut self,
        verdict: &mut impl FnMut(&mut Transit<'_>) -> Verdict,
    ) -> Result<Pumped, Error> {
        let mut packets = 0;
        while packets < ONE_GO {
            let room = self.injector.make_room(Timeout::Now);
            if !self.unless_down(room)?.unwrap_or(true) {
                return Ok(Pumped { packets, stalled: true });
            }
            let Some(packet) = self.capture.next_packet(Timeout::Now)? else { break };
            packets += 1;
            let mut transit = Transit::new(packet, self.from, &mut self.changed);
            let verdict = verdict(&mut transit);
            let statistics = &mut self.statistics;
            let Some(packet) = transit.outcome(verdict) else {
                statistics.dropped += 1;
                continue;
            };
            let checked = self.injector.check_packet(&packet);
            if packet.is_truncated() || checked.and_then(|()| self.injector.put(&packet)).is_err() {
                statistics.refused += 1;
                continue;
            }
            statistics.forwarded += 1;
            statistics.rewritten += u64::from(verdict == Verdict::Rewrite);
        }
        let pushed = self.injector.push();
        let stall = self.unless_down(pushed)?.flatten();
        Ok(Pumped { packets, stalled: stall.is_some() })
    }

    pub(crate) fn statistics(&mut self) -> Result<LaneStatistics, Error> {
        let sent = self.injector.statistics();
        Ok(LaneStatistics {
            sent: sent.packets,
            rejected: sent.rejected,
            overrun: self.capture.statistics()?.drops,
            ..self.statistics
        })
    }

    /// `None` where the other interface is down: what is in line for it is given up then.
    fn unless_down<T>(&mut self, result: Result<T, Error>) -> Result<Option<T>, Error> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Error::System { source, .. }) if source.raw_os_error() == Some(ENETDOWN) => {
                self.statistics.lost += self.injector.discard() as u64;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
