//! Receiving through AF_PACKET: processor time a packet, what is lost, and what the receiver costs the sender.

use std::collections::HashMap;
use std::time::Duration;

use crate::measure::Spread;
use crate::peer::{self, Unavailable};
use crate::report::{Bar, Row};
use crate::wire::{Contestant, FAR, Load, Received, Sent, Wire, rotated, turns};

const GROUP: &str = "ring";
const RUNS: usize = 12;
/// How long the turns may take.
const LIMIT: Duration = Duration::from_secs(165);
/// Of so many turns, one takes the receivers at full speed whose sender has no bar to reach.
const SELDOM: usize = 3;
const LENGTHS: [u32; 2] = [64, 1500];
/// Well below what each receiver takes.
const RATE: u64 = 300_000;
/// At full speed; less than fits into a ring, so that nothing is lost before the receiver is awake.
const COUNT: u64 = 150_000;

const SYNC: &str = "Capture";
const EACH: &str = "Capture, woken for each block";
const ASYNC: &str = "AsyncCapture";
const SHARED: &str = "shared blocks to a worker";
const C: &str = "C loop";
const PCAP: &str = "pcap 2 (libpcap)";
const NETRING: &str = "netring 0.29 sync";
const NETRING_ASYNC: &str = "netring 0.29 async";

/// Of one receiver and one load, a value a run.
#[derive(Debug, Default)]
struct Figures {
    /// Nanoseconds of the receiver's processor time a packet.
    cpu: Vec<f64>,
    /// Per cent of what was sent.
    loss: Vec<f64>,
    /// Nanoseconds of the sender's processor time a packet; then those that it takes longer than without a receiver.
    slower: Vec<f64>,
    /// The greatest number of allocations of a run.
    allocations: u64,
    packets: u64,
    failure: Option<Unavailable>,
}

type Table = HashMap<(&'static str, u32, bool), Figures>;

pub(crate) fn rows() -> Vec<Row> {
    let wire = match Wire::new() {
        Ok(wire) => wire,
        Err(reason) => return vec![Row::unavailable(GROUP, "receiving", &reason)],
    };
    let netring = peer::rust("netring-ring");
    let receivers = [
        Contestant::new(C, &peer::c("receive-packet"), FAR),
        Contestant::new(SYNC, &peer::this("receive"), FAR),
        Contestant::new(EACH, &peer::this("receive-each"), FAR),
        Contestant::new(ASYNC, &peer::this("receive-async"), FAR),
        Contestant::new(SHARED, &peer::this("receive-shared"), FAR),
        Contestant::new(PCAP, &peer::rust("pcap-ring"), FAR),
        Contestant::new(NETRING, &netring, &format!("receive {FAR}")),
        Contestant::new(NETRING_ASYNC, &netring, &format!("receive-async {FAR}")),
    ];
    let sender = Contestant::new("sender", &peer::c("send-packet"), "messages");
    let mut table = Table::new();
    let mut alone = LENGTHS.map(|_| Vec::new());
    turns(RUNS, LIMIT, |taken| {
        for (length, alone) in LENGTHS.into_iter().zip(&mut alone) {
            turn(&wire, &sender, &receivers, length, taken, &mut table);
            alone.push(wire.send(&sender, Load { length, count: COUNT, rate: 0 }));
        }
    });
    for (length, alone) in LENGTHS.into_iter().zip(alone) {
        than(alone, length, &mut table);
    }
    LENGTHS.iter().flat_map(|&length| of_length(length, &table)).collect()
}

/// Each receiver once, paced and at full speed; who is first changes from turn to turn.
fn turn(
    wire: &Wire,
    sender: &Contestant,
    receivers: &[Contestant],
    length: u32,
    taken: usize,
    table: &mut Table,
) {
    let paced = Load { length, count: RATE / 3, rate: RATE };
    let full = Load { length, count: COUNT, rate: 0 };
    for receiver in rotated(receivers, taken) {
        let seldom = [C, EACH, SHARED, PCAP].contains(&receiver.name);
        for load in [paced, full] {
            let figures = table.entry((receiver.name, length, load.rate == 0)).or_default();
            if figures.failure.is_some()
                || (seldom && load.rate == 0 && !taken.is_multiple_of(SELDOM))
            {
                continue;
            }
            match wire.send_to(receiver, sender, load) {
                Ok((sent, received)) => figures.add(sent, received),
                Err(reason) => figures.failure = Some(reason),
            }
        }
    }
}

/// What the sender takes longer than alone, of which one run in five is disturbed: the median of all turns is what each
/// run is compared with.
fn than(alone: Vec<Result<Sent, Unavailable>>, length: u32, table: &mut Table) {
    let alone: Result<Vec<_>, _> =
        alone.into_iter().map(|sent| sent.map(|sent| each(&sent))).collect();
    let alone = alone.map(|times| Spread::of(times).median);
    for (_, figures) in table.iter_mut().filter(|((_, of, _), _)| *of == length) {
        match &alone {
            Ok(alone) => figures.slower.iter_mut().for_each(|time| *time -= alone),
            Err(reason) => figures.failure = Some(reason.clone()),
        }
    }
}

/// Nanoseconds of the sender's processor time a packet.
fn each(sent: &Sent) -> f64 {
    sent.cpu_ns as f64 / sent.sent as f64
}

fn of_length(length: u32, table: &Table) -> Vec<Row> {
    let figure = |name, full, of: fn(&Figures) -> &[f64]| {
        table.get(&(name, length, full)).map_or(
            Err(Unavailable::new("not run".into())),
            |figures| match &figures.failure {
                Some(reason) => Err(reason.clone()),
                None => Ok(Spread::of(of(figures).iter().copied())),
            },
        )
    };
    let mut rows = Vec::new();
    let mut row = |case: String, unit, ours, theirs, full, of: fn(&Figures) -> &[f64], bar| {
        let (name, subject) = peer::figure(ours, figure(ours, full, of));
        rows.push(Row {
            group: GROUP,
            case: format!("{name}, {length}-byte frames, {case}"),
            unit,
            subject,
            peer: Some(peer::figure(theirs, figure(theirs, full, of))),
            bar,
        });
    };
    // A capture takes several full blocks at one waking, which peers do not: without that it is shown as well.
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
        row(paced, "ns", ours, theirs, false, |figures| &figures.cpu, bar);
        let full = "CPU time a packet at full speed".into();
        row(full, "ns", ours, theirs, true, |figures| &figures.cpu, None);
        let lost = format!("lost at {} kpps", RATE / 1000);
        row(lost, "%", ours, theirs, false, |figures| &figures.loss, Some(Bar::AtMost(0.0)));
        let sender = "sender slower by, CPU time a packet".into();
        let bar = slower.map(Bar::RatioAtMost);
        row(sender, "ns", ours, theirs, true, |figures| &figures.slower, bar);
    }
    for ours in [SYNC, ASYNC, SHARED] {
        let Some(figures) = table.get(&(ours, length, true)) else { continue };
        let each = figures.allocations as f64 / figures.packets.max(1) as f64;
        // A shared block is counted by an allocation of its own: one in tens of thousands of packets.
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
    fn add(&mut self, sent: Sent, received: Received) {
        self.cpu.push(received.each());
        self.loss.push(100.0 * (1.0 - received.packets as f64 / sent.sent as f64));
        self.slower.push(each(&sent));
        self.allocations = self.allocations.max(received.allocations.unwrap_or(0));
        self.packets = received.packets;
    }
}
