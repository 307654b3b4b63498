//! AF_XDP: receiving and sending, in copy mode, because veth has no other. The kernel's share of
//! sending is part of the sender's system calls. That of receiving runs on the processor of the
//! sender.

use std::collections::HashMap;
use std::time::Duration;

use crate::measure::Spread;
use crate::peer::{self, Unavailable};
use crate::report::{Bar, Row};
use crate::wire::{Contestant, FAR, Load, Sent, Wire, rotated, turns};

const GROUP: &str = "xdp";
const RUNS: usize = 12;
/// The maximum duration of the turns.
const LIMIT: Duration = Duration::from_secs(165);
const LENGTHS: [u32; 2] = [64, 1500];
const RATE: u64 = 100_000;

const OURS: &str = "xdp::Socket";
const SLEEPING: &str = "xdp::Socket, xdp::Wait::Sleep";
const C: &str = "C loop with libxdp";
const XSK_RS: &str = "xsk-rs 0.11";
const NETRING: &str = "netring 0.29";

#[derive(Debug, Default)]
struct Figures {
    cpu: Vec<f64>,
    rate: Vec<f64>,
    loss: Vec<f64>,
    allocations: Option<u64>,
    failure: Option<Unavailable>,
}

/// The work done with the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Task {
    ReceivePaced,
    Receive,
    Send,
}

type Table = HashMap<(&'static str, u32, Task), Figures>;

pub(crate) fn rows() -> Vec<Row> {
    if !nix::unistd::geteuid().is_root() {
        let reason = Unavailable::new("needs root: AF_XDP is not for user namespaces".into());
        return vec![Row::unavailable(GROUP, "AF_XDP", &reason)];
    }
    let wire = match Wire::new() {
        Ok(wire) => wire,
        Err(reason) => return vec![Row::unavailable(GROUP, "AF_XDP", &reason)],
    };
    let c = peer::c("xdp");
    let (xsk_rs, netring) = (peer::rust("xsk-rs-xdp"), peer::rust("netring-ring"));
    let receivers = [
        Contestant::new(C, &c, &format!("receive {FAR}")),
        Contestant::new(OURS, &peer::this("receive-xdp"), &format!("{FAR} default")),
        Contestant::new(SLEEPING, &peer::this("receive-xdp"), &format!("{FAR} sleep")),
        Contestant::new(XSK_RS, &xsk_rs, &format!("receive {FAR}")),
        Contestant::new(NETRING, &netring, &format!("receive-xdp {FAR}")),
    ];
    let senders = [
        Contestant::new(C, &c, "send"),
        Contestant::new(OURS, &peer::this("send-xdp"), ""),
        Contestant::new(XSK_RS, &xsk_rs, "send"),
        Contestant::new(NETRING, &netring, "send-xdp"),
    ];
    let messages = Contestant::new("sender", &peer::c("send-packet"), "messages");
    let mut table = Table::new();
    turns(RUNS, LIMIT, |taken| {
        for length in LENGTHS {
            for receiver in rotated(&receivers, taken) {
                for (task, count, rate) in
                    [(Task::ReceivePaced, RATE / 3, RATE), (Task::Receive, 100_000, 0)]
                {
                    let figures = table.entry((receiver.name, length, task)).or_default();
                    figures.receive(&wire, receiver, &messages, Load { length, count, rate });
                }
            }
            for sender in rotated(&senders, taken) {
                let figures = table.entry((sender.name, length, Task::Send)).or_default();
                figures.send(&wire, sender, Load { length, count: 200_000, rate: 0 });
            }
        }
    });
    LENGTHS.iter().flat_map(|&length| of_length(length, &table)).collect()
}

fn of_length(length: u32, table: &Table) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut row = |case: &str, unit, [ours, theirs]: [&'static str; 2], task, of: Of, bar| {
        let figure = |name| match table.get(&(name, length, task)) {
            Some(Figures { failure: Some(reason), .. }) => Err(reason.clone()),
            Some(figures) => Ok(Spread::of(of(figures).iter().copied())),
            None => Err(Unavailable::new("not run".into())),
        };
        let (name, subject) = peer::figure(ours, figure(ours));
        rows.push(Row {
            group: GROUP,
            case: format!("{name}, {length}-byte frames, {case}"),
            unit,
            subject,
            peer: Some(peer::figure(theirs, figure(theirs))),
            bar,
        });
    };
    let within = Some(Bar::RatioAtMost(1.10));
    let not_behind = |ratio| Some(Bar::RatioAtMost(ratio));
    // A socket takes several batches at one wake-up, which peers do not do. The figure without that
    // is shown as well.
    let pairs = [
        ([OURS, C], within),
        ([OURS, XSK_RS], not_behind(1.0)),
        ([OURS, NETRING], not_behind(1.0)),
        ([SLEEPING, C], None),
        ([SLEEPING, XSK_RS], None),
        ([SLEEPING, NETRING], None),
    ];
    let paced = format!("receiving, CPU time a packet at {} kpps", RATE / 1000);
    for (pair, bar) in pairs {
        row(&paced, "ns", pair, Task::ReceivePaced, |figures| &figures.cpu, bar);
        row(
            "receiving, CPU time a packet at full speed",
            "ns",
            pair,
            Task::Receive,
            |figures| &figures.cpu,
            bar,
        );
        let rate = "receiving, thousand packets a second";
        row(rate, "", pair, Task::Receive, |figures| &figures.rate, None);
        let lost = format!("receiving, lost at {} kpps", RATE / 1000);
        row(&lost, "%", pair, Task::ReceivePaced, |figures| &figures.loss, None);
    }
    for (theirs, bar) in [(C, within), (XSK_RS, not_behind(1.0)), (NETRING, not_behind(1.0))] {
        let pair = [OURS, theirs];
        row("sending, CPU time a packet", "ns", pair, Task::Send, |figures| &figures.cpu, bar);
        let rate = "sending, thousand packets a second at the peer";
        row(rate, "", pair, Task::Send, |figures| &figures.rate, None);
        row("sending, lost", "%", pair, Task::Send, |figures| &figures.loss, None);
    }
    for (task, case) in [(Task::Receive, "receiving"), (Task::Send, "sending")] {
        let allocations = table.get(&(OURS, length, task)).and_then(|figures| figures.allocations);
        rows.push(Row {
            group: GROUP,
            case: format!("{OURS}, {length}-byte frames, {case}, heap allocations"),
            unit: "",
            subject: allocations.map_or(Spread::unknown(), |count| Spread::single(count as f64)),
            peer: None,
            bar: Some(Bar::AtMost(0.0)),
        });
    }
    rows
}

type Of = fn(&Figures) -> &[f64];

impl Figures {
    fn receive(&mut self, wire: &Wire, receiver: &Contestant, sender: &Contestant, load: Load) {
        if self.failure.is_some() {
            return;
        }
        match wire.send_to::<Sent>(receiver, sender, load) {
            Ok((sent, received)) => {
                self.cpu.push(received.cpu_ns as f64 / received.packets.max(1) as f64);
                self.rate.push(received.packets as f64 / sent.wall_ns as f64 * 1e6);
                self.loss.push(100.0 * (1.0 - received.packets as f64 / sent.sent as f64));
                self.allocations = self.allocations.max(received.allocations);
            }
            Err(reason) => self.failure = Some(reason),
        }
    }

    fn send(&mut self, wire: &Wire, sender: &Contestant, load: Load) {
        if self.failure.is_some() {
            return;
        }
        let outcome = wire.arrived().and_then(|before| {
            let sent: Sent = wire.send(sender, load)?;
            Ok((sent, wire.arrived()? - before))
        });
        match outcome {
            Ok((sent, arrived)) => {
                self.cpu.push(sent.cpu_ns as f64 / arrived.max(1) as f64);
                self.rate.push(arrived as f64 / sent.wall_ns as f64 * 1e6);
                self.loss.push(100.0 * (1.0 - arrived as f64 / sent.sent as f64));
                self.allocations = self.allocations.max(sent.allocations);
            }
            Err(reason) => self.failure = Some(reason),
        }
    }
}
