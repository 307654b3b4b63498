//! Instructions per packet, counted by callgrind. These figures do not depend on the machine's
//! load. They cover the case in which only instructions cost time.

use std::process::Command;

use flow::{FiveTuple, FiveTupleKey, FlowHandler, FlowTable};

use crate::measure::Spread;
use crate::report::{Bar, Row};
use crate::traffic::{Capture, Connection, acknowledgements, bits};

/// A workload whose instructions are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Workload {
    /// Acknowledgements of one flow, in both directions at random.
    Acknowledgements,
    /// One download in order, with an acknowledgement for every second segment.
    Download,
}

struct Nobody;
impl FlowHandler<FiveTupleKey> for Nobody {}

const PACKETS: usize = 1 << 14;
const ROUNDS: usize = 8;

pub(crate) fn rows() -> Vec<Row> {
    let cases = [
        (Workload::Acknowledgements, "acknowledgements", "1 flow, 60-byte TCP", 440.0),
        (Workload::Download, "download", "1 flow, full-size segments in order", 455.0),
    ];
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("instructions: not counted, since valgrind is not installed");
        return Vec::new();
    }
    let count = |(workload, name, case, bar): (Workload, &str, &str, f64)| {
        // The instructions of setup are in both runs, so they cancel out.
        let less = run(name, 1)?;
        let more = run(name, 1 + ROUNDS)?;
        let packets = ROUNDS * workload.capture().len();
        Ok(Row {
            group: "instructions",
            case: case.into(),
            unit: "instructions a packet",
            subject: Spread::single((more - less) / packets as f64),
            peer: None,
            bar: Some(Bar::AtMost(bar)),
        })
    };
    cases
        .into_iter()
        .filter_map(|case| {
            let row: Result<Row, String> = count(case);
            row.inspect_err(|error| eprintln!("instructions: not counted: {error}")).ok()
        })
        .collect()
}

impl Workload {
    /// Runs under callgrind: feeds a new table with the same capture, `rounds` times.
    pub(crate) fn repeat(self, rounds: usize) {
        let capture = self.capture();
        for _ in 0..rounds {
            let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
            table.process(capture.packets(), &mut Nobody);
            assert_eq!(table.len(), 1);
        }
    }

    fn capture(self) -> Capture {
        match self {
            Self::Acknowledgements => acknowledgements(1, PACKETS, 100).1,
            Self::Download => {
                let mut capture = Capture::with_pace(100);
                let mut connection = Connection::new(1);
                connection.send(&mut capture, 0, bits::SYN, 0);
                connection.send(&mut capture, 1, bits::SYN | bits::ACK, 0);
                for number in 0..PACKETS * 2 / 3 {
                    connection.send(&mut capture, 1, bits::ACK, 1460);
                    if number % 2 == 0 {
                        connection.send(&mut capture, 0, bits::ACK, 0);
                    }
                }
                capture
            }
        }
    }
}

/// Runs this program under callgrind. Returns the total number of instructions.
fn run(workload: &str, rounds: usize) -> Result<f64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--workload", workload, "--rounds", &rounds.to_string()])
        .output()
        .map_err(|error| error.to_string())?;
    let messages = String::from_utf8_lossy(&output.stderr);
    messages
        .lines()
        .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
        .filter(|_| output.status.success())
        .ok_or_else(|| format!("valgrind says: {}", messages.trim()))
}
