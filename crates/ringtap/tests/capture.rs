//! `ringtap capture` on files: what of a file comes to lie in the next.

mod folder;
mod packets;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use capture_file::{CaptureFile, CaptureWriter, FileInterface, InterfaceDescription};
use ring_core::{
    LinkType, Next, Packet, PacketBatch as _, PacketMeta, PacketSource as _, Statistics, Timeout,
    Timestamp,
};

use folder::Folder;
use packets::Host::Client;
use packets::{ACK, Packets};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Runs `ringtap capture -r FROM -w TO` with these further arguments.
fn copy(from: &Path, to: &Path, arguments: &[&str]) -> Result {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    let output =
        command.args(["capture", "-r"]).arg(from).arg("-w").arg(to).args(arguments).output()?;
    assert!(output.status.success(), "{output:?}");
    Ok(())
}

/// The interfaces of a file, and the interface of each packet.
fn read(file: &Path) -> Result<(Vec<FileInterface>, Vec<u32>)> {
    let (mut source, mut packets) = (CaptureFile::open(file)?, Vec::new());
    while let Next::Batch(batch) = source.next_batch(Timeout::Never)? {
        assert_eq!(batch.interfaces().len(), 3, "described before the packets");
        packets.extend(batch.packets().map(|packet| packet.meta().interface));
    }
    Ok((source.interfaces().to_vec(), packets))
}

/// The number of interfaces that a file describes so far.
fn described(file: &Path) -> Option<usize> {
    let mut source = CaptureFile::open(file).ok()?;
    while let Next::Batch(_) = source.next_batch(Timeout::Never).ok()? {}
    Some(source.interfaces().len())
}

/// Three interfaces, the first without packets; those of the others come in turn.
fn write(file: &Path) -> Result {
    let mut writer = CaptureWriter::create(file)?;
    let interfaces =
        [("eth7", LinkType::ETHERNET), ("any", LinkType::LINUX_SLL), ("lo", LinkType::ETHERNET)];
    for (source, (name, link_type)) in (0..).zip(interfaces) {
        writer.add_interface(source, InterfaceDescription::new(link_type).name(name))?;
        let mut totals = Statistics::default();
        (totals.packets, totals.drops) = (100, 10 + u64::from(source));
        writer.set_statistics(source, &totals, Timestamp::from_nanos(9));
    }
    for number in 0..1000 {
        let source = [2, 1][number % 2];
        let (_, link_type) = interfaces[source];
        let mut meta = PacketMeta::new(0, Timestamp::from_nanos(number as u64), link_type);
        meta.interface = source as u32;
        writer.write(&Packet::with_meta(&[0; 60], meta))?;
    }
    writer.finish()?;
    Ok(())
}

#[test]
fn interfaces_stay_what_they_were() -> Result {
    let folder = Folder::new("interfaces")?;
    let [from, to] = ["from.pcapng", "to.pcapng"].map(|name| folder.0.join(name));
    write(&from)?;
    let expected = read(&from)?;
    copy(&from, &to, &[])?;
    assert_eq!(read(&to)?, expected);
    copy(&from, &to, &["-c", "3"])?;
    assert_eq!(read(&to)?.1, [2, 1, 2]);
    // In files that may become several, too.
    copy(&from, &to, &["-C", "1"])?;
    assert_eq!(read(&to)?, expected);
    Ok(())
}

#[test]
fn a_file_without_packets_has_its_interfaces() -> Result {
    let folder = Folder::new("none")?;
    let [from, to] = ["from.pcapng", "to.pcapng"].map(|name| folder.0.join(name));
    write(&from)?;
    copy(&from, &to, &["greater 61"])?;
    let (interfaces, packets) = read(&to)?;
    assert_eq!((interfaces, packets), (read(&from)?.0, vec![]));
    Ok(())
}

#[test]
fn pcap_asks_for_the_link_types_of_packets_alone() -> Result {
    let folder = Folder::new("pcap")?;
    let [from, to] = ["from.pcapng", "to.pcap"].map(|name| folder.0.join(name));
    write(&from)?;
    copy(&from, &to, &["-c", "1"])?;
    let mut source = CaptureFile::open(&to)?;
    assert!(matches!(source.next_batch(Timeout::Never)?, Next::Batch(batch) if batch.len() == 1));
    assert_eq!(source.interfaces()[0].link_type, LinkType::ETHERNET);
    Ok(())
}

#[test]
fn what_came_through_a_pipe_before_an_interrupt_is_written() -> Result {
    let folder = Folder::new("pipe")?;
    let [all, from, to] = ["all.pcapng", "from.pcapng", "to.pcapng"].map(|n| folder.0.join(n));
    write(&all)?;
    copy(&all, &from, &["-c", "3"])?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    command.args(["capture", "-r", "-", "-w"]).arg(&to).stdin(Stdio::piped());
    let mut child = command.spawn()?;
    // The pipe stays open.
    child.stdin.as_mut().ok_or("no pipe")?.write_all(&fs::read(&from)?)?;
    let asked = Instant::now();
    while described(&to) != Some(3) {
        assert!(asked.elapsed() < Duration::from_secs(30), "nothing was read");
        thread::sleep(Duration::from_millis(5));
    }
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status()?.success());
    assert!(child.wait()?.success());
    assert_eq!(read(&to)?, read(&from)?);
    Ok(())
}

#[test]
fn the_input_is_never_the_output() -> Result {
    let folder = Folder::new("same")?;
    let at = |name: &str| folder.0.join(name);
    write(&at("from.pcapng"))?;
    let bytes = fs::read(at("from.pcapng"))?;
    symlink(at("from.pcapng"), at("symbolic.pcapng"))?;
    fs::hard_link(at("from.pcapng"), at("hard.pcapng"))?;
    let descriptor = Path::new("/dev/fd/0").to_owned();
    let names = ["from.pcapng", "symbolic.pcapng", "hard.pcapng"].map(at);
    for to in names.iter().chain([&descriptor]) {
        let stdin = File::options().read(true).write(true).open(at("from.pcapng"))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
        let command = command.args(["capture", "-r"]).arg(at("from.pcapng")).arg("-w").arg(to);
        refuses(command.stdin(stdin))?;
        assert!(fs::read(at("from.pcapng"))? == bytes, "{to:?} has changed it");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    let appended = File::options().append(true).open(at("from.pcapng"))?;
    let stdin = File::open(at("hard.pcapng"))?;
    command.args(["capture", "-r", "-", "-w", "-"]).stdin(stdin).stdout(appended);
    refuses(&mut command)?;
    // Text that a shell appends to the file that is read.
    for name in ["capture", "follow", "flows"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
        let appended = File::options().append(true).open(at("symbolic.pcapng"))?;
        refuses(command.args([name, "-r"]).arg(at("from.pcapng")).stdout(appended))?;
        assert!(fs::read(at("from.pcapng"))? == bytes, "{name} has changed it");
    }
    Ok(())
}

/// The command ends with an error that says that the file would be lost.
fn refuses(command: &mut Command) -> Result {
    let output = command.stderr(Stdio::piped()).spawn()?.wait_with_output()?;
    let errors = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("is the file that is read"), "{errors}");
    Ok(())
}

/// Runs `ringtap capture -r FROM -w TO` with these further arguments; what it says, if that is a
/// failure.
fn try_copy(from: &Path, to: &Path, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    let output =
        command.args(["capture", "-r"]).arg(from).arg("-w").arg(to).args(arguments).output()?;
    Ok((output.status.code(), String::from_utf8(output.stderr)?))
}

/// The seconds of each packet of a file.
fn seconds(file: &Path) -> Result<Vec<u64>> {
    let (mut source, mut seconds) = (CaptureFile::open(file)?, Vec::new());
    while let Next::Batch(batch) = source.next_batch(Timeout::Never)? {
        seconds.extend(batch.packets().map(|packet| packet.timestamp().seconds()));
    }
    Ok(seconds)
}

#[test]
fn rotation_means_what_it_means_in_tcpdump() -> Result {
    let folder = Folder::new("rotation")?;
    let at = |name: &str| folder.0.join(name);
    let mut writer = CaptureWriter::create(at("from.pcapng"))?;
    for second in 100..160 {
        let meta = PacketMeta::new(0, Timestamp::from_parts(second, 0), LinkType::ETHERNET);
        writer.write(&Packet::with_meta(&[0; 60], meta))?;
    }
    writer.finish()?;
    // A number of intervals, then the end; earlier files stay, whatever the name.
    let name = at("a.pcap");
    assert_eq!(try_copy(&at("from.pcapng"), &name, &["-G", "20", "-W", "2"])?.0, Some(0));
    assert_eq!(seconds(&name)?, (100..120).collect::<Vec<_>>());
    assert_eq!(seconds(&at("a.pcap1"))?, (120..140).collect::<Vec<_>>());
    assert!(!at("a.pcap2").exists());
    assert_eq!(try_copy(&at("from.pcapng"), &at("t-%s"), &["-G", "20", "-W", "1"])?.0, Some(0));
    assert_eq!(seconds(&at("t-100"))?.len(), 20);
    assert!(!at("t-120").exists());
    // Without a size or an interval there is nothing to count.
    assert_eq!(try_copy(&at("from.pcapng"), &at("b.pcap"), &["-W", "3"])?.0, Some(0));
    assert_eq!(seconds(&at("b.pcap"))?.len(), 60);
    // With both, the count is for the digits of the names.
    let both = ["-C", "1", "-G", "30", "-W", "20"];
    assert_eq!(try_copy(&at("from.pcapng"), &at("c-%s-"), &both)?.0, Some(0));
    assert_eq!(seconds(&at("c-100-00"))?, (100..130).collect::<Vec<_>>());
    assert_eq!(seconds(&at("c-130-00"))?, (130..160).collect::<Vec<_>>());
    for wrong in [["-G", "0"], ["-C", "0"], ["-W", "0"], ["-c", "0"]] {
        assert_eq!(try_copy(&at("from.pcapng"), &at("d.pcap"), &wrong)?.0, Some(2), "{wrong:?}");
    }
    Ok(())
}

#[test]
fn link_types_are_made_one_on_request() -> Result {
    let folder = Folder::new("cooked")?;
    let [from, pcap, pcapng] =
        ["from.pcapng", "to.pcap", "to.pcapng"].map(|name| folder.0.join(name));
    write(&from)?;
    let (code, errors) = try_copy(&from, &pcap, &[])?;
    assert_eq!(code, Some(1), "two link types in a pcap file: {errors}");
    for to in [&pcap, &pcapng] {
        copy(&from, to, &["-y", "linux_sll2"])?;
        let mut source = CaptureFile::open(to)?;
        let mut packets = 0;
        while let Next::Batch(batch) = source.next_batch(Timeout::Never)? {
            packets += batch.packets().filter(|p| p.link_type() == LinkType::LINUX_SLL2).count();
        }
        assert_eq!(packets, 1000);
        assert!(source.interfaces().iter().all(|found| found.link_type == LinkType::LINUX_SLL2));
    }
    let (code, errors) = try_copy(&from, &pcap, &["-y", "EN10MB"])?;
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("LINUX_SLL2"), "{errors}");
    Ok(())
}

/// The output of `ringtap capture` for a file.
fn printed(file: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    command.args(["capture", "--utc", "-r"]).arg(file).args(arguments).env("TZ", "XYZ-05:30");
    let output = command.output()?;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn letters_of_tcpdump_print_what_they_print_there() -> Result {
    let folder = Folder::new("letters")?;
    let hidden = b"text\n[1] 22:13:20 forged\x1b[2J";
    let mut packets = Packets::ethernet();
    packets.time += 123_456_789;
    let file = packets.handshake().tcp(Client, ACK, 0, 0, hidden).write(&folder.0)?;
    let line = "IP 192.0.2.10.40000 > 198.51.100.20.8080";
    for (arguments, expected) in [
        (&["-c1"][..], format!("22:13:20.123456 {line}: Flags [S], seq 999, win 65535, length 0")),
        (
            &["-nn", "-l", "-S", "-K", "-c", "1", "-t"],
            format!("{line}: Flags [S], seq 999, win 65535, length 0"),
        ),
        (&["-c1", "-tt", "-q"], format!("1700000000.123456 {line}: tcp 0")),
        (&["-c1", "-ttq", "--nano"], format!("1700000000.123456789 {line}: tcp 0")),
        (&["-c1", "-ttttq"], format!("2023-11-14 22:13:20.123456 {line}: tcp 0")),
        (&["-c1", "-#tq"], format!("    1  {line}: tcp 0")),
        (
            &["-c1", "-tqvv"],
            "IP (ttl 64, id 0, length 40) 192.0.2.10.40000 > 198.51.100.20.8080: tcp 0".to_owned(),
        ),
        (
            &["-c1", "-tqe"],
            format!(
                "02:00:00:00:00:02 > 02:00:00:00:00:01, ethertype 0x0800, length 54: {line}: tcp 0"
            ),
        ),
    ] {
        assert_eq!(printed(&file, arguments)?, format!("{expected}\n"), "{arguments:?}");
    }
    let since = |letters: &str| -> Result<Vec<String>> {
        Ok(printed(&file, &[letters])?.lines().map(|line| line[..16].to_owned()).collect())
    };
    let steps = [" 00:00:00.000000", " 00:00:00.001000", " 00:00:00.001000", " 00:00:00.001000"];
    assert_eq!(since("-ttt")?, steps);
    assert_eq!(since("-ttttt")?[3], " 00:00:00.003000");
    // Bytes are marked, so that none of them can be a line of its own.
    for letters in ["-A", "-x", "-xx", "-X", "-XX"] {
        let text = printed(&file, &["-tq", letters])?;
        let lines = text.lines().filter(|line| !line.starts_with('\t'));
        assert!(lines.clone().all(|line| line.starts_with("IP ")), "{letters}: {text}");
        assert_eq!(lines.count(), 4, "{letters}: {text}");
        assert!(!text.contains('\x1b'), "{letters}: {text:?}");
    }
    let text = printed(&file, &["-tqA"])?;
    assert!(text.ends_with("text\n\t[1] 22:13:20 forged.[2J\n"), "{text}");
    assert!(printed(&file, &["-tqX", "-c1"])?.contains("\n\t0x000000:  4500 0028 0000 4000 4006 "));
    assert!(printed(&file, &["-tqxx", "-c1"])?.contains("\n\t0x000000:  0200 0000 0001 0200 "));
    Ok(())
}

#[test]
fn letters_of_tcpdump_choose_what_they_choose_there() -> Result {
    let folder = Folder::new("choices")?;
    let file = Packets::ethernet().exchange(b"ping", b"pong").write(&folder.0)?;
    let filter = folder.0.join("filter.txt");
    fs::write(&filter, "tcp[tcpflags] & tcp-syn != 0\n")?;
    let filter = filter.to_str().ok_or("no text")?;
    assert_eq!(printed(&file, &["--count", "-F", filter])?, "2 packets\n");
    let to = folder.0.join("to.pcap");
    let name = to.to_str().ok_or("no text")?;
    assert_eq!(printed(&file, &["-w", name, "--print", "-tq", "-c2"])?.lines().count(), 2);
    assert_eq!(seconds(&to)?.len(), 2);
    // The precision of a pcap file is in its magic number.
    for (option, magic) in
        [("--micro", 0xa1b2_c3d4_u32), ("--time-stamp-precision=nano", 0xa1b2_3c4d)]
    {
        printed(&file, &["-w", name, option])?;
        assert_eq!(fs::read(&to)?[..4], magic.to_le_bytes(), "{option}");
    }
    for arguments in [
        &["-Q", "in"][..],
        &["-F", "/nonexistent"],
        &["-F", filter, "tcp"],
        &["-j", "adapter"],
        &["-z", "gzip"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
        let output = command.args(["capture", "-r"]).arg(&file).args(arguments).output()?;
        let errors = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(!errors.contains("use '-- "), "an option is no expression: {errors}");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    let program = String::from_utf8(command.args(["capture", "-ddd", "icmp"]).output()?.stdout)?;
    assert_eq!(program, "6\n40 0 0 12\n21 0 3 2048\n48 0 0 23\n21 0 1 1\n6 0 0 262144\n6 0 0 0\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    let program = String::from_utf8(command.args(["capture", "-dd", "icmp"]).output()?.stdout)?;
    assert!(program.starts_with("{ 0x28, 0, 0, 0x0000000c },\n"), "{program}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    let list = String::from_utf8(command.args(["capture", "-D"]).output()?.stdout)?;
    assert!(list.contains(".lo [") && list.contains(".any ("), "{list}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    let list = String::from_utf8(command.args(["capture", "-L", "-i", "lo"]).output()?.stdout)?;
    assert!(list.contains("\n  EN10MB (Ethernet)\n  LINUX_SLL2 (Linux cooked v2)\n"), "{list}");
    Ok(())
}

#[test]
fn a_program_is_not_printed_for_one_of_several_link_types() -> Result {
    let folder = Folder::new("programs")?;
    let from = folder.0.join("from.pcapng");
    write(&from)?;
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
        command.args(["capture", "-d", "-r"]).arg(&from).args(arguments).output()
    };
    let output = run(&["ip"])?;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{output:?}");
    let said = String::from_utf8(output.stderr)?;
    assert!(said.contains("has packets of EN10MB, LINUX_SLL, and a program for each"), "{said}");
    assert!(run(&["-y", "LINUX_SLL", "ip"])?.status.success());
    Ok(())
}

/// The processor time of the children of this process that have ended, in clock ticks.
fn ticks() -> Result<u64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(") ").next().ok_or("no fields")?.split(' ').skip(13).take(2);
    Ok(fields.map(str::parse::<u64>).sum::<std::result::Result<_, _>>()?)
}

/// Four times as many interfaces cost four times as much, not sixteen times.
#[test]
#[ignore = "compares times, so that nothing else may run beside it"]
fn interfaces_cost_linear_time() -> Result {
    let folder = Folder::new("linear")?;
    let mut costs = Vec::new();
    for count in [16_384, 65_536] {
        let (from, to) = (folder.0.join("from.pcapng"), folder.0.join("to.pcapng"));
        let mut writer = CaptureWriter::create(&from)?;
        for source in 0..count {
            writer.add_interface(source, InterfaceDescription::new(LinkType::ETHERNET))?;
        }
        writer.finish()?;
        let before = ticks()?;
        copy(&from, &to, &[])?;
        costs.push((ticks()? - before).max(1));
    }
    assert!(costs[1] < 10 * costs[0], "{costs:?} ticks");
    Ok(())
}
