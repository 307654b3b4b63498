//! Sending through AF_PACKET into a veth pair, counted at its other end.

use std::collections::HashMap;
use std::time::Duration;

use crate::measure::Spread;
use crate::peer::{self, Unavailable};
use crate::report::{Bar, Row};
use crate::wire::{Contestant, Load, Sent, Wire, turns};

const GROUP: &str = "inject";
const RUNS: usize = 5;
/// The maximum duration of the turns.
const LIMIT: Duration = Duration::from_secs(85);
const LENGTHS: [u32; 2] = [64, 1500];
const COUNT: u64 = 400_000;

const MESSAGES: &str = "Injector, sendmmsg";
const RING: &str = "Injector, send ring";
const C_MESSAGES: &str = "C, sendmmsg";
const C_RING: &str = "C, send ring";
const NETRING: &str = "netring 0.29 Injector";

/// The figures of one sender and one frame length, with a value for each run.
#[derive(Debug, Default)]
struct Figures {
    /// Nanoseconds per frame that arrived at the peer.
    each: Vec<f64>,
    /// Millions of frames per second at the peer.
    rate: Vec<f64>,
    /// The percentage of sent frames that arrived.
    arrived: Vec<f64>,
    allocations: Option<u64>,
    failure: Option<Unavailable>,
}

pub(crate) fn rows() -> Vec<Row> {
    let wire = match Wire::new() {
        Ok(wire) => wire,
        Err(reason) => return vec![Row::unavailable(GROUP, "sending", &reason)],
    };
    let c = peer::c("send-packet");
    let senders = [
        Contestant::new(C_MESSAGES, &c, "messages"),
        Contestant::new(MESSAGES, &peer::this("send-messages"), ""),
        Contestant::new(C_RING, &c, "ring"),
        Contestant::new(RING, &peer::this("send-ring"), ""),
        Contestant::new(NETRING, &peer::rust("netring-ring"), "inject"),
    ];
    let mut table: HashMap<_, Figures> = HashMap::new();
    turns(RUNS, LIMIT, |_| {
        for length in LENGTHS {
            for sender in &senders {
                let figures = table.entry((sender.name, length)).or_default();
                if figures.failure.is_none()
                    && let Err(reason) = figures.run(&wire, sender, length)
                {
                    figures.failure = Some(reason);
                }
            }
        }
    });
    LENGTHS.iter().flat_map(|&length| of_length(length, &table)).collect()
}

fn of_length(length: u32, table: &HashMap<(&'static str, u32), Figures>) -> Vec<Row> {
    let figure = |name, of: fn(&Figures) -> &[f64]| match table.get(&(name, length)) {
        Some(Figures { failure: Some(reason), .. }) => Err(reason.clone()),
        Some(figures) => Ok(Spread::of(of(figures).iter().copied())),
        None => Err(Unavailable::new("not run".into())),
    };
    let mut rows = Vec::new();
    let mut row = |case: &str, unit, ours, theirs, of: fn(&Figures) -> &[f64], bar| {
        let (name, subject) = peer::figure(ours, figure(ours, of));
        rows.push(Row {
            group: GROUP,
            case: format!("{name}, {length}-byte frames, {case}"),
            unit,
            subject,
            peer: Some(peer::figure(theirs, figure(theirs, of))),
            bar,
        });
    };
    let bar = Some(Bar::RatioAtMost(1.05));
    for (ours, theirs) in [(MESSAGES, C_MESSAGES), (RING, C_RING)] {
        row("time a frame at the peer", "ns", ours, theirs, |figures| &figures.each, bar);
        row("million frames a second at the peer", "", ours, theirs, |figures| &figures.rate, None);
    }
    row("frames at the peer", "%", MESSAGES, NETRING, |figures| &figures.arrived, None);
    row("frames at the peer", "%", RING, NETRING, |figures| &figures.arrived, None);
    for ours in [MESSAGES, RING] {
        let allocations = table.get(&(ours, length)).and_then(|figures| figures.allocations);
        rows.push(Row {
            group: GROUP,
            case: format!("{ours}, {length}-byte frames, heap allocations in {COUNT} frames"),
            unit: "",
            subject: allocations.map_or(Spread::unknown(), |count| Spread::single(count as f64)),
            peer: None,
            bar: Some(Bar::AtMost(0.0)),
        });
    }
    rows
}

impl Figures {
    fn run(&mut self, wire: &Wire, sender: &Contestant, length: u32) -> Result<(), Unavailable> {
        let before = wire.arrived()?;
        let Sent { sent, wall_ns, allocations, .. } =
            wire.send::<Sent>(sender, Load { length, count: COUNT, rate: 0 })?;
        let arrived = (wire.arrived()? - before) as f64;
        if arrived > 0.0 {
            self.each.push(wall_ns as f64 / arrived);
        }
        self.rate.push(arrived / wall_ns as f64 * 1e3);
        self.arrived.push(100.0 * arrived / sent as f64);
        self.allocations = self.allocations.max(allocations);
        Ok(())
    }
}
