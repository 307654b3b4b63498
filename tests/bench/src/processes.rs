//! Capture files as inputs of whole programs: tcpflow, which writes a file for each direction, and
//! tshark, which follows one stream.

#[path = "../peers/stream_hash.rs"]
mod stream_hash;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
pub(crate) use stream_hash::StreamHash;

use crate::measure::Spread;
use crate::peer::{self, Place, Program, Unavailable, figure};
use crate::report::{Bar, Row};
use crate::traffic::Mix;

/// The number of packets that tshark reads. More make it no faster.
const TSHARK_PACKETS: u64 = 150_000;

/// A capture as files, which are removed on drop.
pub(crate) struct Files {
    /// On a disk, like real captures, and in the page cache.
    folder: PathBuf,
    /// In memory if the machine has enough, so that no disk is measured.
    output: PathBuf,
    pub(crate) capture: PathBuf,
    /// The same packets without padding, because tcpflow treats padding as payload.
    unpadded: PathBuf,
}

/// The contents of a capture, to which every program's result is compared.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Contents {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// The sum of the hashes of all directions.
    pub(crate) hash: u64,
}

impl Files {
    pub(crate) fn new(name: &str, mix: &Mix) -> Result<Self, Unavailable> {
        let name = format!("ringtap-bench-{name}-{}", std::process::id());
        let (disk, memory) = (std::env::temp_dir(), PathBuf::from("/dev/shm"));
        let output = if memory.is_dir() { &memory } else { &disk }.join(format!("{name}-output"));
        let folder = disk.join(name);
        for folder in [&folder, &output] {
            fs::create_dir_all(folder)
                .map_err(|error| Unavailable::because("no room for captures", &error))?;
        }
        let [file, unpadded] = ["capture.pcap", "unpadded.pcap"].map(|name| folder.join(name));
        let files = Self { folder, output, capture: file, unpadded };
        let capture = mix.capture();
        let written = capture
            .write(&files.capture)
            .and_then(|()| capture.write_without_padding(&files.unpadded))
            // Nothing may be written to disk during a measurement.
            .and_then(|()| File::open(&files.capture)?.sync_all())
            .and_then(|()| File::open(&files.unpadded)?.sync_all());
        written.map_err(|error| Unavailable::because("the capture cannot be written", &error))?;
        Ok(files)
    }

    /// Compares ours, called with the capture and these arguments, with tcpflow and tshark: whole
    /// processes on one core, in millions of packets per second. The bars are those of tcpflow and
    /// tshark.
    pub(crate) fn rows(
        &self,
        (group, case): (&'static str, &str),
        contents: Contents,
        (ours, arguments): (&Program, &[&str]),
        bars: [Option<Bar>; 2],
    ) -> [Row; 2] {
        let capture = [self.capture.as_os_str()];
        let arguments: Vec<_> =
            capture.into_iter().chain(arguments.iter().map(OsStr::new)).collect();
        let place = Place { namespace: None, cpu: Some(0) };
        let rate = |seconds: f64| contents.packets as f64 / seconds / 1e6;
        let row = |peer, bar| {
            let runs = (0..3).filter_map(|_| ours.time(place, &arguments).ok());
            let subject = Spread::of(runs.map(|took| rate(took.as_secs_f64())));
            let case = format!("{case} one core, the whole process");
            Row { group, case, unit: "Mpps", subject, peer: Some(peer), bar }
        };
        let [tcpflow_bar, tshark_bar] = bars;
        let tcpflow = self.tcpflow(contents).map(|runs| Spread::of(runs.into_iter().map(rate)));
        let tshark = figure("tshark -z follow", self.tshark(contents));
        [
            row(figure("tcpflow, from frames without padding", tcpflow), tcpflow_bar),
            row(tshark, tshark_bar),
        ]
    }

    /// The durations of two runs in seconds.
    fn tcpflow(&self, contents: Contents) -> Result<Vec<f64>, Unavailable> {
        let tcpflow = peer::installed("tcpflow", "tcpflow")?;
        let mut seconds = Vec::new();
        for _ in 0..2 {
            let folder = self.output.join("tcpflow");
            let [file, out] =
                [&self.unpadded, &folder].map(|path| path.to_string_lossy().into_owned());
            // At most as many files are open at a time as there are connections.
            let place = Place { namespace: None, cpu: Some(0) };
            let took = tcpflow.time(place, &["-q", "-f", "9000", "-o", &out, "-r", &file])?;
            let found = hash_files(&folder)
                .map_err(|error| Unavailable::because("tcpflow's files cannot be read", &error))?;
            if found != contents.hash {
                return Err(Unavailable::saying("its bytes are not ours"));
            }
            fs::remove_dir_all(&folder).map_err(|error| {
                Unavailable::because("tcpflow's files cannot be removed", &error)
            })?;
            seconds.push(took.as_secs_f64());
        }
        Ok(seconds)
    }

    fn tshark(&self, contents: Contents) -> Result<Spread, Unavailable> {
        let tshark = peer::installed("tshark", "tshark")?;
        let file = self.capture.to_string_lossy().into_owned();
        let count = TSHARK_PACKETS.min(contents.packets);
        let place = Place { namespace: None, cpu: Some(0) };
        let took = tshark.time(
            place,
            &["-n", "-q", "-z", "follow,tcp,raw,0", "-c", &count.to_string(), "-r", &file],
        )?;
        Ok(Spread::single(count as f64 / took.as_secs_f64() / 1e6))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for folder in [&self.folder, &self.output] {
            // Nothing depends on the removal.
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// The hash of a folder of streams. The report that tcpflow writes there is left out.
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
