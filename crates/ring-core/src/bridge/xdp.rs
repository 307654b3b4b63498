//! Bridges over AF_XDP.

use std::collections::VecDeque;
use std::os::fd::AsFd as _;

use ring_sys::event::Poller;

use super::cut::Cut;
use super::lane::ONE_GO;
use super::{Bridge, LaneStatistics, Lanes, Pumped, Transit, Verdict};
use crate::checksum::Segment;
use crate::error::system;
use crate::interruption::Interruption;
use crate::xdp::{Passed, can_pass, counterpart, open_both, pass_on, put_in_place, unless_down};
use crate::{ChecksumStatus, Error, LinkType, Next, Packet, PacketMeta, Side, Timeout, xdp};

/// The sockets of all queues, and the packets between them.
#[derive(Debug)]
pub(super) struct XdpLanes {
    left: Vec<xdp::Socket>,
    right: Vec<xdp::Socket>,
    to_right: Vec<XdpLane>,
    to_left: Vec<XdpLane>,
    /// The number of packets reported as sent. Keeps totals from decreasing if the kernel refuses a
    /// packet later.
    sent: [u64; 2],
}

/// Forwards from one queue of an interface to one of the other.
#[derive(Debug)]
struct XdpLane {
    from: Side,
    /// Received frames that are not processed yet. A frame that continues belongs to the same
    /// packet as the next frame.
    held: VecDeque<(xdp::Frame, PacketMeta)>,
    /// The frames of the current packet.
    frames: Vec<xdp::Frame>,
    /// The current packet's bytes, if it has several frames.
    joined: Vec<u8>,
    /// The current packet as changed by the verdict.
    changed: Vec<u8>,
    /// Buffer for a segment of the current packet.
    piece: Vec<u8>,
    /// The way to send the current packet, while it is not sent yet.
    waiting: Option<Sending>,
    /// `true` if the other interface is down.
    down: bool,
    /// `true` if the current packet had no frames to be copied into, and none are in flight.
    stuck: bool,
    statistics: LaneStatistics,
}

/// The way to send a packet.
#[derive(Debug)]
enum Sending {
    /// In the frames in which it was received.
    Frames,
    /// As a copy of the changed bytes.
    Changed,
    /// The changed bytes, split into several packets.
    Cut(Cut),
}

/// Settings of a [`Bridge`] over AF_XDP. [`open`](Self::open) opens it.
#[derive(Clone, Debug)]
#[must_use = "nothing is forwarded before `open`"]
pub struct XdpBridgeBuilder {
    left: xdp::SocketBuilder,
    right: xdp::SocketBuilder,
}

impl Bridge {
    /// Returns the settings of a bridge that joins two interfaces over AF_XDP. A packet received on
    /// one is sent on the other in the same frames, unless a verdict changes it. The bridge serves
    /// all queues of both, with one packet memory: the left builder's if it has one, otherwise one
    /// of the left builder's size for each queue. The other settings of both builders apply, except
    /// for the queue, the direction (both), promiscuous mode (on) and the wait strategy (sleep
    /// until a packet arrives).
    ///
    /// The host's stack does not see forwarded packets, unless the builders
    /// [steer](xdp::SocketBuilder::steer) part of the traffic. VLAN tags stay in the packet's
    /// bytes. If the interface removes the tags, they are lost; `ethtool -K eth0 rxvlan off` turns
    /// that off. Checksums that a virtual link left to an adapter are recognised by the sum of the
    /// pseudo-header in their place.
    ///
    /// ```no_run
    /// use ring_core::{Bridge, Verdict, xdp};
    ///
    /// # fn main() -> Result<(), ring_core::Error> {
    /// let (left, right) = (xdp::Socket::builder("eth0"), xdp::Socket::builder("eth1"));
    /// let mut bridge = Bridge::xdp_builder(left, right).open()?;
    /// bridge.run(|_| Verdict::Forward)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn xdp_builder(left: xdp::SocketBuilder, right: xdp::SocketBuilder) -> XdpBridgeBuilder {
        XdpBridgeBuilder { left, right }
    }

    /// Joins two interfaces, given the sockets of their queues.
    pub(crate) fn between(left: Vec<xdp::Socket>, right: Vec<xdp::Socket>) -> Result<Self, Error> {
        let (here, there) = (left[0].endpoint(), right[0].endpoint());
        if here.link_type != there.link_type {
            return Err(Error::SinkLinkType {
                interface: there.interface.to_string(),
                packet: here.link_type,
                expected: there.link_type,
            });
        }
        let interruption = Interruption::new().map_err(system("make an event"))?;
        let poller = Poller::new().map_err(system("make a poller"))?;
        let receivers = left.iter().chain(&right).filter_map(|socket| socket.receiver.as_ref());
        for receiver in receivers {
            let inner = receiver.poller()?;
            poller.add_edge(inner.as_fd(), 0).map_err(system("watch a descriptor"))?;
        }
        poller.add_edge(interruption.as_fd(), 0).map_err(system("watch a descriptor"))?;
        let lanes =
            |from, sockets: &[xdp::Socket]| sockets.iter().map(|_| XdpLane::new(from)).collect();
        let (to_right, to_left) = (lanes(Side::Left, &left), lanes(Side::Right, &right));
        let lanes = Lanes::Xdp(XdpLanes { left, right, to_right, to_left, sent: [0; 2] });
        Ok(Self { lanes, poller, interruption, stalled: false })
    }
}

impl XdpBridgeBuilder {
    /// Opens the sockets of all queues of both interfaces.
    ///
    /// # Errors
    /// As [`xdp::SocketBuilder::open`], in [`Error::Xdp`]; [`Error::NoInterface`];
    /// [`Error::SameInterface`]; [`Error::SinkLinkType`].
    pub fn open(self) -> Result<Bridge, Error> {
        let [left, right] = open_both(&self.left, &self.right)?;
        Bridge::between(left, right)
    }
}

impl XdpLanes {
    /// Forwards packets as long as the other interface accepts them. The rest stays in the receive
    /// rings.
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
        // The kernel reports a frame that it cannot send after it was counted as sent. A total that
        // was once reported must not decrease, since readers subtract totals to get rates.
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
        receiver: &mut xdp::Receiver,
        sender: &mut xdp::Sender,
        verdict: &mut impl FnMut(&mut Transit<'_>) -> Verdict,
    ) -> Result<Pumped, xdp::Error> {
        if self.down {
            self.flush(sender)?;
        }
        let mut pumped = Pumped::default();
        loop {
            // The waiting packet first, so that packets of one queue stay in order.
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
        // There is no event for room in the send ring, nor for frames that the receiver lacks and
        // that were sent.
        pumped.stalled |= !self.down && sender.is_behind()?;
        pumped.stalled |= receiver.wants_frames() && sender.endpoint.umem.in_flight() > 0;
        Ok(pumped)
    }

    /// Receives the next frames. `false` if there are none.
    fn take(&mut self, receiver: &mut xdp::Receiver) -> Result<bool, xdp::Error> {
        if self.held.is_empty() {
            let received = receiver.receive(Timeout::Now);
            let Some(Next::Batch(batch)) = unless_down(received)? else { return Ok(false) };
            // A batch never ends in the middle of a packet.
            self.held.extend(batch.into_frames());
        }
        Ok(!self.held.is_empty())
    }

    /// Gets the verdict on the next packet and decides how to send it.
    fn look(
        &mut self,
        sender: &xdp::Sender,
        link_type: LinkType,
        verdict: &mut impl FnMut(&mut Transit<'_>) -> Verdict,
    ) {
        let Some((first, mut meta)) = self.held.pop_front() else { return };
        // If a verdict panicked, the frames of its packet are still here.
        self.frames.clear();
        self.frames.push(first);
        self.joined.clear();
        while self.frames.last().is_some_and(xdp::Frame::continues)
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
        // A descriptor of AF_XDP does not say that a virtual link left the checksum to an adapter.
        // The sum of the pseudo-header in the place of the checksum does, except for one packet in
        // 65,536, whose checksum is then computed again, with the same result.
        if Segment::of(data, link_type).is_some_and(|segment| segment.is_unfinished(data)) {
            meta.checksum = ChecksumStatus::Partial;
        }
        let mut transit = Transit::new(Packet::with_meta(data, meta), self.from, &mut self.changed);
        let verdict = verdict(&mut transit);
        let Some(packet) = transit.outcome(verdict) else {
            self.statistics.dropped += 1;
            self.frames.clear();
            return;
        };
        let (len, rewritten) = (packet.data().len(), verdict == Verdict::Rewrite);
        let unfinished = packet.meta().checksum == ChecksumStatus::Partial;
        self.waiting = if !rewritten && can_pass(sender, &self.frames) {
            // No adapter follows that would complete it, so the receiver would discard the packet.
            if unfinished && let Some(segment) = Segment::of(data, link_type) {
                let sum = segment.sum(data);
                put_in_place(&mut self.frames, segment.field().start, sum);
            }
            Some(Sending::Frames)
        } else {
            if !rewritten {
                self.changed.clear();
                self.changed.extend_from_slice(data);
            }
            // The frames go back to the kernel now: those that wait here are missing for receiving.
            self.frames.clear();
            if unfinished && let Some(segment) = Segment::of(&self.changed, link_type) {
                let sum = segment.sum(&self.changed);
                self.changed[segment.field()].copy_from_slice(&sum);
            }
            let longest = sender.longest_packet(self.changed.len());
            let limit = longest.min(sender.endpoint.longest_like(&self.changed));
            match len {
                0 => None,
                _ if len <= limit => Some(Sending::Changed),
                _ => Cut::of(&self.changed, link_type, limit).map(Sending::Cut),
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

    /// Queues the current packet. `false` if there is no room for all of it.
    fn send(&mut self, sender: &mut xdp::Sender) -> Result<bool, xdp::Error> {
        if self.waiting.is_some() && self.down {
            return self.give_up();
        }
        let Some(mut outgoing) = self.waiting.take() else { return Ok(true) };
        if !self.queue(sender, &mut outgoing)? {
            // Room may only be missing because the kernel does not know yet of what is queued.
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

    /// `true` if the current packet failed twice to get frames while none were in flight, so that
    /// all of them are in use for receiving.
    fn is_stuck(&mut self, sender: &xdp::Sender) -> bool {
        let before = self.stuck;
        self.stuck = sender.endpoint.umem.in_flight() == 0;
        before && self.stuck
    }

    fn give_up(&mut self) -> Result<bool, xdp::Error> {
        (self.waiting, self.stuck) = (None, false);
        self.frames.clear();
        self.statistics.lost += 1;
        Ok(true)
    }

    /// Queues as much of the packet as there is room for. `true` if that is all of it.
    fn queue(
        &mut self,
        sender: &mut xdp::Sender,
        outgoing: &mut Sending,
    ) -> Result<bool, xdp::Error> {
        match outgoing {
            // `can_pass` was checked before.
            Sending::Frames => {
                return Ok(!matches!(pass_on(sender, &mut self.frames)?, Passed::Full));
            }
            Sending::Changed => return sender.send_bytes(&self.changed),
            Sending::Cut(cut) => {
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

    /// Hands over what is queued, and records if the other interface is down.
    fn flush(&mut self, sender: &mut xdp::Sender) -> Result<(), xdp::Error> {
        self.down = unless_down(sender.flush())?.is_none();
        Ok(())
    }
}
