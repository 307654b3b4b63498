//! Captures of one connection that miss stretches of it.
//!
//! The connection is simulated: each side has one sequence space, and acknowledges only what the
//! other has sent. The capture loses single packets, one of the directions or both, from one packet
//! to more than a GiB. The streams are known, so what the table delivers is compared with them.

mod connection;
mod random;
mod seen;

use flow::{FiveTuple, FlowTable, LinkType, Packet, Timestamp};

use self::connection::Connection;
pub use self::connection::{Profile, Shape};
use self::random::Random;
use self::seen::Seen;
use crate::segments::Host;

/// A capture to make.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The seed of everything random.
    pub seed: u64,
}

/// A packet of the simulated connection.
#[derive(Clone, Copy, Debug)]
struct Sent {
    host: Host,
    flags: &'static str,
    /// Position of the first payload byte in the sender's stream.
    at: u64,
    len: u32,
    /// Position in the receiver's stream before which the sender has everything. A FIN counts.
    acknowledged: u64,
    /// Nanoseconds since the connection began.
    time: u64,
    captured: bool,
}

/// The byte at a position of a stream.
fn byte(side: usize, position: u64) -> u8 {
    let mixed = (position ^ (side as u64) << 60).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as u8
}

impl Case {
    fn connection(&self) -> (Profile, Connection) {
        let mut random = Random::new(self.seed);
        let profile = Profile::random(&mut random);
        let connection = Connection::simulate(&profile, random);
        (profile, connection)
    }

    /// Runs the case.
    ///
    /// # Errors
    /// A description of the first thing that the table reports wrongly.
    pub fn check(&self) -> Result<(), String> {
        let (profile, connection) = self.connection();
        let mut seen = Seen::new(&connection.packets, connection.ends);
        let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
        for (number, (time, frame)) in (1..).zip(connection.captured()) {
            let mut packet = Packet::new(&frame, time, LinkType::IPV4);
            packet.meta_mut().number = number;
            table.process([packet], &mut seen);
        }
        table.finish(&mut seen);
        let verdict = seen.verdict(&table.statistics());
        verdict.map_err(|wrong| format!("{wrong} in {profile:?}"))
    }

    /// The captured packets with their times.
    #[must_use]
    pub fn frames(&self) -> Vec<(Timestamp, Vec<u8>)> {
        self.connection().1.captured().collect()
    }

    /// Describes the packets, one a line, for a person to read.
    #[must_use]
    pub fn describe(&self) -> String {
        let (profile, connection) = self.connection();
        let mut lines = format!("{profile:?}\n");
        let (mut number, mut missed) = (0, 0);
        for sent in &connection.packets {
            if !sent.captured {
                missed += 1;
                continue;
            }
            if missed > 0 {
                lines += &format!("      ({missed} packets missed)\n");
                missed = 0;
            }
            number += 1;
            let Sent { host, flags, at, len, acknowledged, time, .. } = sent;
            lines +=
                &format!("{number:5} {time:12} {host:?} {flags} {at}+{len} ack {acknowledged}\n");
        }
        lines
    }
}
