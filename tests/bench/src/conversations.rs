//! A capture file's conversations, end to end: file → flows → bytes in order → a consumer that hashes each of them.
//!
//! Every program is a process of its own, and what it hashed must be what the others hashed. netring's clock runs from
//! the first packet in its ring to the last byte hashed, ours from the start of the process. On one core it is processor
//! time that counts. tcpflow, which writes a
//! file a direction, and tshark, which follows one stream, are measured as whole processes, and ours beside them.

mod reader;
#[path = "../peers/stream_hash.rs"]
mod stream_hash;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use netns::Namespace;
use serde::{Deserialize, Serialize};

pub(crate) use reader::play;

use crate::measure::Spread;
use crate::peer::{self, Place, Program, Unavailable, figure};
use crate::report::{Bar, Row};
use crate::traffic::Mix;
use stream_hash::StreamHash;

const ROLE: &str = "read-conversations";
/// The ways in which ours read: with the engine among the tasks, or on a thread beside them.
const ONE_CORE: &str = "1";
const TWO_CORES: &str = "2";

/// As many conversations as make captures of some hundred megabytes, nothing lost: tcpflow fills gaps with zeroes.
const CAPTURES: [(&str, Mix); 2] = [
    ("mixed", Mix { connections: 24_000, lost: 0, ..Mix::MIXED }),
    ("bulk", Mix { connections: 200, ..Mix::BULK }),
];

/// Packets that tshark reads; more make it no faster.
const TSHARK_PACKETS: u64 = 150_000;

/// What a program made of a file.
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
    /// What it took: on one core the processor time, which does not count what others do on the machine meanwhile.
    fn took(&self, cores: usize) -> f64 {
        if cores == 1 { self.cpu } else { self.seconds }
    }
}

/// A capture file, and a folder for what is made of it; gone when dropped.
struct Scratch {
    folder: PathBuf,
    file: PathBuf,
    /// The same packets without padding: tcpflow takes that for payload.
    unpadded: PathBuf,
}

/// What a capture is measured with.
struct Bench {
    name: &'static str,
    scratch: Scratch,
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
        let scratch = Scratch::new(name)?;
        let capture = mix.capture();
        capture
            .write(&scratch.file)
            .and_then(|()| capture.write_without_padding(&scratch.unpadded))
            .map_err(|error| Unavailable::because("the capture cannot be written", &error))?;
        let ours = peer::this(ROLE)?;
        // The first run brings the file into the page cache.
        let expected =
            ours.run(Place::default(), &[scratch.file.as_os_str(), OsStr::new(TWO_CORES)])?;
        Ok(Self { name, scratch, ours, expected })
    }

    /// netring on one core, and on two.
    fn netring(&self, rows: &mut Vec<Row>) {
        for cores in [1, 2] {
            for (peer, package, runs, bar) in [
                ("netring 0.32", "netring-conversations", 3, Some(Bar::RatioAtLeast(5.0))),
                // For the record.
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

    /// netring's figure, with a remark where it did not see all bytes.
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

    /// Whole processes on one core.
    fn processes(&self, rows: &mut Vec<Row>) {
        let ours = || {
            Spread::of((0..3).filter_map(|_| {
                let place = Place { namespace: None, cpu: Some(0) };
                let arguments = [self.scratch.file.as_os_str(), OsStr::new(ONE_CORE)];
                let took = self.ours.time(place, &arguments);
                took.ok().map(|took| self.rate(took.as_secs_f64()))
            }))
        };
        let case = format!("{} one core, the whole process", self.case());
        let tcpflow = figure("tcpflow, from frames without padding", self.tcpflow());
        rows.push(self.row(case.clone(), ours(), tcpflow, Some(Bar::RatioAtLeast(20.0))));
        let tshark = figure("tshark -z follow", self.tshark());
        rows.push(self.row(case, ours(), tshark, Some(Bar::RatioAtLeast(50.0))));
    }

    /// One run of ours.
    fn ours(&self, way: &str, cores: usize) -> Option<Outcome> {
        let place = Place { namespace: None, cpu: (cores == 1).then_some(0) };
        let arguments = [self.scratch.file.as_os_str(), OsStr::new(way)];
        let outcome: Outcome = self.ours.run(place, &arguments).ok()?;
        (outcome.hash == self.expected.hash).then_some(outcome)
    }

    /// One run of netring, in a namespace with a veth pair of its own.
    fn ring(&self, package: &str, cores: usize) -> Result<Outcome, Unavailable> {
        let program = peer::rust(package)?;
        let because = |error: &netns::Error| Unavailable::because("no namespace", error);
        let namespace = Namespace::new().map_err(|error| because(&error))?;
        let (a, b) = namespace.veth_to(&namespace, "a", "b").map_err(|error| because(&error))?;
        a.up().and_then(|()| b.up()).map_err(|error| because(&error))?;
        let place = Place { namespace: Some(&namespace), cpu: (cores == 1).then_some(0) };
        let file = self.scratch.file.to_string_lossy().into_owned();
        program.run(place, &[file, cores.to_string(), self.expected.bytes.to_string()])
    }

    fn tcpflow(&self) -> Result<Spread, Unavailable> {
        let tcpflow = peer::installed("tcpflow", "tcpflow")?;
        let mut figures = Vec::new();
        for _ in 0..2 {
            let folder = self.scratch.folder.join("tcpflow");
            let [file, out] =
                [&self.scratch.unpadded, &folder].map(|path| path.to_string_lossy().into_owned());
            // At most so many files open at a time as connections are.
            let place = Place { namespace: None, cpu: Some(0) };
            let took = tcpflow.time(place, &["-q", "-f", "9000", "-o", &out, "-r", &file])?;
            let found = hash_files(&folder)
                .map_err(|error| Unavailable::because("tcpflow's files cannot be read", &error))?;
            if found != self.expected.hash {
                return Err(Unavailable::saying("its bytes are not ours"));
            }
            fs::remove_dir_all(&folder).map_err(|error| {
                Unavailable::because("tcpflow's files cannot be removed", &error)
            })?;
            figures.push(self.rate(took.as_secs_f64()));
        }
        Ok(Spread::of(figures))
    }

    fn tshark(&self) -> Result<Spread, Unavailable> {
        let tshark = peer::installed("tshark", "tshark")?;
        let file = self.scratch.file.to_string_lossy().into_owned();
        let count = TSHARK_PACKETS.min(self.expected.packets);
        let place = Place { namespace: None, cpu: Some(0) };
        let took = tshark.time(
            place,
            &["-n", "-q", "-z", "follow,tcp,raw,0", "-c", &count.to_string(), "-r", &file],
        )?;
        Ok(Spread::single(count as f64 / took.as_secs_f64() / 1e6))
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

impl Scratch {
    /// In memory, where the machine has room there: no disk is measured.
    fn new(name: &str) -> Result<Self, Unavailable> {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = folder.join(format!("ringtap-bench-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder)
            .map_err(|error| Unavailable::because("no room for captures", &error))?;
        let [file, unpadded] = ["capture.pcap", "unpadded.pcap"].map(|name| folder.join(name));
        Ok(Self { folder, file, unpadded })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed stays; nothing depends on it.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The hash of a folder of streams. tcpflow writes a report beside them.
fn hash_files(folder: &Path) -> std::io::Result<u64> {
    let mut sum = 0u64;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "xml") {
            continue;
        }
        let mut hash = StreamHash::new();
        hash.update(&fs::read(entry.path())?);
        sum = sum.wrapping_add(hash.finish());
    }
    Ok(sum)
}
