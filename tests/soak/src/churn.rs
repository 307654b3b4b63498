//! An unlimited number of connections, from memory.

use std::time::{Duration, Instant};

use ring_core::{
    Error, LinkType, MemorySource, Next, PacketSource, Statistics, Timeout, Timestamp,
};
use traffic::{Capture, Profile, Traffic};

/// Short connections, some of whose segments are reordered or repeated.
const PROFILE: Profile = Profile {
    exchanges: 2,
    request: 300,
    response: 3000,
    segment: 1200,
    acknowledge_every: 1,
    reorder_one_of: 50,
    repeat_one_of: 50,
};
/// The number of connections in a round.
pub(crate) const ROUND: u64 = 20_000;
/// The number of packets in a batch.
const BATCH: usize = 256;
/// The time between the beginnings of two rounds, by the packets' clock. It is longer than the flow
/// table remembers ended flows.
const APART: Duration = Duration::from_secs(600);

/// A capture that gives its clients new addresses each time it is replayed.
pub(crate) struct Churn<F> {
    capture: Capture,
    next: usize,
    round: u64,
    rounds: u64,
    until: Instant,
    memory: MemorySource,
    frame: Vec<u8>,
    /// Called between rounds with the number of connections so far.
    between: F,
}

impl<F: FnMut(u64)> Churn<F> {
    /// Replays until this number of connections and this duration are both reached.
    pub(crate) fn new(connections: u64, duration: Duration, between: F) -> Self {
        let capture = Traffic::new(PROFILE).connections(ROUND as u32).at_once(2000).capture();
        Self {
            capture,
            next: 0,
            round: 0,
            rounds: connections.div_ceil(ROUND),
            until: Instant::now() + duration,
            memory: MemorySource::new(LinkType::ETHERNET).batch_size(BATCH),
            frame: Vec::new(),
            between,
        }
    }

    /// The number of bytes in the streams of one round.
    pub(crate) fn round_bytes(&self) -> u64 {
        self.capture.payload_bytes()
    }

    fn refill(&mut self) {
        let shift = APART.as_nanos() as u64 * self.round;
        let packets = self.capture.packets().skip(self.next).take(BATCH);
        let mut count = 0;
        for (time, frame) in packets {
            self.frame.clear();
            self.frame.extend_from_slice(frame);
            // The client's address is in 10.0.0.0/8, as its source or its destination.
            let client = if self.frame[26] == 10 { 26 } else { 30 };
            self.frame[client] = 10 + (self.round % 90) as u8;
            self.memory.push(Timestamp::from_nanos(time + shift), &self.frame);
            count += 1;
        }
        self.memory.end_batch();
        self.next += count;
    }
}

impl<F: FnMut(u64)> PacketSource for Churn<F> {
    type Batch<'a>
        = <MemorySource as PacketSource>::Batch<'a>
    where
        F: 'a;
    type Error = Error;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Self::Batch<'_>>, Error> {
        if self.next == self.capture.len() {
            self.round += 1;
            self.next = 0;
            (self.between)(self.round * ROUND);
            if self.round >= self.rounds && Instant::now() >= self.until {
                // The source has no more packets, so this returns the end of the capture.
                return Ok(self.memory.next_batch(timeout)?);
            }
        }
        self.refill();
        Ok(self.memory.next_batch(timeout)?)
    }

    fn statistics(&mut self) -> Result<Statistics, Error> {
        Ok(self.memory.statistics()?)
    }

    fn link_type(&self) -> Option<LinkType> {
        self.memory.link_type()
    }

    fn is_live(&self) -> bool {
        false
    }
}
