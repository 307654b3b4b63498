//! A bridge over AF_XDP.

use std::collections::VecDeque;
use std::os::fd::AsFd as _;

use ring_sys::event::Poller;

use super::cut::Cut;
use super::lane::ONE_GO;
use super::{Bridge, LaneStatistics, Lanes, Pumped, Side, Transit, Verdict};
use crate::checksum::Segment;
use crate::error::system;
use crate::xdp::{Passed, can_pass, counterpart, open_both, pass_on, put_in_place, unless_down};
use crate::{
    ChecksumStatus, Error, Interrupter, LinkType, Next, Packet, PacketMeta, Timeout, XdpError,
    XdpFrame, XdpReceiver, XdpSender, XdpSocket, XdpSocketBuilder,
};

/// The sockets of all queues, and what is on its way between them.
#[derive(Debug)]
pub(super) struct XdpLanes {
    left: Vec<XdpSocket>,
    right: Vec<XdpSocket>,
    to_right: Vec<XdpLane>,
    to_left: Vec<XdpLane>,
    /// How many packets were told of as sent: a packet that is refused later makes them no fewer.
    sent: [u64; 2],
}

/// From one queue of an interface to one of the other.
#[derive(Debug)]
struct XdpLane {
    from: Side,
    /// Received, and not looked at yet: frames that continue belong to one packet with the next.
    held: VecDeque<(XdpFrame, PacketMeta)>,
    /// The frames of the packet that was looked at last.
    frames: Vec<XdpFrame>,
    /// That packet's bytes, where they lie in several frames.
    joined: Vec<u8>,
    /// What the verdict made of it.
    changed: Vec<u8>,
    /// One of the packets that it is cut into.
    piece: Vec<u8>,
    /// How it is to be sent, if it has not been yet.
    waiting: Option<Outgoing>,
    /// The other interface is down.
    down: bool,
    /// The packet that waits found no frames to be copied into, and none are on their way back.
    stuck: bool,
    statistics: LaneStatistics,
}

/// How a packet is sent.
#[derive(Debug)]
enum Outgoing {
    /// As the frames that it came in.
    Frames,
    /// As a copy of the changed bytes.
    Changed,
    /// The changed bytes in several packets.
    Cut(Cut),
}

impl Bridge {
    /// Joins two interfaces over AF_XDP: what was received on one is sent on the other in the same frames, unless a verdict
    /// changes it. All queues of both are served, with one packet memory: that is the left builder's, given to it or made as it
    /// says once for each queue. Otherwise both are as their builders say, but for the queue, the direction (both),
    /// promiscuous mode (on) and how to wait (asleep until a packet comes).
    ///
    /// The host's stack sees nothing of what is forwarded, unless the builders [steer](XdpSocketBuilder::steer) a part of
    /// the traffic; VLAN tags are where the interface leaves them, in the packet's bytes; one that it
    /// takes off (`ethtool -K eth0 rxvlan off` ends that) is lost. Checksums that a virtual link left
    /// to an adapter are recognised by the pseudo-header's sum in their place.
    ///
    /// ```no_run
    /// use ring_core::{Bridge, Verdict, XdpSocket};
    ///
    /// # fn main() -> Result<(), ring_core::Error> {
    /// let mut bridge = Bridge::with_xdp(&XdpSocket::builder("eth0"), &XdpSocket::builder("eth1"))?;
    /// bridge.run(|_| Verdict::Forward)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`XdpSocketBuilder::open`], in [`Error::Xdp`]; [`Error::NoInterface`]; [`Error::SameInterface`];
    /// [`Error::SinkLinkType`].
    pub fn with_xdp(left: &XdpSocketBuilder, right: &XdpSocketBuilder) -> Result<Self, Error> {
        let [left, right] = open_both(left, right)?;
        Self::between(left, right)
    }

    /// Joins two interfaces of which these are the sockets, by their queues.
    pub(crate) fn between(left: Vec<XdpSocket>, right: Vec<XdpSocket>) -> Result<Self, Error> {
        let (here, there) = (left[0].endpoint(), right[0].endpoint());
        if here.link_type != there.link_type {
            return Err(Error::SinkLinkType {
                interface: there.interface.to_string(),
                packet: here.link_type,
                expected: there.link_type,
            });
        }
        let interrupter = Interrupter::new().map_err(system("make an event"))?;
        let poller = Poller::new().map_err(system("make a poller"))?;
        let receivers = left.iter().chain(&right).filter_map(|socket| socket.receiver.as_ref());
        for receiver in receivers {
            let inner = receiver.poller()?;
            poller.add_edge(inner.as_fd(), 0).map_err(system("watch a descriptor"))?;
        }
        poller.add_edge(interrupter.as_fd(), 0).map_err(system("watch a descriptor"))?;
        let lanes =
            |from, sockets: &[XdpSocket]| sockets.iter().map(|_| XdpLane::new(from)).collect();
        let (to_right, to_left) = (lanes(Side::Left, &left), lanes(Side::Right, &right));
        let lanes = Lanes::Xdp(XdpLanes { left, right, to_right, to_left, sent: [0; 2] });
        Ok(Self { lanes, poller, interrupter, stalled: false })
    }
}

impl XdpLanes {
    /// Forwards what is there, as far as the other interface takes it. What it does not take stays in the receive rings.
    pub(super) fn pump(
        &mut self,
        from: Side,
        verdict: &mut impl FnMut(&mut Transit<'_>) -> Verdict,
    ) -> Result<Pumped, Error> {
        let (here, there, lanes) = match from {
            Side::Left => (&mut self.left, &mut self.right, &mut self.to_right),
            Side::Right => (&mut self.right, &mut self.left, &mut self.to_left),
        };
        let mut all = Pumped::default();
        for (queue, (socket, lane)) in here.iter_mut().zip(lanes).enumerate() {
            let sender = counterpart(there, queue)?;
            let pumped = lane.pump(socket.receiver()?, sender, verdict)?;
            all.packets += pumped.packets;
            all.stalled |= pumped.stalled;
        }
        Ok(all)
    }

    pub(super) fn statistics(&mut self, from: Side) -> Result<LaneStatistics, Error> {
        let (here, there, lanes) = match from {
            Side::Left => (&self.left, &self.right, &self.to_right),
            Side::Right => (&self.right, &self.left, &self.to_left),
        };
        let mut sum = LaneStatistics::default();
        for lane in lanes {
            let LaneStatistics { forwarded, rewritten, dropped, refused, sent, lost, .. } =
                lane.statistics;
            sum.forwarded += forwarded;
            sum.rewritten += rewritten;
            sum.dropped += dropped;
            sum.refused += refused;
            sum.sent += sent;
            sum.lost += lost;
        }
        for sender in there.iter().filter_map(|socket| socket.sender.as_ref()) {
            sum.rejected += sender.sender_statistics()?.invalid;
        }
        let told = &mut self.sent[from as usize];
        *told = sum.sent.saturating_sub(sum.rejected).max(*told);
        sum.sent = *told;
        for socket in here {
            sum.overrun += socket.statistics()?.drops;
        }
        Ok(sum)
    }
}

impl XdpLane {
    fn new(from: Side) -> Self {
        Self {
            from,
            held: VecDeque::new(),
            frames: Vec::new(),
            joined: Vec::new(),
            changed: Vec::new(),
            piece: Vec::new(),
            waiting: None,
            down: false,
            stuck: false,
            statistics: LaneStatistics::default(),
        }
    }

    fn pump(
        &mut self,
        receiver: &mut XdpReceiver,
        sender: &mut XdpSender,
        verdict: &mut impl FnMut(&mut Transit<'_>) -> Verdict,
    ) -> Result<Pumped, XdpError> {
        if self.down {
            self.flush(sender)?;
        }
        let mut pumped = Pumped::default();
        loop {
            if !self.send(sender)? {
                pumped.stalled = true;
                break;
            }
            if pumped.packets == ONE_GO || !self.take(receiver)? {
                break;
            }
            pumped.packets += 1;
            self.look(sender, receiver.endpoint.link_type, verdict);
        }
        self.flush(sender)?;
        // Nobody tells when there is room for what was queued, nor when frames that a receiver lacks were sent.
        pumped.stalled |= !self.down && sender.is_behind()?;
        pumped.stalled |= receiver.wants_frames() && sender.endpoint.umem.in_flight() > 0;
        Ok(pumped)
    }

    /// Takes the next packet's frames; `false` where there is none.
    fn take(&mut self, receiver: &mut XdpReceiver) -> Result<bool, XdpError> {
        if self.held.is_empty() {
            let received = receiver.receive(Timeout::Now);
            let Some(Next::Batch(batch)) = unless_down(received)? else { return Ok(false) };
            // Batches end where packets end.
            self.held.extend(batch.into_frames());
        }
        Ok(!self.held.is_empty())
    }

    /// Has the next packet judged, and says how it is to be sent.
    fn look(
        &mut self,
        sender: &XdpSender,
        link_type: LinkType,
        verdict: &mut impl FnMut(&mut Transit<'_>) -> Verdict,
    ) {
        let Some((first, mut meta)) = self.held.pop_front() else { return };
        // A verdict that panicked has left those of the packet before.
        self.frames.clear();
        self.frames.push(first);
        self.joined.clear();
        while self.frames.last().is_some_and(XdpFrame::continues)
            && let Some((next, _)) = self.held.pop_front()
        {
            self.frames.push(next);
        }
        let data = match &self.frames[..] {
            [whole] => whole.data(),
            pieces => {
                pieces.iter().for_each(|piece| self.joined.extend_from_slice(piece.data()));
                &self.joined
            }
        };
        if Segment::of(data, link_type).is_some_and(|segment| segment.is_unfinished(data)) {
            meta.checksum = ChecksumStatus::Partial;
        }
        let mut transit = Transit::new(Packet::new(data, meta), self.from, &mut self.changed);
        let verdict = verdict(&mut transit);
        let Some(packet) = transit.outcome(verdict) else {
            self.statistics.dropped += 1;
            self.frames.clear();
            return;
        };
        let (len, rewritten) = (packet.data().len(), verdict == Verdict::Rewrite);
        let unfinished = packet.meta().checksum == ChecksumStatus::Partial;
        self.waiting = if !rewritten && can_pass(sender, &self.frames) {
            if unfinished && let Some(segment) = Segment::of(data, link_type) {
                let sum = segment.sum(data);
                put_in_place(&mut self.frames, segment.field().start, sum);
            }
            Some(Outgoing::Frames)
        } else {
            if !rewritten {
                self.changed.clear();
                self.changed.extend_from_slice(data);
            }
            self.frames.clear();
            if unfinished && let Some(segment) = Segment::of(&self.changed, link_type) {
                let sum = segment.sum(&self.changed);
                self.changed[segment.field()].copy_from_slice(&sum);
            }
            let longest = sender.longest_packet(self.changed.len());
            let limit = longest.min(sender.endpoint.longest_like(&self.changed));
            match len {
                0 => None,
                _ if len <= limit => Some(Outgoing::Changed),
                _ => Cut::of(&self.changed, link_type, limit).map(Outgoing::Cut),
            }
        };
        let counts = &mut self.statistics;
        match self.waiting {
            None => counts.refused += 1,
            Some(_) => {
                counts.forwarded += 1;
                counts.rewritten += u64::from(rewritten);
            }
        }
    }

    /// Queues the packet that was looked at last; `false` where there is no room for all of it.
    fn send(&mut self, sender: &mut XdpSender) -> Result<bool, XdpError> {
        if self.waiting.is_some() && self.down {
            return self.give_up();
        }
        let Some(mut outgoing) = self.waiting.take() else { return Ok(true) };
        if !self.queue(sender, &mut outgoing)? {
            self.flush(sender)?;
            if self.down || !self.queue(sender, &mut outgoing)? {
                self.waiting = Some(outgoing);
                return if self.down || self.is_stuck(sender) { self.give_up() } else { Ok(false) };
            }
        }
        self.stuck = false;
        self.statistics.sent += 1;
        Ok(true)
    }

    /// Whether a packet waits for the second time for frames of which none is on its way back: the receivers have them all.
    fn is_stuck(&mut self, sender: &XdpSender) -> bool {
        let before = self.stuck;
        self.stuck = sender.endpoint.umem.in_flight() == 0;
        before && self.stuck
    }

    fn give_up(&mut self) -> Result<bool, XdpError> {
        (self.waiting, self.stuck) = (None, false);
        self.frames.clear();
        self.statistics.lost += 1;
        Ok(true)
    }

    /// Queues as much of it as there is room for; whether that is all.
    fn queue(&mut self, sender: &mut XdpSender, outgoing: &mut Outgoing) -> Result<bool, XdpError> {
        match outgoing {
            // That it can be sent was asked before.
            Outgoing::Frames => {
                return Ok(!matches!(pass_on(sender, &mut self.frames)?, Passed::Full));
            }
            Outgoing::Changed => return sender.send_bytes(&self.changed),
            Outgoing::Cut(cut) => {
                while !cut.is_over() {
                    cut.write(&self.changed, &mut self.piece);
                    if !sender.send_bytes(&self.piece)? {
                        return Ok(false);
                    }
                    cut.advance();
                }
            }
        }
        Ok(true)
    }

    /// Hands over what is queued, and learns whether the other interface is down.
    fn flush(&mut self, sender: &mut XdpSender) -> Result<(), XdpError> {
        self.down = unless_down(sender.flush())?.is_none();
        Ok(())
    }
}
