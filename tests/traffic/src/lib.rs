//! Generated captures for benchmarks and tests: many concurrent TCP connections, the same in every
//! run.
//!
//! ```
//! use traffic::{Profile, Traffic};
//!
//! let capture = Traffic::new(Profile::MIXED).connections(100).capture();
//! assert!(capture.packets().count() > 1000);
//! ```
#![forbid(unsafe_code)]

mod capture;
mod connection;
mod random;

pub use capture::Capture;
use connection::Connection;
pub use random::Random;

/// The shape of connections.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// The maximum number of requests and responses of a connection.
    pub exchanges: u64,
    /// The maximum number of bytes in a request.
    pub request: u64,
    /// The maximum number of bytes in a response. The logarithm is uniformly distributed.
    pub response: u64,
    /// Payload of a full segment in bytes.
    pub segment: usize,
    /// The number of segments that one acknowledgement covers.
    pub acknowledge_every: u64,
    /// One in this number of segments is swapped with the next. 0 for none.
    pub reorder_one_of: u64,
    /// One in this number of segments is sent twice. 0 for none.
    pub repeat_one_of: u64,
}

impl Profile {
    /// Web-like traffic: about 330 bytes per packet, with some reordering and retransmission.
    pub const MIXED: Self = Self {
        exchanges: 5,
        request: 1200,
        response: 30_000,
        segment: 1200,
        acknowledge_every: 1,
        reorder_one_of: 200,
        repeat_one_of: 300,
    };

    /// Downloads: about 950 bytes per packet.
    pub const BULK: Self = Self {
        exchanges: 1,
        request: 400,
        response: 1_000_000,
        segment: 1448,
        acknowledge_every: 2,
        reorder_one_of: 0,
        repeat_one_of: 0,
    };
}

/// A generator of many concurrent connections.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    profile: Profile,
    connections: u32,
    at_once: usize,
    seed: u64,
}

impl Traffic {
    /// A thousand connections of this profile, 500 of which are open at any time.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self { profile, connections: 1000, at_once: 500, seed: 1 }
    }

    /// Sets the number of connections, at most sixteen million.
    #[must_use]
    pub fn connections(mut self, count: u32) -> Self {
        self.connections = count.min(1 << 24);
        self
    }

    /// Sets the number of connections that are open at the same time.
    #[must_use]
    pub fn at_once(mut self, count: usize) -> Self {
        self.at_once = count.max(1);
        self
    }

    /// Sets the seed. Another seed produces another capture of the same kind.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Generates the packets.
    #[must_use]
    pub fn capture(&self) -> Capture {
        let mut random = Random::new(self.seed);
        let mut capture = Capture::default();
        let mut open: Vec<Connection> = Vec::with_capacity(self.at_once);
        let mut next = 0;
        loop {
            while open.len() < self.at_once && next < self.connections {
                open.push(Connection::new(next, &self.profile, &mut random));
                next += 1;
            }
            if open.is_empty() {
                return capture;
            }
            let chosen = random.below(open.len() as u64) as usize;
            // A window at a time, as senders do.
            for _ in 0..=random.below(8) {
                if !open[chosen].next_packet(&self.profile, &mut random, &mut capture) {
                    open.swap_remove(chosen);
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(profile: Profile) -> f64 {
        let capture = Traffic::new(profile).capture();
        capture.wire_bytes() as f64 / capture.len() as f64
    }

    #[test]
    fn packets_are_as_large_as_the_profiles_say() {
        assert!((250.0..420.0).contains(&mean(Profile::MIXED)), "{}", mean(Profile::MIXED));
        assert!((850.0..1050.0).contains(&mean(Profile::BULK)), "{}", mean(Profile::BULK));
    }

    #[test]
    fn the_same_seed_makes_the_same_capture() {
        let file = |seed| {
            let mut file = Vec::new();
            Traffic::new(Profile::MIXED)
                .connections(50)
                .seed(seed)
                .capture()
                .write_pcap(&mut file)
                .unwrap();
            file
        };
        assert!(file(1) == file(1));
        assert!(file(1) != file(2));
    }
}
