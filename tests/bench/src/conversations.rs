//! A capture file's conversations, end to end: file → flows → bytes in order → a consumer that
//! hashes each of them.
//!
//! Every program is a separate process, and all hashes must be equal. netring's clock runs from the
//! first packet in its ring to the last byte hashed, ours from the start of the process. On one
//! core, processor time counts. tcpflow, which writes a file for each direction, and tshark, which
//! follows one stream, are measured as whole processes, with ours for comparison.

mod reader;

use std::ffi::OsStr;

use netns::Namespace;
use serde::{Deserialize, Serialize};

pub(crate) use reader::play;

use crate::measure::Spread;
use crate::peer::{self, Place, Program, Unavailable, figure};
use crate::processes::{Contents, Files, StreamHash};
use crate::report::{Bar, Row};
use crate::traffic::Mix;

const ROLE: &str = "read-conversations";
/// Our variants: the engine as one of the tasks, or on a separate thread.
const ONE_CORE: &str = "1";
const TWO_CORES: &str = "2";

/// Enough conversations for captures of several hundred megabytes, without loss, because tcpflow
/// fills gaps with zeroes.
const CAPTURES: [(&str, Mix); 2] = [
    ("mixed", Mix { connections: 24_000, lost: 0, ..Mix::MIXED }),
    ("bulk", Mix { connections: 200, ..Mix::BULK }),
];

/// The result of a program for a file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Outcome {
    packets: u64,
    conversations: u64,
    bytes: u64,
    hash: u64,
    seconds: f64,
    /// Seconds of processor time.
    cpu: f64,
}

impl Outcome {
    /// The relevant time. On one core it is the processor time, which is independent of other load
    /// on the machine.
    fn took(&self, cores: usize) -> f64 {
        if cores == 1 { self.cpu } else { self.seconds }
    }
}

/// The inputs of a measurement.
struct Bench {
    name: &'static str,
    files: Files,
    ours: Program,
    expected: Outcome,
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, mix) in CAPTURES {
        match Bench::new(name, mix) {
            Ok(bench) => {
                bench.netring(&mut rows);
                bench.processes(&mut rows);
            }
            Err(reason) => eprintln!("{name}: {reason}"),
        }
    }
    rows
}

impl Bench {
    fn new(name: &'static str, mix: Mix) -> Result<Self, Unavailable> {
        let files = Files::new(name, &mix)?;
        let ours = peer::this(ROLE)?;
        // The first run loads the file into the page cache.
        let expected =
            ours.run(Place::default(), &[files.capture.as_os_str(), OsStr::new(TWO_CORES)])?;
        Ok(Self { name, files, ours, expected })
    }

    /// netring on one core, and on two.
    fn netring(&self, rows: &mut Vec<Row>) {
        for cores in [1, 2] {
            for (peer, package, runs, bar) in [
                ("netring 0.32", "netring-conversations", 3, Some(Bar::RatioAtLeast(5.0))),
                // For reference.
                ("netring 0.29", "netring-conversations-0-29", 1, None),
            ] {
                let way = if cores == 1 { ONE_CORE } else { TWO_CORES };
                let (mut subject, mut figures) = (Vec::new(), Ok(Vec::new()));
                for _ in 0..runs {
                    let ours = self.ours(way, cores);
                    subject.extend(ours.map(|outcome| self.rate(outcome.took(cores))));
                    match (self.ring(package, cores), &mut figures) {
                        (Ok(outcome), Ok(figures)) => figures.push(outcome),
                        (Err(reason), figures) => *figures = Err(reason),
                        (Ok(_), Err(_)) => {}
                    }
                }
                let peer = self.of_ring(peer, figures, cores);
                let on = if cores == 1 { "one core" } else { "two cores" };
                let case = format!("{} {on}, conversations hashed", self.case());
                rows.push(self.row(case, Spread::of(subject), peer, bar));
            }
        }
    }

    /// netring's figure, with a remark if it missed bytes.
    fn of_ring(
        &self,
        peer: &str,
        figures: Result<Vec<Outcome>, Unavailable>,
        cores: usize,
    ) -> (String, Spread) {
        let remark = match &figures {
            Ok(all) if all.iter().any(|outcome| outcome.hash != self.expected.hash) => format!(
                ", {:.1} % of the bytes",
                100.0 * all.first().map_or(0, |outcome| outcome.bytes) as f64
                    / self.expected.bytes as f64
            ),
            _ => String::new(),
        };
        let rate = |outcome: &Outcome| outcome.packets as f64 / outcome.took(cores) / 1e6;
        figure(&format!("{peer}{remark}"), figures.map(|all| Spread::of(all.iter().map(rate))))
    }

    /// Measures whole processes on one core.
    fn processes(&self, rows: &mut Vec<Row>) {
        let Outcome { packets, bytes, hash, .. } = self.expected;
        let bars = [20.0, 50.0].map(|bar| Some(Bar::RatioAtLeast(bar)));
        rows.extend(self.files.rows(
            ("conversations", &self.case()),
            Contents { packets, bytes, hash },
            (&self.ours, &[ONE_CORE]),
            bars,
        ));
    }

    /// Runs ours once.
    fn ours(&self, way: &str, cores: usize) -> Option<Outcome> {
        let place = Place { namespace: None, cpu: (cores == 1).then_some(0) };
        let arguments = [self.files.capture.as_os_str(), OsStr::new(way)];
        let outcome: Outcome = self.ours.run(place, &arguments).ok()?;
        (outcome.hash == self.expected.hash).then_some(outcome)
    }

    /// Runs netring once, in a namespace with its own veth pair.
    fn ring(&self, package: &str, cores: usize) -> Result<Outcome, Unavailable> {
        let program = peer::rust(package)?;
        let because = |error: &netns::Error| Unavailable::because("no namespace", error);
        let namespace = Namespace::new().map_err(|error| because(&error))?;
        let (a, b) = namespace.veth_to(&namespace, "a", "b").map_err(|error| because(&error))?;
        a.up().and_then(|()| b.up()).map_err(|error| because(&error))?;
        let place = Place { namespace: Some(&namespace), cpu: (cores == 1).then_some(0) };
        let file = self.files.capture.to_string_lossy().into_owned();
        program.run(place, &[file, cores.to_string(), self.expected.bytes.to_string()])
    }

    fn row(&self, case: String, subject: Spread, peer: (String, Spread), bar: Option<Bar>) -> Row {
        Row { group: "conversations", case, unit: "Mpps", subject, peer: Some(peer), bar }
    }

    fn case(&self) -> String {
        let Outcome { packets, bytes, conversations, .. } = self.expected;
        format!(
            "{} capture, {packets} packets, {} MB in {conversations} conversations,",
            self.name,
            bytes / 1_000_000
        )
    }

    /// Millions of packets a second.
    fn rate(&self, seconds: f64) -> f64 {
        self.expected.packets as f64 / seconds / 1e6
    }
}
