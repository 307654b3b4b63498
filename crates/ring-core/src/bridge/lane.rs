//! One direction of a bridge over AF_PACKET.

use ring_sys::errno::ENETDOWN;

use super::cut::{Cut, without_jumbo_header};
use super::{LaneStatistics, Pumped, Transit, Verdict};
use crate::{Capture, ChecksumStatus, Error, Injector, Packet, PacketMeta, Side, Timeout};

/// Maximum number of packets per round, so that the other direction gets its turn.
pub(super) const ONE_GO: u64 = 256;

/// Maximum length of a packet, with room for a VLAN tag, that a packet socket accepts. Longer
/// packets are BIG TCP.
const MAX_WHOLE: usize = 65_531;
/// The length of the pieces of longer packets, including headers. The kernel segments them further
/// as the interface needs.
const PIECE: usize = 61_440;

/// A TCP packet of more than 64 KiB that is being sent in pieces.
#[derive(Debug)]
struct Pieces {
    packet: Vec<u8>,
    meta: PacketMeta,
    cut: Cut,
    piece: Vec<u8>,
}

impl Pieces {
    /// `None` if the packet is not TCP.
    fn of(packet: &Packet<'_>) -> Option<Self> {
        let mut meta = *packet.meta();
        // The length on the wire and the offset of the network header belong to the whole packet;
        // each piece has others.
        (meta.wire_len, meta.network_offset) = (0, None);
        meta.checksum = ChecksumStatus::Partial;
        let mut packet = packet.data().to_vec();
        without_jumbo_header(&mut packet, meta.link_type);
        let cut = Cut::of(&packet, meta.link_type, PIECE)?;
        Some(Self { packet, meta, cut, piece: Vec::new() })
    }

    /// Queues the next piece; the caller has checked that there is room. `false` after the last
    /// one.
    fn put_next(&mut self, injector: &mut Injector) -> Result<bool, Error> {
        self.cut.write(&self.packet, &mut self.piece);
        self.cut.advance();
        let piece = Packet::with_meta(&self.piece, self.meta);
        injector.check_packet(&piece)?;
        injector.put(&piece)?;
        Ok(!self.cut.is_over())
    }
}

/// Forwards from one interface's receive ring to the other's send queue.
#[derive(Debug)]
pub(crate) struct Lane {
    from: Side,
    capture: Capture,
    injector: Injector,
    /// The packet's bytes as changed by the verdict.
    changed: Vec<u8>,
    /// The packet that is being sent in pieces.
    pieces: Option<Pieces>,
    statistics: LaneStatistics,
}

impl Lane {
    pub(crate) fn new(from: Side, capture: Capture, injector: Injector) -> Self {
        let (changed, statistics) = (Vec::new(), LaneStatistics::default());
        Self { from, capture, injector, changed, pieces: None, statistics }
    }

    /// Forwards packets as long as the other interface accepts them. The rest stays in the receive
    /// ring.
    pub(crate) fn pump(
        &mut self,
        verdict: &mut impl FnMut(&mut Transit<'_>) -> Verdict,
    ) -> Result<Pumped, Error> {
        let mut packets = 0;
        while packets < ONE_GO {
            let room = self.injector.make_room(Timeout::Now);
            match self.unless_down(room)? {
                Some(true) => {}
                Some(false) => return Ok(Pumped { packets, stalled: true }),
                // The pieces that were queued are lost with the queue. The rest would wait at the
                // receiver until those are retransmitted, so it is lost as well.
                None => self.pieces = None,
            }
            if let Some(pieces) = &mut self.pieces {
                if !pieces.put_next(&mut self.injector)? {
                    self.pieces = None;
                }
                continue;
            }
            // Taken only when there is room: what the other side does not accept stays in the
            // receive ring, which is the only buffer.
            let Some(packet) = self.capture.next_packet(Timeout::Now)? else { break };
            packets += 1;
            let mut transit = Transit::new(packet, self.from, &mut self.changed);
            let verdict = verdict(&mut transit);
            let statistics = &mut self.statistics;
            let Some(packet) = transit.outcome(verdict) else {
                statistics.dropped += 1;
                continue;
            };
            // A truncated packet is refused below, since part of its data is not here.
            if packet.data().len() > MAX_WHOLE && !packet.is_truncated() {
                self.pieces = Pieces::of(&packet);
                match &self.pieces {
                    Some(_) => {
                        statistics.forwarded += 1;
                        statistics.rewritten += u64::from(verdict == Verdict::Rewrite);
                    }
                    None => statistics.refused += 1,
                }
                continue;
            }
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

    /// `None` if the other interface is down. Its queue is discarded then.
    fn unless_down<T>(&mut self, result: Result<T, Error>) -> Result<Option<T>, Error> {
        match result {
            Ok(value) => Ok(Some(value)),
            // An interface that is down is a state, not an end: a cable is plugged in again. What
            // was queued would be out of date by then, so it is lost and counted, as on a wire.
            Err(Error::System { source, .. }) if source.raw_os_error() == Some(ENETDOWN) => {
                self.statistics.lost += self.injector.discard() as u64;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
