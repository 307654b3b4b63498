//! Timeouts and eviction of flows.

use super::view;
use crate::config::nanos;
use crate::delivered::comparing;
use crate::slot::{DirectionFlags, SlotFlags, State};
use crate::{
    EndReason, FlowExtractor, FlowHandler, FlowId, FlowSide, FlowTable, Timeouts, Timestamp,
    protocol,
};

/// Slots that eviction looks at to find a victim. A search of the whole table for each new flow
/// would stall it in a flood.
const CANDIDATES: usize = 16;
/// Timers that a packet works off at most. The first packet after a silence would otherwise wait
/// for all flows that ended meanwhile.
const A_FEW: usize = 32;

/// [`Timeouts`] in nanoseconds.
#[derive(Debug)]
pub(super) struct IdleTimes {
    half_open: u64,
    established: u64,
    closing: u64,
    linger: u64,
    time_wait: u64,
    udp: u64,
    other: u64,
}

impl IdleTimes {
    pub(super) fn new(timeouts: &Timeouts) -> Self {
        Self {
            half_open: nanos(timeouts.half_open),
            established: nanos(timeouts.established),
            closing: nanos(timeouts.closing),
            linger: nanos(timeouts.linger),
            time_wait: nanos(timeouts.time_wait),
            udp: nanos(timeouts.udp),
            other: nanos(timeouts.other),
        }
    }
}

impl<E: FlowExtractor> FlowTable<E> {
    /// Tells the table what time it is, so that holes are given up and silent flows end while no
    /// packets come.
    ///
    /// One call does no more than [`expiry_budget`](crate::FlowTableBuilder::expiry_budget) allows.
    /// If something is still due then, [`next_deadline`](Self::next_deadline) is not after `now`,
    /// and the next call goes on with it.
    pub fn advance(&mut self, now: Timestamp, handler: &mut impl FlowHandler<E::Key>) {
        self.now = self.now.max(now.as_nanos());
        let budget = self.config.expiry_budget;
        comparing!(self, handler => self.expire(budget, handler));
    }

    /// The time at which [`advance`](Self::advance) should be called next if no packets arrive.
    /// `None` if nothing waits.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.wheel.next_deadline().map(Timestamp::from_nanos)
    }

    /// Time has passed while packets come: a little of what is due.
    #[inline(never)]
    pub(super) fn expire_a_few(&mut self, handler: &mut impl FlowHandler<E::Key>) {
        self.expire(A_FEW, handler);
    }

    /// Looks at flows whose time has come, until the budget is used up.
    fn expire(&mut self, mut budget: usize, handler: &mut impl FlowHandler<E::Key>) {
        while let Some(slot) = self.wheel.expired(self.now, &mut budget) {
            self.look_at(slot, handler);
        }
        self.defragmenter.advance(Timestamp::from_nanos(self.now));
        self.unclaim(handler);
        self.next_timer = self.wheel.next_deadline().unwrap_or(u64::MAX);
    }

    /// Does now what is due for a flow, which is about to be given a packet or to make room; its
    /// slot may be free afterwards.
    pub(super) fn settle(&mut self, slot: u32, handler: &mut impl FlowHandler<E::Key>) {
        if self.wheel.deadline(slot).is_some_and(|deadline| deadline <= self.now) {
            self.wheel.cancel(slot);
            self.look_at(slot, handler);
        }
    }

    fn look_at(&mut self, slot: u32, handler: &mut impl FlowHandler<E::Key>) {
        let reassemblies = DirectionFlags::GRACE
            .or(DirectionFlags::HOLD)
            .or(DirectionFlags::PENDING)
            .or(DirectionFlags::QUARANTINE);
        for side in [FlowSide::Initiator, FlowSide::Responder] {
            if self.slots[slot].directions[side as usize].flags.has(reassemblies) {
                self.decide_doubts(slot, side, handler);
                let mut wake = u64::MAX;
                self.stream(slot, side, handler, &mut wake).tick();
            }
        }
        self.close_if_done(slot, handler);
        self.report(slot, handler);
        let due = self.idle_deadline(slot).is_some_and(|deadline| deadline <= self.now);
        match self.slots[slot].state {
            State::Ended if due => self.release(slot),
            State::Closing | State::Reset if due => {
                self.end(slot, EndReason::IdleTimeout, handler);
                self.arm(slot);
            }
            State::Free => {}
            _ if due => {
                self.end_all(slot, EndReason::IdleTimeout, handler);
                self.release(slot);
            }
            _ => self.arm(slot),
        }
    }

    /// Hands out a record of a flow that goes on, if it is time for one.
    fn report(&mut self, slot: u32, handler: &mut impl FlowHandler<E::Key>) {
        if self.next_report(slot).is_some_and(|time| time <= self.now) {
            self.cold[slot].reported = self.now;
            let record = self.record(slot, EndReason::ActiveTimeout);
            handler.on_record(&view(slot, &self.slots[slot], &self.cold[slot]), &record);
        }
    }

    fn next_report(&self, slot: u32) -> Option<u64> {
        let live = !matches!(self.slots[slot].state, State::Free | State::Ended);
        let interval = self.config.active_timeout.filter(|_| live)?;
        Some(self.cold[slot].reported.saturating_add(interval))
    }

    /// The time at which the flow ends, or its slot is released, if no packet follows.
    fn idle_deadline(&self, slot: u32) -> Option<u64> {
        let entry = &self.slots[slot];
        let timeouts = &self.idle;
        let reached = |side: usize| entry.directions[side].flags.has(DirectionFlags::FIN_REACHED);
        let (timeout, always) = match entry.state {
            State::Free => return None,
            State::Datagrams if entry.protocol == protocol::UDP => (timeouts.udp, false),
            State::Datagrams => (timeouts.other, false),
            State::HalfOpen => (timeouts.half_open, false),
            State::Established => (timeouts.established, false),
            State::Closing if reached(0) && reached(1) => (timeouts.linger, true),
            State::Closing => (timeouts.closing, true),
            State::Reset => (timeouts.linger, true),
            State::Ended => (timeouts.time_wait, true),
        };
        // Silence suggests that the receiver took the doubtful RST: after a challenge ACK (RFC
        // 5961, section 3.2) a true connection would have gone on.
        let silent = entry.flags.has(SlotFlags::DOUBTFUL_RESET) && timeout > timeouts.closing;
        let timeout = if silent { timeouts.closing } else { timeout };
        (always || self.config.idle_expiry).then(|| entry.last_seen.saturating_add(timeout))
    }

    /// Sets the slot's timer for the earliest time at which something may be due.
    pub(super) fn arm(&mut self, slot: u32) {
        let mut deadline = self.idle_deadline(slot).unwrap_or(u64::MAX);
        deadline = deadline.min(self.next_report(slot).unwrap_or(u64::MAX));
        for direction in &self.slots[slot].directions {
            if let Some(reassembly) = self.reassemblies.peek(direction.reassembly) {
                deadline = deadline.min(reassembly.deadline(self.config.hole_timeout));
            }
        }
        if deadline == u64::MAX {
            self.wheel.cancel(slot);
        } else {
            self.wheel.schedule(slot, self.now, deadline);
            self.next_timer = self.next_timer.min(deadline);
        }
    }

    /// Makes the slot's timer fire no later than this.
    pub(super) fn wake(&mut self, slot: u32, deadline: u64) {
        if self.wheel.deadline(slot).is_none_or(|set| deadline < set) {
            self.wheel.schedule(slot, self.now, deadline);
            self.next_timer = self.next_timer.min(deadline);
        }
    }

    /// Ends a flow to make room, as [`EndReason::Evicted`]. False if it has ended already.
    pub fn evict_flow(&mut self, flow: FlowId, handler: &mut impl FlowHandler<E::Key>) -> bool {
        let known = (flow.slot as usize) < self.slots.len() && {
            let entry = &self.slots[flow.slot];
            entry.generation == flow.generation
                && !matches!(entry.state, State::Free | State::Ended)
        };
        if known {
            comparing!(self, handler => self.end_all(flow.slot, EndReason::Evicted, handler));
            self.release(flow.slot);
        }
        known
    }

    /// Ends some flow to make room for another one, and releases its slot.
    pub(super) fn evict(&mut self, handler: &mut impl FlowHandler<E::Key>) {
        let slots = self.slots.len() as u32;
        let mut victim = (u8::MAX, u64::MAX, self.hand % slots);
        for _ in 0..CANDIDATES.min(slots as usize) {
            self.hand = (self.hand + 1) % slots;
            let entry = &self.slots[self.hand];
            // Half-open flows are evicted before established ones, so that a flood of SYNs evicts
            // itself first.
            let class = match entry.state {
                State::Ended => 0,
                State::HalfOpen | State::Reset | State::Closing => 1,
                _ => 2,
            };
            victim = victim.min((class, entry.last_seen, self.hand));
        }
        let slot = victim.2;
        self.settle(slot, handler);
        if self.slots[slot].state == State::Free {
            return;
        }
        match self.slots[slot].state {
            State::Ended => {}
            // The connection had ended, but for what of it might still have come: by its FINs, if
            // it was not reset.
            State::Reset | State::Closing => self.end(slot, EndReason::Rst, handler),
            _ => {
                let has_slots = self.slots.len() < self.config.max_flows;
                self.statistics.evicted_for_memory += u64::from(has_slots);
                self.end_all(slot, EndReason::Evicted, handler);
            }
        }
        self.release(slot);
    }
}
