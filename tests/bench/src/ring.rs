//! Receiving through AF_PACKET: processor time per packet, loss, and the receiver's cost to the
//! sender.

use std::collections::HashMap;
use std::time::Duration;

use crate::measure::Spread;
use crate::peer::{self, Unavailable};
use crate::report::{Bar, Row};
use crate::wire::{Contestant, FAR, InTurns, Load, OTHER, Received, Sent, Wire, rotated, turns};

const GROUP: &str = "ring";
const RUNS: usize = 12;
/// The maximum duration of the turns.
const LIMIT: Duration = Duration::from_secs(165);
/// One in this number of turns also measures the cases without a ratio as their bar.
const SELDOM: usize = 3;
const LENGTHS: [u32; 2] = [64, 1500];
/// In packets per second. Well below the capacity of each receiver.
const RATE: u64 = 300_000;
/// The number of packets at full speed. They fit into a ring, so that nothing is lost before the
/// receiver wakes up.
const COUNT: u64 = 150_000;
/// The number of packets in turns with the other pair.
const IN_TURNS: u64 = 100_000;

const SYNC: &str = "Capture";
const EACH: &str = "Capture, woken for each block";
const ASYNC: &str = "AsyncCapture";
const SHARED: &str = "shared blocks to a worker";
const C: &str = "C loop";
const PCAP: &str = "pcap 2 (libpcap)";
const NETRING: &str = "netring 0.29 sync";
const NETRING_ASYNC: &str = "netring 0.29 async";

/// The way in which frames are sent to a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Manner {
    Paced,
    Full,
    /// At full speed, in turns with the pair that has no receiver.
    InTurns,
}

/// The figures of one receiver and one manner, with a value for each run.
#[derive(Debug, Default)]
struct Figures {
    /// Nanoseconds of the receiver's processor time per packet.
    cpu: Vec<f64>,
    /// The loss in per cent.
    loss: Vec<f64>,
    /// The additional nanoseconds of processor time of the sender per packet, compared with no
    /// receiver.
    slower: Vec<f64>,
    /// The maximum number of allocations in a run.
    allocations: u64,
    packets: u64,
    failure: Option<Unavailable>,
}

type Table = HashMap<(&'static str, u32, Manner), Figures>;

pub(crate) fn rows() -> Vec<Row> {
    let wire = match Wire::new() {
        Ok(wire) => wire,
        Err(reason) => return vec![Row::unavailable(GROUP, "receiving", &reason)],
    };
    let netring = peer::rust("netring-ring");
    // Receivers that are compared with each other are neighbours.
    let receivers = [
        Contestant::new(EACH, &peer::this("receive-each"), FAR),
        Contestant::new(C, &peer::c("receive-packet"), FAR),
        Contestant::new(SYNC, &peer::this("receive"), FAR),
        Contestant::new(NETRING, &netring, &format!("receive {FAR}")),
        Contestant::new(ASYNC, &peer::this("receive-async"), FAR),
        Contestant::new(NETRING_ASYNC, &netring, &format!("receive-async {FAR}")),
        Contestant::new(PCAP, &peer::rust("pcap-ring"), FAR),
        Contestant::new(SHARED, &peer::this("receive-shared"), FAR),
    ];
    let sender = peer::c("send-packet");
    let senders = [
        Contestant::new("sender", &sender, "messages"),
        Contestant::new("sender in turns", &sender, &format!("turns {OTHER}")),
    ];
    let mut table = Table::new();
    turns(RUNS, LIMIT, |taken| {
        for length in LENGTHS {
            turn(&wire, &senders, &receivers, length, taken, &mut table);
        }
    });
    LENGTHS.iter().flat_map(|&length| of_length(length, &table)).collect()
}

/// Runs each manner with one receiver after another, because the machine's speed changes every few
/// seconds. The order of the receivers changes from turn to turn.
fn turn(
    wire: &Wire,
    [sender, in_turns]: &[Contestant; 2],
    receivers: &[Contestant],
    length: u32,
    taken: usize,
    table: &mut Table,
) {
    let load = |count, rate| Load { length, count, rate };
    let mut order: Vec<_> = rotated(receivers, taken).collect();
    if !taken.is_multiple_of(2) {
        order.reverse();
    }
    for manner in [Manner::Paced, Manner::InTurns, Manner::Full] {
        for receiver in &order {
            let often = match manner {
                Manner::Paced => ![EACH, SHARED].contains(&receiver.name),
                Manner::InTurns => [SYNC, ASYNC, NETRING, NETRING_ASYNC].contains(&receiver.name),
                Manner::Full => false,
            };
            let figures = table.entry((receiver.name, length, manner)).or_default();
            if figures.failure.is_some() || !often && !taken.is_multiple_of(SELDOM) {
                continue;
            }
            let received = match manner {
                Manner::Paced => wire
                    .send_to(receiver, sender, load(RATE / 3, RATE))
                    .map(|(sent, received): (Sent, _)| figures.received(sent, received)),
                Manner::Full => wire
                    .send_to(receiver, sender, load(COUNT, 0))
                    .map(|(sent, received): (Sent, _)| figures.received(sent, received)),
                Manner::InTurns => wire
                    .send_to(receiver, in_turns, load(IN_TURNS, 0))
                    .map(|(sent, _): (InTurns, _)| figures.slower.push(sent.slower())),
            };
            figures.failure = received.err();
        }
    }
}

fn of_length(length: u32, table: &Table) -> Vec<Row> {
    let figure = |name, manner, of: fn(&Figures) -> &[f64]| {
        table.get(&(name, length, manner)).map_or(
            Err(Unavailable::new("not run".into())),
            |figures| match &figures.failure {
                Some(reason) => Err(reason.clone()),
                None => Ok(Spread::of(of(figures).iter().copied())),
            },
        )
    };
    let mut rows = Vec::new();
    let mut row = |case: String, unit, ours, theirs, manner, of: fn(&Figures) -> &[f64], bar| {
        let (name, subject) = peer::figure(ours, figure(ours, manner, of));
        rows.push(Row {
            group: GROUP,
            case: format!("{name}, {length}-byte frames, {case}"),
            unit,
            subject,
            peer: Some(peer::figure(theirs, figure(theirs, manner, of))),
            bar,
        });
    };
    // A capture takes several full blocks at one wake-up, which peers do not do. The figure without
    // that is shown as well.
    let pairs = [
        (SYNC, C, Some(1.10), None),
        (ASYNC, C, Some(1.25), None),
        (EACH, C, None, None),
        (SHARED, C, None, None),
        (SYNC, PCAP, Some(0.4), None),
        (SYNC, NETRING, Some(1.0), Some(0.92)),
        (ASYNC, NETRING_ASYNC, Some(1.0), Some(0.92)),
    ];
    for (ours, theirs, cpu, slower) in pairs {
        let paced = format!("CPU time a packet at {} kpps", RATE / 1000);
        let bar = cpu.map(Bar::RatioAtMost);
        row(paced, "ns", ours, theirs, Manner::Paced, |figures| &figures.cpu, bar);
        let full = "CPU time a packet at full speed".into();
        row(full, "ns", ours, theirs, Manner::Full, |figures| &figures.cpu, None);
        let lost = format!("lost at {} kpps", RATE / 1000);
        let bar = Some(Bar::AtMost(0.0));
        row(lost, "%", ours, theirs, Manner::Paced, |figures| &figures.loss, bar);
        let sender = "sender slower by, CPU time a packet".into();
        let bar = slower.map(Bar::RatioAtMost);
        row(sender, "ns", ours, theirs, Manner::InTurns, |figures| &figures.slower, bar);
    }
    for ours in [SYNC, ASYNC, SHARED] {
        let Some(figures) = table.get(&(ours, length, Manner::Full)) else { continue };
        let each = figures.allocations as f64 / figures.packets.max(1) as f64;
        // A shared block is counted as an allocation: one in tens of thousands of packets.
        let (case, figure, bar) = match ours {
            SHARED => ("a packet", each, 0.01),
            _ => ("in all", figures.allocations as f64, 0.0),
        };
        let measured = figures.failure.is_none() && figures.packets > 0;
        rows.push(Row {
            group: GROUP,
            case: format!("{ours}, {length}-byte frames, heap allocations {case}"),
            unit: "",
            subject: if measured { Spread::single(figure) } else { Spread::unknown() },
            peer: None,
            bar: Some(Bar::AtMost(bar)),
        });
    }
    rows
}

impl Figures {
    fn received(&mut self, sent: Sent, received: Received) {
        self.cpu.push(received.each());
        self.loss.push(100.0 * (1.0 - received.packets as f64 / sent.sent as f64));
        self.allocations = self.allocations.max(received.allocations.unwrap_or(0));
        self.packets = received.packets;
    }
}
