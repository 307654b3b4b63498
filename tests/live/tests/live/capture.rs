//! `ringtap capture`: the interfaces in its files, as Wireshark's tools report them.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, ErrorKind, Read as _},
    net::UdpSocket,
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use capture_file::CaptureFile;
use live::{Folder, PATIENCE, ringtap};
use live_harness::{Missing, Result, none_dropped, program};
use netns::{Namespace, Process};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use ring_core::{Next, PacketBatch as _, PacketSource as _, Timeout};

/// The interfaces of a file by `capinfos`: the name of each, its number of packets and its number
/// of statistics blocks.
fn interfaces(file: &Path) -> Result<Vec<(String, u64, u64)>> {
    let mut command = Command::new(program("capinfos", "tshark")?);
    let output = command.arg("-I").arg(file).stderr(Stdio::null()).output()?;
    let text = String::from_utf8(output.stdout)?;
    let mut found = Vec::new();
    for interface in text.split("Interface #").skip(1) {
        let field = |name: &str| {
            let mut lines = interface.lines().filter_map(|line| line.trim().split_once(" = "));
            lines.find(|line| line.0 == name).map(|line| line.1.to_owned())
        };
        let number = |name| -> Result<u64> { Ok(field(name).ok_or("no number")?.parse()?) };
        let name = field("Name").unwrap_or_default();
        found.push((name, number("Number of packets")?, number("Number of stat entries")?));
    }
    Ok(found)
}

/// Runs the command, which ends on its own, while datagrams are sent to each of these addresses
/// from time to time.
fn run(host: &Namespace, arguments: &[&str], file: &Path, addresses: &[&str]) -> Result {
    let socket = host.run(|| UdpSocket::bind("0.0.0.0:0"))??;
    let mut command = Command::new(ringtap()?);
    command.arg("capture").args(arguments).arg("-w").arg(file).stderr(Stdio::null());
    let mut process = host.spawn(&mut command)?;
    let child: &mut Child = process.child();
    for _ in 0..600 {
        if let Some(status) = child.try_wait()? {
            assert!(status.success(), "{status}");
            return Ok(());
        }
        for address in addresses {
            socket.send_to(b"a datagram", (*address, 9))?;
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err("the command does not end".into())
}

/// Checks that interfaces have their names, and that the totals, which are of all interfaces
/// together, are present.
pub(crate) fn files_name_the_interfaces_of_any() -> Result {
    let (host, other) = (Namespace::new()?, Namespace::new()?);
    let (near, far) = host.veth_to(&other, "near0", "far0")?;
    for link in [&near, &far] {
        link.up()?;
    }
    near.add_address("10.8.0.1/24".parse()?)?;
    far.add_address("10.8.0.2/24".parse()?)?;
    near.wait_until_running(PATIENCE)?;
    let folder = Folder::new()?;
    let file = folder.join("any.pcapng");
    run(&host, &["-i", "any", "-c", "20", "udp port 9"], &file, &["127.0.0.1"])?;
    assert_eq!(interfaces(&file)?, [("lo".to_owned(), 20, 1)]);
    let addresses = ["127.0.0.1", "10.8.0.2"];
    run(&host, &["-i", "any", "-c", "20", "udp port 9"], &file, &addresses)?;
    let mut found = interfaces(&file)?;
    found.sort();
    let names: Vec<_> = found.iter().map(|interface| &interface.0[..]).collect();
    assert_eq!(names, ["lo", "near0"]);
    assert_eq!(found.iter().map(|interface| interface.1).sum::<u64>(), 20);
    assert_eq!(found.iter().map(|interface| interface.2).sum::<u64>(), 1);
    Ok(())
}

/// Checks that each of several files contains the totals so far, not only the last.
pub(crate) fn every_file_has_the_totals() -> Result {
    let host = Namespace::new()?;
    let folder = Folder::new()?;
    let file = folder.join("one.pcapng");
    run(&host, &["-i", "lo", "-G", "1", "-c", "50"], &file, &["127.0.0.1"])?;
    let mut packets = 0;
    for name in ["one.pcapng", "one.pcapng1"] {
        let found = interfaces(&folder.join(name))?;
        let [(interface, count, totals)] = &found[..] else { panic!("{name}: {found:?}") };
        assert_eq!((&interface[..], *totals), ("lo", 1), "{name}");
        packets += count;
    }
    assert!(packets > 10, "{packets}");
    Ok(())
}

/// Checks that packets in the ring are written when the capture is interrupted.
pub(crate) fn what_came_before_an_interrupt_is_written() -> Result {
    const DATAGRAMS: u64 = 1000;
    let host = Namespace::new()?;
    let folder = Folder::new()?;
    let file = folder.join("all.pcapng");
    let socket = host.run(|| UdpSocket::bind("127.0.0.1:0"))??;
    let mut command = Command::new(ringtap()?);
    command.args(["capture", "-i", "lo", "udp port 9", "-w"]).arg(&file).stderr(Stdio::null());
    let mut process = host.spawn(&mut command)?;
    // The file exists once the capture does.
    let asked = Instant::now();
    while interfaces(&file).is_ok_and(|found| found.is_empty()) {
        assert!(asked.elapsed() < PATIENCE, "no file");
        thread::sleep(Duration::from_millis(10));
    }
    for _ in 0..DATAGRAMS {
        socket.send_to(b"a datagram", "127.0.0.1:9")?;
    }
    let child = process.child();
    kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGINT)?;
    let status = child.wait()?;
    assert!(status.success(), "{status}");
    assert_eq!(interfaces(&file)?, [("lo".to_owned(), DATAGRAMS, 1)]);
    Ok(())
}

/// Runs a program on a host. Returns its output if it succeeds.
fn on(
    host: &Namespace,
    name: &'static str,
    package: &'static str,
    arguments: &[&str],
) -> Result<String> {
    let mut command = Command::new(program(name, package)?);
    let mut process = host.spawn(command.args(arguments).stdout(Stdio::piped()))?;
    let mut text = String::new();
    process.child().stdout.take().ok_or("no pipe")?.read_to_string(&mut text)?;
    let status = process.child().wait()?;
    if status.success() { Ok(text) } else { Err(format!("{name} {arguments:?}: {status}").into()) }
}

/// Checks that tcpdump and tshark can read Ethernet and raw IP in one file to its end, and a file
/// without packets.
pub(crate) fn every_mixture_of_any_is_readable() -> Result {
    let (host, other) = (Namespace::new()?, Namespace::new()?);
    let (near, far) = host.veth_to(&other, "near0", "far0")?;
    for link in [&near, &far] {
        link.up()?;
    }
    near.add_address("10.8.0.1/24".parse()?)?;
    far.add_address("10.8.0.2/24".parse()?)?;
    near.wait_until_running(PATIENCE)?;
    let ip = |words: &str| on(&host, "ip", "iproute2", &words.split(' ').collect::<Vec<_>>());
    // A tun device has a carrier while a process has it open; TUNSETIFF with IFF_TUN and IFF_NO_PI.
    if let Err(error) = File::options().read(true).write(true).open("/dev/net/tun")
        && error.kind() == ErrorKind::PermissionDenied
    {
        let privilege = "the right to open /dev/net/tun";
        return Err(Missing::Privilege { what: "making a tun device", privilege }.into());
    }
    let open = "import fcntl, os, struct, time; fd = os.open('/dev/net/tun', os.O_RDWR); \
                fcntl.ioctl(fd, 0x400454ca, struct.pack('16sH14x', b'tunnel0', 0x1001)); time.sleep(600)";
    let _tunnel = host.spawn(Command::new(program("python3", "python3")?).args(["-c", open]))?;
    let asked = Instant::now();
    while host.link("tunnel0").is_err() {
        assert!(asked.elapsed() < PATIENCE, "no tun device");
        thread::sleep(Duration::from_millis(20));
    }
    ip("addr add 10.9.0.1/24 dev tunnel0")?;
    ip("link set tunnel0 up")?;
    let folder = Folder::new()?;
    let addresses: [&[&str]; 3] =
        [&["127.0.0.1", "10.8.0.2", "10.9.0.2"], &["10.9.0.2"], &["10.9.0.2", "127.0.0.1"]];
    for (number, addresses) in addresses.into_iter().enumerate() {
        for name in ["mixed.pcap", "mixed.pcapng"] {
            let file = folder.join(format!("{number}{name}"));
            run(&host, &["-i", "any", "-c", "20", "udp port 9"], &file, addresses)?;
            let path = file.to_str().ok_or("a path")?;
            let text = on(&host, "tcpdump", "tcpdump", &["-n", "-r", path])?;
            assert_eq!(text.lines().count(), 20, "{name}: {text}");
            assert!(text.lines().all(|line| line.contains(".9: ")), "{name}: {text}");
            let text =
                on(&host, "tshark", "tshark", &["-n", "-r", path, "-Y", "udp.dstport == 9"])?;
            assert_eq!(text.lines().count(), 20, "{name}: {text}");
        }
    }
    for name in ["none.pcap", "none.pcapng"] {
        let file = folder.join(name);
        let mut command = Command::new(ringtap()?);
        command.args(["capture", "-i", "any", "-w"]).arg(&file).arg("udp port 10");
        let mut capture = Capturing::start(&host, &mut command)?;
        capture.end()?;
        on(&host, "tcpdump", "tcpdump", &["-r", file.to_str().ok_or("a path")?])?;
    }
    Ok(())
}

/// A running capture that has reported its start.
pub(crate) struct Capturing {
    pub(crate) process: Process,
    pub(crate) errors: BufReader<ChildStderr>,
    /// The output before the report of the start.
    pub(crate) said: String,
}

impl Capturing {
    pub(crate) fn start(host: &Namespace, command: &mut Command) -> Result<Self> {
        let mut process = host.spawn(command.stderr(Stdio::piped()))?;
        let mut errors = BufReader::new(process.child().stderr.take().ok_or("no pipe")?);
        let mut said = String::new();
        while !said.contains(": listening") {
            assert!(errors.read_line(&mut said)? > 0, "it ends: {said}");
        }
        Ok(Self { process, errors, said })
    }

    /// Sends SIGINT. Returns the final output, which must appear within two seconds (more on a busy
    /// machine).
    pub(crate) fn end(&mut self) -> Result<String> {
        let since = Instant::now();
        kill(Pid::from_raw(i32::try_from(self.process.child().id())?), Signal::SIGINT)?;
        let mut said = String::new();
        self.errors.read_to_string(&mut said)?;
        let status = self.process.child().wait()?;
        assert!(status.success(), "{status}: {said}");
        assert!(since.elapsed() < Duration::from_millis(3500), "{:?}", since.elapsed());
        Ok(said)
    }
}

/// Checks that `-G 1 -W 2` creates two files and ends even if there are no packets.
pub(crate) fn intervals_end_on_a_silent_wire() -> Result {
    let host = Namespace::new()?;
    let folder = Folder::new()?;
    let mut command = Command::new(ringtap()?);
    command.args(["capture", "-i", "lo", "-G", "1", "-W", "2", "-w"]).arg(folder.join("x.pcap"));
    let started = Instant::now();
    let status = host.spawn(command.stderr(Stdio::null()))?.child().wait()?;
    assert!(status.success(), "{status}");
    assert!((1900..6000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    for (name, there) in [("x.pcap", true), ("x.pcap1", true), ("x.pcap2", false)] {
        assert_eq!(folder.join(name).exists(), there, "{name}");
    }
    Ok(())
}

/// Checks that a killed capture leaves all packets older than a second in its file.
pub(crate) fn a_killed_capture_leaves_its_packets() -> Result {
    let host = Namespace::new()?;
    let folder = Folder::new()?;
    let socket = host.run(|| UdpSocket::bind("127.0.0.1:0"))??;
    let (one, many) = (folder.join("one.pcapng"), folder.join("many"));
    for (file, options) in [(&one, &[][..]), (&many, &["-C", "1"])] {
        let mut command = Command::new(ringtap()?);
        command.args(["capture", "-i", "lo", "udp port 9"]).args(options).arg("-w").arg(file);
        let mut capture = Capturing::start(&host, &mut command)?;
        for _ in 0..20 {
            socket.send_to(b"a datagram", "127.0.0.1:9")?;
        }
        // No further packet arrives that would flush them.
        thread::sleep(Duration::from_millis(1500));
        capture.process.child().kill()?;
        capture.process.child().wait()?;
        assert_eq!(interfaces(file)?, [("lo".to_owned(), 20, 0)]);
    }
    Ok(())
}

pub(crate) fn a_signal_at_any_moment() -> Result {
    at_any_moment(&[])
}

pub(crate) fn a_signal_at_any_moment_unbuffered() -> Result {
    at_any_moment(&["-U"])
}

pub(crate) fn a_signal_at_any_moment_with_rotation() -> Result {
    at_any_moment(&["-C", "1"])
}

/// Checks that a signal at any moment loses no packet from before it.
fn at_any_moment(options: &[&str]) -> Result {
    let moments = std::env::var("RINGTAP_MOMENTS").map_or(Ok(4), |text| text.parse::<u32>())?;
    let host = Namespace::new()?;
    let folder = Folder::new()?;
    let socket = host.run(|| UdpSocket::bind("127.0.0.1:0"))??;
    for moment in 0..moments {
        let file = folder.join(format!("{moment}.pcap"));
        let mut command = Command::new(ringtap()?);
        command.args(["capture", "-i", "lo", "udp port 9"]).args(options).arg("-w").arg(&file);
        let mut capture = Capturing::start(&host, &mut command)?;
        // The moments cover several blocks of the ring and the interval of a flush.
        let until = Instant::now() + Duration::from_millis(u64::from(moment * 337 % 1300));
        let mut sent = 0_u64;
        while sent < 10 || Instant::now() < until {
            socket.send_to(&sent.to_be_bytes(), "127.0.0.1:9")?;
            sent += 1;
            if sent.is_multiple_of(64) {
                thread::sleep(Duration::from_millis(1));
            }
        }
        let said = capture.end()?;
        none_dropped(dropped(&said)?)?;
        let mut numbers = Vec::new();
        // The first of several files has no number.
        for count in [String::new()].into_iter().chain((1..).map(|count| count.to_string())) {
            let path = file.with_extension(format!("pcap{count}"));
            if !path.exists() {
                break;
            }
            let mut source = CaptureFile::open(path)?;
            while let Next::Batch(batch) = source.next_batch(Timeout::Never)? {
                // After the headers of Ethernet, IPv4 and UDP.
                numbers.extend(batch.packets().map(|packet| packet.data()[42..50].to_vec()));
            }
        }
        let expected: Vec<_> = (0..sent).map(|number| number.to_be_bytes().to_vec()).collect();
        assert!(numbers == expected, "{} of {sent} packets", numbers.len());
    }
    Ok(())
}

/// The number of packets that the kernel dropped, from the command's final output.
pub(crate) fn dropped(said: &str) -> Result<u64> {
    let line = said.lines().find_map(|line| line.strip_suffix(" dropped by kernel"));
    Ok(line.and_then(|line| line.split(' ').next()).ok_or("no word of drops")?.parse()?)
}

/// Checks that an interface that is down is named, unless waiting for it was requested.
pub(crate) fn an_interface_that_is_down_is_named() -> Result {
    let (host, other) = (Namespace::new()?, Namespace::new()?);
    let _ends = host.veth_to(&other, "down0", "far0")?;
    for (option, says) in [(None, true), (Some("--wait"), false)] {
        for command in ["capture", "follow", "flows"] {
            let mut program = Command::new(ringtap()?);
            program.args([command, "-i", "down0"]).args(option).stdout(Stdio::null());
            let mut capture = Capturing::start(&host, &mut program)?;
            assert_eq!(capture.said.contains("down0 is down"), says, "{}", capture.said);
            capture.end()?;
        }
    }
    Ok(())
}

/// Checks that drops are reported immediately, with a remedy, when nobody reads a small ring.
pub(crate) fn drops_are_announced_with_their_cure() -> Result {
    let host = Namespace::new()?;
    let socket = host.run(|| UdpSocket::bind("127.0.0.1:0"))??;
    let mut command = Command::new(ringtap()?);
    command.args(["capture", "-i", "lo", "-B", "256", "-s", "0", "-w", "-", "udp port 9"]);
    let mut capture = Capturing::start(&host, command.stdout(Stdio::piped()))?;
    // Four times the capacity of ring, buffer and pipe.
    for _ in 0..4000 {
        socket.send_to(&[b'x'; 1000], "127.0.0.1:9")?;
    }
    thread::sleep(Duration::from_millis(1200));
    let mut output = capture.process.child().stdout.take().ok_or("no pipe")?;
    let reader = thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    let mut said = String::new();
    capture.errors.read_line(&mut said)?;
    assert!(said.contains("warning: the kernel dropped ") && said.contains("-B 1024"), "{said}");
    let end = capture.end()?;
    assert!(!end.contains("warning") && !end.contains("\n0 packets dropped"), "{end}");
    reader.join().map_err(|_| "the reader failed")??;
    Ok(())
}
