//! Captures made up for benches and tests: many TCP connections at once, the same every time.
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

/// What connections look like.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Requests and responses of a connection, at most.
    pub exchanges: u64,
    /// Bytes of a request, at most.
    pub request: u64,
    /// Bytes of a response, at most; their logarithm is evenly distributed.
    pub response: u64,
    /// Payload of a full segment in bytes.
    pub segment: usize,
    /// Segments that one acknowledgement covers.
    pub acknowledge_every: u64,
    /// One of so many segments changes place with the next; 0 for none.
    pub reorder_one_of: u64,
    /// One of so many segments is sent twice; 0 for none.
    pub repeat_one_of: u64,
}

impl Profile {
    /// Web-like traffic: about 330 bytes a packet, a little reordering and retransmission.
    pub const MIXED: Self = Self {
        exchanges: 5,
        request: 1200,
        response: 30_000,
        segment: 1200,
        acknowledge_every: 1,
        reorder_one_of: 200,
        repeat_one_of: 300,
    };

    /// Downloads: about 950 bytes a packet.
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

/// Many connections at once.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    profile: Profile,
    connections: u32,
    at_once: usize,
    seed: u64,
}

impl Traffic {
    /// A thousand connections of this profile, of which 500 go on at any time.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self { profile, connections: 1000, at_once: 500, seed: 1 }
    }

    /// How many connections there are, at most sixteen million.
    #[must_use]
    pub fn connections(mut self, count: u32) -> Self {
        self.connections = count.min(1 << 24);
        self
    }

    /// How many go on at the same time.
    #[must_use]
    pub fn at_once(mut self, count: usize) -> Self {
        self.at_once = count.max(1);
        self
    }

    /// Another seed makes another capture of the same kind.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Makes the packets.
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
            // A window's worth at a time, as senders do.
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
