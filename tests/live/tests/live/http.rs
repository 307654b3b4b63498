//! curl against nginx.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use live::{CLIENT, Ear, Folder, Follower, Heard, SERVER, Web, Wire};
use live_harness::{Result, none_dropped, program};
use netns::{Namespace, Process};

/// A run of curl with one connection.
pub(crate) struct Curl {
    process: Process,
    requests: String,
    got: PathBuf,
}

impl Curl {
    /// Starts to fetch `names`, one after another. Everything from the server is written to `got`:
    /// heads as well, and chunks with their lengths.
    pub(crate) fn start(
        client: &Namespace,
        host: &str,
        names: &[&str],
        got: PathBuf,
    ) -> Result<Self> {
        let mut command = curl()?;
        command.args(["--include", "--raw"]).stdout(File::create(&got)?);
        let mut requests = String::new();
        for name in names {
            command.arg(format!("http://{host}/{name}"));
            requests += &format!(
                "GET /{name} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: live\r\nAccept: */*\r\n\r\n"
            );
        }
        Ok(Self { process: client.spawn(&mut command)?, requests, got })
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Result<Fetched> {
        let status = self.process.wait()?;
        if !status.success() {
            return Err(format!("curl: {status}").into());
        }
        Ok(Fetched { requests: self.requests, got: self.got })
    }
}

/// The bytes that curl sent and received.
pub(crate) struct Fetched {
    requests: String,
    got: PathBuf,
}

impl Fetched {
    /// Fails unless both directions of the only conversation were captured to the last byte.
    pub(crate) fn is_all_that(&self, heard: &Heard) -> Result {
        none_dropped(heard.drops)?;
        heard.to(80)?.is_all_of(self.requests.as_bytes())?;
        heard.from(80)?.is_all_of(File::open(&self.got)?)
    }

    /// Fails unless both directions were captured, except for gaps that dropped packets explain.
    pub(crate) fn is_what(&self, heard: &Heard) -> Result {
        heard.missed()?;
        heard.to(80)?.is_what_was_captured_of(self.requests.as_bytes())?;
        heard.from(80)?.is_what_was_captured_of(File::open(&self.got)?)
    }

    pub(crate) fn got(&self) -> &Path {
        &self.got
    }
}

fn curl() -> Result<Command> {
    let mut command = Command::new(program("curl", "curl")?);
    command.args([
        "--silent",
        "--show-error",
        "--fail",
        "--http1.1",
        "--globoff",
        "--noproxy",
        "*",
        "-A",
        "live",
    ]);
    Ok(command)
}

pub(crate) fn one_small_file() -> Result {
    let wire = Wire::new()?;
    exactly(&wire, "10.7.0.1", &["small"], |web| web.offer("small", 1, 612))
}

pub(crate) fn one_small_file_over_ipv6() -> Result {
    let wire = Wire::new()?;
    exactly(&wire, "[fd07::1]", &["small"], |web| web.offer("small", 2, 612))
}

pub(crate) fn fifty_megabytes() -> Result {
    large(&Wire::new()?, "10.7.0.1")
}

pub(crate) fn fifty_megabytes_over_ipv6() -> Result {
    large(&Wire::new()?, "[fd07::1]")
}

pub(crate) fn fifty_megabytes_as_frames_of_a_cable() -> Result {
    large(&Wire::with_plain_frames()?, "10.7.0.1")
}

pub(crate) fn many_files_on_one_connection() -> Result {
    let wire = Wire::new()?;
    let names: Vec<_> = (0..20).map(|i| format!("file-{i}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    exactly(&wire, "10.7.0.1", &names, |web| {
        (0..).zip(&names).try_for_each(|(i, name)| web.offer(name, i, 1 << i.min(17)))
    })
}

pub(crate) fn chunks() -> Result {
    let wire = Wire::new()?;
    exactly(&wire, "10.7.0.1", &["chunked/a", "chunked/b"], |web| {
        web.offer_text("chunked/a", 3, 100_000)?;
        web.offer_text("chunked/b", 4, 1_000_000)
    })?;
    Ok(())
}

pub(crate) fn an_upload() -> Result {
    let wire = Wire::new()?;
    let web = Web::start(&wire)?;
    let follower = Follower::start(&wire.server, SERVER)?;
    let sent = upload(&wire, &web, 5, 10_000_000)?;
    let heard = follower.finish(2)?.whole()?;
    heard.to(80)?.is_all_of(File::open(sent)?)
}

/// Uploads `length` bytes with curl. Returns a file of everything that it sent, including the head.
pub(crate) fn upload(wire: &Wire, web: &Web, seed: u64, length: usize) -> Result<PathBuf> {
    web.offer("original", seed, length)?;
    let original = web.path("original");
    let mut command = curl()?;
    command
        .args(["--header", "Expect:", "--upload-file"])
        .arg(&original)
        .arg("http://10.7.0.1/up/copy");
    let status = wire.client.spawn(command.stdout(Stdio::null()))?.wait()?;
    if !status.success() {
        return Err(format!("curl: {status}").into());
    }
    let original = fs::read(original)?;
    assert!(original == fs::read(web.path("up/copy"))?, "nginx got what curl sent");
    let sent = web.path("sent");
    write!(
        File::create(&sent)?,
        "PUT /up/copy HTTP/1.1\r\nHost: 10.7.0.1\r\nUser-Agent: live\r\nAccept: */*\r\nContent-Length: {length}\r\n\r\n"
    )?;
    File::options().append(true).open(&sent)?.write_all(&original)?;
    Ok(sent)
}

/// Fetches files that `offer` creates, while the library listens at the server and the command at
/// the client.
fn fetch(
    wire: &Wire,
    host: &str,
    names: &[&str],
    offer: impl FnOnce(&Web) -> Result,
) -> Result<(Folder, Fetched, [Heard; 2])> {
    let web = Web::start(wire)?;
    offer(&web)?;
    let ear = Ear::open(&wire.server, SERVER)?;
    let follower = Follower::start(&wire.client, CLIENT)?;
    let folder = Folder::new()?;
    let fetched = Curl::start(&wire.client, host, names, folder.join("got"))?.finish()?;
    for name in names.iter().filter(|name| !name.starts_with("chunked")) {
        let content = fs::read(web.path(name))?;
        let got = fs::read(fetched.got())?;
        assert!(names.len() > 1 || got.ends_with(&content), "curl got what nginx has");
    }
    Ok((folder, fetched, [ear.finish(1)?, follower.finish(2)?]))
}

fn exactly(wire: &Wire, host: &str, names: &[&str], offer: impl FnOnce(&Web) -> Result) -> Result {
    let (_folder, fetched, heard) = fetch(wire, host, names, offer)?;
    none_dropped(heard[0].drops)?;
    assert_eq!(heard[0].ends.len(), 1, "{heard:?}");
    assert_eq!(heard[0].ends[0].1, flow::EndReason::Fin);
    heard.iter().try_for_each(|heard| fetched.is_all_that(heard))
}

fn large(wire: &Wire, host: &str) -> Result {
    let (_folder, fetched, heard) =
        fetch(wire, host, &["large"], |web| web.offer("large", 6, 50 << 20))?;
    heard.iter().try_for_each(|heard| fetched.is_what(heard))
}
