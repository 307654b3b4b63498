//! `ringtap capture --where` and `--keep-last` while a thousand transfers run at once: the packets
//! of the few that are asked for, all of them, from the SYN on.

use std::{
    collections::HashSet,
    fmt::Write as _,
    fs,
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use capture_file::CaptureFile;
use live::{Folder, PATIENCE, SERVER, Web, Wire, ringtap};
use live_harness::{Result, none_dropped, program};
use nix::sys::resource::{UsageWho, getrusage};
use ring_core::{Next, PacketBatch as _, PacketSource as _, Timeout};

use crate::capture::{Capturing, dropped};

/// Processes of curl.
const CLIENTS: usize = 4;
/// Transfers of each, half of them over TLS.
const TRANSFERS: usize = 250;
/// Bytes of the page. curl opens all of its connections before it transfers anything.
const PAGE: usize = 20_000;

/// The memory for undecided conversations, by `--undecided-memory`.
const UNDECIDED: &str = "32M";

pub(crate) fn ten_of_a_thousand_conversations() -> Result {
    let wire = Wire::with_plain_frames()?;
    let web = Web::start_with_tls(&wire)?;
    web.offer("page", 1, PAGE)?;
    let folder = Folder::new()?;

    let start = |name: &str, options: &[&str]| -> Result<Capturing> {
        let mut command = Command::new(ringtap()?);
        command
            .args(["capture", "-i", SERVER, "-B", "65536", "tcp", "-w"])
            .arg(folder.join(name))
            .args(options);
        Capturing::start(&wire.server, command.stdout(Stdio::null()))
    };
    let condition = "http.host matches \"^want\" or tls.sni matches \"^want\"";
    let totals = folder.join("totals.json");
    let totals_path = totals.to_str().ok_or("a path")?;
    let chosen_options =
        ["--where", condition, "--undecided-memory", UNDECIDED, "--totals", totals_path];
    let recorder_options =
        ["--keep-last", "60s", "--trigger", "tls.sni == \"want1.example\"", "--keep-after", "1h"];
    let mut all = start("all.pcap", &["--nano"])?;
    let mut chosen = start("chosen.pcap", &[&["--nano"], &chosen_options[..]].concat())?;
    let mut recorder = start("flight.pcap", &[&["--nano"], &recorder_options[..]].concat())?;

    transfer(&wire, &folder)?;
    thread::sleep(Duration::from_millis(1500));
    for capture in [&mut all, &mut chosen] {
        none_dropped(dropped(&capture.end()?)?)?;
    }
    let memory = peak()?;
    // What was triggered is on the disk, whatever happens to the process.
    recorder.process.child().kill()?;
    recorder.process.child().wait()?;
    let mut said = String::new();
    recorder.errors.read_to_string(&mut said)?;
    none_dropped(u64::from(said.contains("the kernel dropped")))?;

    let totals: serde_json::Value = serde_json::from_slice(&fs::read(totals)?)?;
    let all = folder.join("all.pcap");
    let wanted = frames_of(
        &all,
        "http.host matches \"^want\" or tls.handshake.extensions_server_name matches \"^want\"",
        10,
    )?;
    let everything = packets(&all)?;
    let expected: Vec<_> = wanted.iter().map(|number| everything[number - 1].clone()).collect();
    let got = sorted(packets(&folder.join("chosen.pcap"))?);
    assert!(got == sorted(expected), "{} packets", got.len());

    for (name, expected) in [
        ("selected", 10),
        ("unselected", CLIENTS * TRANSFERS - 10),
        ("undecided_accepted", 0),
        ("undecided_dropped", 0),
        ("disordered", 0),
        ("astray", 0),
    ] {
        assert_eq!(totals[name], expected, "{name}");
    }
    // The ring has 64 MiB; the rest are undecided conversations, the table and the program.
    assert!(memory < 160 << 20, "{memory} bytes");

    let flight = fs::read_dir(folder.path())?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("flight-"))
        })
        .ok_or("no file of the recorder")?;
    // Everything was captured within the time, so the file is the whole capture.
    let (recorded, everything) = (sorted(packets(&flight)?), sorted(everything));
    assert!(recorded == everything, "{} instead of {}", recorded.len(), everything.len());
    Ok(())
}

/// Transfers the page many times at once, ten times from hosts that the test wants.
fn transfer(wire: &Wire, folder: &Folder) -> Result {
    let curl = program("curl", "curl")?;
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let mut lines = String::new();
        for number in 0..TRANSFERS {
            let (scheme, port) = if number % 2 == 0 { ("http", 80) } else { ("https", 443) };
            // Five of each scheme.
            let is_wanted = number < if client == 0 { 4 } else { 2 };
            let name = if is_wanted { "want" } else { "other" };
            let host = format!("{name}{}.example", client * TRANSFERS + number);
            writeln!(lines, "url = \"{scheme}://{host}/page\"\noutput = \"/dev/null\"")?;
            writeln!(lines, "resolve = \"{host}:{port}:10.7.0.1\"")?;
        }
        let file = folder.join(format!("client{client}"));
        fs::write(&file, lines)?;
        let mut command = Command::new(&curl);
        command.args(["--silent", "--show-error", "--fail", "--insecure", "--noproxy", "*"]);
        command.args(["--http1.1", "--parallel", "--parallel-immediate", "--parallel-max", "300"]);
        command.arg("--config").arg(&file).stderr(Stdio::null());
        clients.push(wire.client.spawn(command.stdin(Stdio::null()))?);
    }
    for mut client in clients {
        let status = client.wait_for(4 * PATIENCE)?;
        assert!(status.is_some_and(|status| status.success()), "curl: {status:?}");
    }
    Ok(())
}

/// The frames of the conversations in which a packet meets this filter of tshark.
fn frames_of(file: &Path, filter: &str, conversations: usize) -> Result<Vec<usize>> {
    let tshark = |filter: &str, field: &str| -> Result<Vec<usize>> {
        let mut command = Command::new(program("tshark", "tshark")?);
        command.args(["-n", "-r"]).arg(file).args(["-Y", filter, "-T", "fields", "-e", field]);
        let output = command.stderr(Stdio::null()).output()?;
        let text = String::from_utf8(output.stdout)?;
        Ok(text.lines().map(str::parse).collect::<std::result::Result<_, _>>()?)
    };
    let streams: HashSet<_> = tshark(filter, "tcp.stream")?.into_iter().collect();
    assert_eq!(streams.len(), conversations);
    let streams: Vec<_> = streams.iter().map(usize::to_string).collect();
    tshark(&format!("tcp.stream in {{{}}}", streams.join(",")), "frame.number")
}

/// The bytes of each packet. Two processors may hand packets to two sockets in different orders.
fn packets(file: &Path) -> Result<Vec<Vec<u8>>> {
    let (mut source, mut packets) = (CaptureFile::open(file)?, Vec::new());
    while let Next::Batch(batch) = source.next_batch(Timeout::Never)? {
        packets.extend(batch.packets().map(|packet| packet.data().to_vec()));
    }
    Ok(packets)
}

fn sorted(mut packets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    packets.sort();
    packets
}

/// The largest resident memory of a process that has ended and that this one has started, in bytes.
fn peak() -> Result<usize> {
    Ok(usize::try_from(getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss())? << 10)
}
