//! iperf3.

use std::{
    fs::File,
    io::{Cursor, Read},
    path::Path,
    process::{Command, Stdio},
};

use live::{CLIENT, Folder, Follower, Heard, SERVER, Wire};
use live_harness::{Result, program};

/// The bytes that 100 Mbit/s carry in a minute, in frames of a cable, at the full speed of this
/// machine.
const BYTES: u64 = 750_000_000;

/// The size of the buffer that iperf3 sends repeatedly.
const BUFFER: usize = 128 << 10;

/// More than a socket's buffers hold.
const UNREAD: u64 = 64 << 20;

/// Transfers at the full speed of this machine, captured at both ends.
pub(crate) fn a_minute_of_a_fast_line() -> Result {
    transfer(&[], &[CLIENT, SERVER])
}

/// Transfers at the rate of a gigabit link, captured at one end.
pub(crate) fn a_gigabit_a_second() -> Result {
    transfer(&["--bitrate", "1G"], &[SERVER])
}

/// Runs iperf3. It first sends a name of 37 bytes on each connection. Its client writes all
/// received data to a file.
fn transfer(options: &[&str], links: &[&str]) -> Result {
    let iperf3 = program("iperf3", "iperf3")?;
    let (wire, folder) = (Wire::with_plain_frames()?, Folder::new()?);
    let server = wire.server.spawn(Command::new(&iperf3).arg("-s").stdout(Stdio::null()))?;
    wire.wait_for_server(5201)?;
    let host = |link| if link == CLIENT { &wire.client } else { &wire.server };
    let followers =
        links.iter().map(|link| Follower::start(host(*link), link)).collect::<Result<Vec<_>>>()?;
    let output = wire
        .client
        .spawn(
            Command::new(&iperf3)
                .args(["-c", "10.7.0.1", "--reverse", "--bytes", &BYTES.to_string(), "-J", "-F"])
                .arg(folder.join("got"))
                .args(options)
                .stdout(Stdio::piped()),
        )?
        .output()?;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert!(output.status.success(), "{}", report["error"]);
    drop(server);

    let got = File::open(folder.join("got"))?.metadata()?.len();
    assert!(got >= BYTES, "{got} bytes");
    let rate = report["end"]["sum_received"]["bits_per_second"].as_f64().ok_or("no rate")? / 1e9;
    // A control connection and a data connection, each with both directions except for the data
    // connection.
    for follower in followers {
        let heard = follower.finish(4)?;
        let stream = data(&heard)?;
        println!(
            "{got} bytes at {rate:.2} Gbit/s, {} gaps of {} bytes, {} packets dropped by the kernel",
            stream.gaps.len(),
            heard.missed()?,
            heard.drops
        );
        let missed: u64 = stream.gaps.iter().map(|gap| gap.1).sum();
        stream.is_what_was_captured_of(said(&folder.join("got"), stream.length + missed)?)?;
    }
    Ok(())
}

/// The server's bytes on the data connection, by far the largest stream.
fn data(heard: &Heard) -> Result<&live::Stream> {
    heard.only(|direction| direction.from.port() == 5201 && direction.stream.length > BYTES / 2)
}

/// The server's bytes: everything that the client read, followed, if the stream is longer, by bytes
/// that arrived after the client had enough. Those are known too: the same buffer once more.
fn said(got: &Path, length: u64) -> Result<impl Read> {
    let mut buffer = vec![0; BUFFER];
    File::open(got)?.read_exact(&mut buffer)?;
    let file = File::open(got)?;
    let read = file.metadata()?.len();
    let unread = length.saturating_sub(read);
    assert!(unread < UNREAD, "{unread} bytes more than the client read");
    let from = (read % BUFFER as u64) as usize;
    let rest: Vec<u8> = buffer.iter().cycle().skip(from).take(unread as usize).copied().collect();
    Ok(file.chain(Cursor::new(rest)))
}
