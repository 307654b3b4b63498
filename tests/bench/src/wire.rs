//! A veth pair in a separate namespace: frames are sent into one end and received from the other,
//! each on its own processor. The kernel's share of receiving runs on the sender's processor. A
//! second pair without a receiver measures the cost of sending alone.

use std::fs;
use std::time::{Duration, Instant};

use netns::Namespace;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::measure::Spread;
use crate::peer::{Place, Program, Running, Unavailable};

/// The end that frames are sent into, and the end that they are received from.
pub(crate) const NEAR: &str = "near";
pub(crate) const FAR: &str = "far";
/// The second pair.
pub(crate) const OTHER: &str = "other";
const NOBODY: &str = "nobody";

const SENDER_CPU: usize = 0;
const RECEIVER_CPU: usize = 1;

/// The pairs of links.
pub(crate) struct Wire {
    namespace: Namespace,
}

/// The report of a receiver.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Received {
    pub(crate) packets: u64,
    /// The number of packets before its clock was started. It starts after the first block, for
    /// which code is loaded and pages are touched for the first time.
    #[serde(default)]
    pub(crate) warm: u64,
    pub(crate) bytes: u64,
    /// A checksum of the fields that were read of each packet.
    pub(crate) sum: u64,
    pub(crate) cpu_ns: u64,
    pub(crate) drops: u64,
    /// The number of allocations between the start and the end. Reported only by ours.
    #[serde(default)]
    pub(crate) allocations: Option<u64>,
}

/// The report of a sender.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub(crate) sent: u64,
    pub(crate) wall_ns: u64,
    pub(crate) cpu_ns: u64,
    #[serde(default)]
    pub(crate) allocations: Option<u64>,
}

/// The report of a sender that alternates between the receiver's pair and the other one:
/// nanoseconds of processor time for each turn of the given number of frames.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct InTurns {
    ns: Vec<u64>,
    other_ns: Vec<u64>,
    turn: u64,
}

/// The frames to send: their length, their number, and their rate in packets per second, or 0 for
/// full speed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) length: u32,
    pub(crate) count: u64,
    pub(crate) rate: u64,
}

/// A program that is started with its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) program: Result<Program, Unavailable>,
    pub(crate) arguments: Vec<String>,
}

impl Received {
    /// Nanoseconds of processor time per packet.
    pub(crate) fn each(&self) -> f64 {
        self.cpu_ns as f64 / (self.packets - self.warm).max(1) as f64
    }
}

impl InTurns {
    /// The additional nanoseconds per packet of the sender due to the receiver: the median of the
    /// differences between neighbouring turns with and without it. A gradual change in the
    /// machine's speed affects both turns of a pair. Disturbances of single turns, or of every
    /// third one, do not affect the median.
    pub(crate) fn slower(&self) -> f64 {
        let pairs = self.ns.iter().zip(&self.other_ns);
        let differences = pairs.map(|(&with, &without)| with as f64 - without as f64);
        Spread::of(differences.map(|ns| ns / self.turn as f64)).median
    }
}

/// Runs at most `most` turns, at least two. Runs fewer if the machine is so slow that they would
/// take longer than `limit`.
pub(crate) fn turns(most: usize, limit: Duration, mut turn: impl FnMut(usize)) {
    let start = Instant::now();
    for taken in 0..most {
        if taken >= 2 && start.elapsed() * (taken as u32 + 1) / taken as u32 > limit {
            eprintln!("{taken} turns in place of {most}: the machine is slow");
            return;
        }
        turn(taken);
    }
}

/// All contestants, starting with another one in each turn.
pub(crate) fn rotated(all: &[Contestant], turn: usize) -> impl Iterator<Item = &Contestant> {
    let (later, first) = all.split_at(turn % all.len());
    first.iter().chain(later)
}

impl Contestant {
    /// Creates a contestant. `arguments` are separated by blanks.
    pub(crate) fn new(
        name: &'static str,
        program: &Result<Program, Unavailable>,
        arguments: &str,
    ) -> Self {
        let arguments = arguments.split_whitespace().map(str::to_owned).collect();
        Self { name, program: program.clone(), arguments }
    }
}

impl Wire {
    /// Creates the pairs.
    pub(crate) fn new() -> Result<Self, Unavailable> {
        let failed = |error: netns::Error| {
            let cause = std::error::Error::source(&error);
            let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
            Unavailable::new(format!("{error}{cause}"))
        };
        let namespace = Namespace::new().map_err(failed)?;
        namespace.set_sysctl("ipv6/conf/all/disable_ipv6", "1").map_err(failed)?;
        for (near, far) in [(NEAR, FAR), (OTHER, NOBODY)] {
            let (near, far) = namespace.veth_to(&namespace, near, far).map_err(failed)?;
            for link in [&near, &far] {
                link.up().map_err(failed)?;
            }
            for link in [&near, &far] {
                link.wait_until_running(Duration::from_secs(5)).map_err(failed)?;
            }
        }
        Ok(Self { namespace })
    }

    /// Starts a receiver and waits until it is ready.
    fn receiver(&self, receiver: &Contestant) -> Result<Running, Unavailable> {
        let place = Place { namespace: Some(&self.namespace), cpu: Some(RECEIVER_CPU) };
        let mut running = receiver.program.clone()?.start(place, &receiver.arguments)?;
        running.ready()?;
        Ok(running)
    }

    /// Sends a load. Returns the sender's report.
    pub(crate) fn send<S: DeserializeOwned>(
        &self,
        sender: &Contestant,
        load: Load,
    ) -> Result<S, Unavailable> {
        let place = Place { namespace: Some(&self.namespace), cpu: Some(SENDER_CPU) };
        let Load { length, count, rate } = load;
        let numbers = [length.to_string(), count.to_string(), rate.to_string()];
        let arguments: Vec<_> =
            sender.arguments.iter().cloned().chain([NEAR.to_owned()]).chain(numbers).collect();
        sender.program.clone()?.run(place, &arguments)
    }

    /// Sends a load to a receiver. Returns both reports.
    pub(crate) fn send_to<S: DeserializeOwned>(
        &self,
        receiver: &Contestant,
        sender: &Contestant,
        load: Load,
    ) -> Result<(S, Received), Unavailable> {
        let running = self.receiver(receiver)?;
        let sent = self.send(sender, load)?;
        let received: Received = running.result()?;
        if received.bytes != received.packets * u64::from(load.length) {
            return Err(Unavailable::new(format!(
                "{} bytes in {} packets of {}",
                received.bytes, received.packets, load.length
            )));
        }
        Ok((sent, received))
    }

    /// The number of frames that have arrived at the far end so far, by the interface's own
    /// counter.
    pub(crate) fn arrived(&self) -> Result<u64, Unavailable> {
        let table = self
            .namespace
            .run(|| fs::read_to_string("/proc/thread-self/net/dev"))
            .map_err(|error| Unavailable::new(error.to_string()))?
            .map_err(|error| Unavailable::new(error.to_string()))?;
        let line = table.lines().find_map(|line| line.trim().strip_prefix(FAR)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
            .ok_or_else(|| Unavailable::new("the kernel does not count packets".into()))
    }
}
