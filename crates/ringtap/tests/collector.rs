//! Flows as nfdump finds them, from a collector that nfcapd is.

mod folder;
mod packets;

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use folder::Folder;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use packets::{ACK, Host::Client, Host::Server, Packets};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The time in which nfcapd takes what lies in its socket.
const TAKE: Duration = Duration::from_millis(500);

/// A collector, stopped when it is dropped.
struct Collector {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl Drop for Collector {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Collector {
    /// Starts nfcapd; `None` if it is not installed.
    fn start(folder: &Folder) -> Result<Option<Self>> {
        // A port that was free a moment ago.
        let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new("nfcapd");
        command.args(["-b", "127.0.0.1", "-t", "3600", "-p", &port.to_string(), "-w"]);
        command.arg(&folder.0).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if env::var_os("RINGTAP_REQUIRE_LIVE").is_some_and(|value| value == "1") {
                    return Err("nfcapd is not installed: apt-get install nfdump".into());
                }
                eprintln!("skipped: nfcapd is not installed (apt-get install nfdump)");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let stdout = child.stdout.take().ok_or("no output")?;
        let collector = Self { child, lines: BufReader::new(stdout).lines(), port };
        // It prints nothing to a pipe until its end, so look at its socket.
        for _ in 0..200 {
            let sockets = fs::read_to_string("/proc/net/udp")?;
            if sockets.contains(&format!("0100007F:{port:04X} ")) {
                return Ok(Some(collector));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err("nfcapd does not listen".into())
    }

    /// Ends it, and returns its last counts.
    fn stop(mut self) -> Result<String> {
        thread::sleep(TAKE);
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM)?;
        let mut text: Vec<String> = self.lines.by_ref().collect::<std::io::Result<_>>()?;
        if let Some(stderr) = self.child.stderr.take() {
            text.extend(BufReader::new(stderr).lines().collect::<std::io::Result<Vec<_>>>()?);
        }
        Ok(text.join("\n"))
    }
}

/// The lines that nfdump prints for the records in the folder.
fn dumped(folder: &Folder, format: &str) -> Result<Vec<String>> {
    let mut command = Command::new("nfdump");
    command.args(["-q", "-N", "-o", &format!("fmt:{format}"), "-R"]).arg(&folder.0);
    let output = command.output()?;
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout)?;
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines: Vec<_> = text.lines().map(words).filter(|line| !line.is_empty()).collect();
    lines.sort();
    Ok(lines)
}

fn judged(test: &str, biflow: bool, format: &str, expected: &[&str]) -> Result {
    let (spool, input) = (Folder::new(test)?, Folder::new(&format!("{test}-input"))?);
    let Some(collector) = Collector::start(&spool)? else { return Ok(()) };
    let packets = Packets::ethernet()
        .handshake()
        .tcp(Client, ACK, 0, 0, b"hello")
        .tcp(Server, ACK, 0, 5, b"hello yourself")
        .close(5, 14)
        .udp(Client, b"question")
        .udp(Server, b"the answer");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    command.arg("flows").arg("--ipfix").arg(format!("udp://127.0.0.1:{}", collector.port));
    if biflow {
        command.arg("--biflow");
    }
    let output = command.arg("--read").arg(packets.write(&input.0)?).output()?;
    assert!(output.status.success(), "{output:?}");
    let log = collector.stop()?;
    assert!(log.contains("Sequence Errors: 0, Bad Packets: 0"), "{log}");
    assert_eq!(dumped(&spool, format)?, expected);
    Ok(())
}

#[test]
fn nfdump_finds_a_record_for_each_direction() -> Result {
    judged(
        "nfdump",
        false,
        "%pr %sap %dap %pkt %byt",
        &[
            "17 192.0.2.10:40000 198.51.100.20:8080 1 36",
            "17 198.51.100.20:8080 192.0.2.10:40000 1 38",
            "6 192.0.2.10:40000 198.51.100.20:8080 5 205",
            "6 198.51.100.20:8080 192.0.2.10:40000 3 134",
        ],
    )
}

#[test]
fn nfdump_finds_a_record_for_both_directions() -> Result {
    judged(
        "nfdump-biflow",
        true,
        "%pr %sap %dap %pkt %byt %opkt %obyt",
        &[
            "17 192.0.2.10:40000 198.51.100.20:8080 1 36 1 38",
            "6 192.0.2.10:40000 198.51.100.20:8080 5 205 3 134",
        ],
    )
}

#[test]
fn the_file_that_is_read_is_not_written() -> Result {
    let folder = Folder::new("ipfix-input")?;
    let file = Packets::ethernet().exchange(b"request", b"response").write(&folder.0)?;
    let before = fs::read(&file)?;
    let link = folder.0.join("link");
    std::os::unix::fs::symlink(&file, &link)?;
    for path in [&file, &link] {
        let output = Command::new(env!("CARGO_BIN_EXE_ringtap"))
            .args(["flows", "-r"])
            .arg(&file)
            .arg(format!("--ipfix=file:{}", path.display()))
            .output()?;
        assert!(!output.status.success());
        let errors = String::from_utf8(output.stderr)?;
        assert!(errors.contains("is the file that is read"), "{errors}");
        assert_eq!(fs::read(&file)?, before);
    }
    Ok(())
}
