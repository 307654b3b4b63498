//! Files written by this crate, judged by tshark and capinfos.

use std::fs;
use std::io::{self, BufRead as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use capture_file::{
    Annotation, CaptureWriter, Direction, FileFormat, InterfaceDescription, LinkType, Packet,
    PacketMeta, Rotation, Statistics, Timestamp, VlanTag,
};
use live_harness::{Result, program};

live_harness::main!(
    pcapng_is_as_written,
    pcapng_blocks_are_as_written,
    both_pcap_formats_are_as_written,
    rotated_files_are_whole,
    a_writer_that_was_killed_leaves_a_valid_file,
    a_writer_that_is_killed_leaves_all_that_it_flushed,
);

/// An ARP request of 42 bytes, possibly tagged on the wire.
fn arp() -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend([2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
    frame
}

fn meta(nanos: u64, link_type: LinkType) -> PacketMeta {
    let time = Timestamp::from_nanos(1_700_000_000_000_000_000 + nanos);
    PacketMeta::new(1, time, link_type)
}

/// A temporary directory.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        // Each test is process 1 of its own namespace, so the names differ by time.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let path = std::env::temp_dir().join(format!("capture-file-judged-{}", now.as_nanos()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The judge's output, which must contain no complaint.
fn judge(name: &'static str, arguments: &[&str], file: &Path) -> Result<String> {
    let mut command = Command::new(program(name, "tshark")?);
    let command = match name {
        "tshark" => command.args(["-n", "-r"]).arg(file).args(arguments),
        _ => command.args(arguments).arg(file),
    };
    let output = command.output()?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    let complaints: Vec<&str> =
        complaints.lines().filter(|line| !line.contains("Running as user")).collect();
    assert!(output.status.success() && complaints.is_empty(), "{name}: {complaints:?}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Fields of each packet, as tshark prints them.
fn fields(file: &Path, fields: &[&str]) -> Result<Vec<Vec<String>>> {
    let mut arguments = vec!["-T", "fields"];
    fields.iter().for_each(|field| arguments.extend(["-e", field]));
    let table = judge("tshark", &arguments, file)?;
    Ok(table.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

fn write_pcapng(path: &Path) -> Result {
    let mut writer = CaptureWriter::builder()
        .application("capture-file's test")
        .hardware("none")
        .os("Linux")
        .comment("all of it")
        .create(path)?;
    let eth0 = InterfaceDescription::new(LinkType::ETHERNET).name("eth0").snaplen(1500);
    writer.add_interface(7, eth0.filter("arp or vlan").os("Linux 6").hardware("a veth"))?;
    writer.add_interface(9, InterfaceDescription::new(LinkType::RAW).name("tun0"))?;
    let frame = arp();

    let mut first = meta(1, LinkType::ETHERNET);
    first.interface = 7;
    first.direction = Direction::Broadcast;
    writer.write_annotated(
        &Packet::with_meta(&frame, first),
        &Annotation::new().comment("a question"),
    )?;

    let mut tagged = meta(123_456_789, LinkType::ETHERNET);
    tagged.interface = 7;
    tagged.direction = Direction::Outgoing;
    tagged.vlan = Some(VlanTag { tpid: 0x8100, tci: 3 << 13 | 42 });
    writer.write_annotated(&Packet::with_meta(&frame, tagged), &Annotation::new().dropped(5))?;

    let mut raw = meta(999_999_999, LinkType::RAW);
    raw.interface = 9;
    raw.wire_len = 1000;
    let mut ip = vec![0x45, 0, 3, 0xe8, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    ip.extend([0x9c, 0x40, 0x9c, 0x41, 3, 0xd4, 0, 0, b'x']);
    writer.write(&Packet::with_meta(&ip, raw))?;

    let totals = Statistics::default();
    let mut totals = totals;
    totals.packets = 1_000;
    totals.drops = 17;
    writer.set_statistics(7, &totals, meta(2_000_000_000, LinkType::RAW).timestamp);
    writer.finish()?;
    Ok(())
}

fn pcapng_is_as_written() -> Result {
    let folder = Folder::new()?;
    let path = folder.0.join("x.pcapng");
    write_pcapng(&path)?;
    let packets = fields(
        &path,
        &[
            "frame.time_epoch",
            "frame.len",
            "frame.cap_len",
            "frame.interface_id",
            "frame.interface_name",
            "frame.comment",
            "vlan.id",
            "vlan.priority",
            "frame.packet_flags_direction",
            "ip.proto",
        ],
    )?;
    let expected = [
        "1700000000.000000001 42 42 0 eth0 a_question - - 0x00000001 -",
        "1700000000.123456789 46 46 0 eth0 - 42 3 0x00000002 -",
        "1700000000.999999999 1000 29 1 tun0 - - - - 17",
    ];
    let found: Vec<String> = packets
        .iter()
        .map(|fields| {
            let shown = fields.iter().map(|field| match field.as_str() {
                "" => "-".to_owned(),
                field => field.replace(' ', "_"),
            });
            shown.collect::<Vec<_>>().join(" ")
        })
        .collect();
    assert_eq!(found, expected);

    let summary = judge("capinfos", &["-M"], &path)?;
    let told = |label: &str| {
        let line = summary.lines().find(|line| line.trim_start().starts_with(label));
        line.and_then(|line| line.split(['=', ':']).nth(1)).map(|value| value.trim().to_owned())
    };
    for (label, value) in [
        ("File type", "pcapng"),
        ("Number of packets", "3"),
        ("Data size", "1088 bytes"),
        ("Capture application", "capture-file's test"),
        ("Capture hardware", "none"),
        ("Capture oper-sys", "Linux"),
        ("Capture comment", "all of it"),
        ("Number of interfaces in file", "2"),
        ("Name", "eth0"),
        ("Filter string", "arp or vlan"),
        ("Operating system", "Linux 6"),
        ("Hardware", "a veth"),
        ("Time precision", "nanoseconds (9)"),
        ("Number of stat entries", "1"),
    ] {
        assert_eq!(told(label).as_deref(), Some(value), "{label} in\n{summary}");
    }
    Ok(())
}

fn pcapng_blocks_are_as_written() -> Result {
    let folder = Folder::new()?;
    let path = folder.0.join("x.pcapng");
    write_pcapng(&path)?;
    // Dissects the file itself, block by block.
    let blocks = judge("tshark", &["-X", "read_format:MIME Files Format", "-V"], &path)?;
    for line in [
        "Block: Section Header Block",
        "Option: Number of Received Packets = 1000",
        "Option: Number of Dropped Packets = 17",
        "Drop Count: 5",
    ] {
        assert!(blocks.contains(line), "no {line:?} in\n{blocks}");
    }
    for complaint in ["Malformed", "Expert Info (Error", "Expert Info (Warning"] {
        assert!(!blocks.contains(complaint), "{complaint} in\n{blocks}");
    }
    Ok(())
}

fn both_pcap_formats_are_as_written() -> Result {
    let folder = Folder::new()?;
    let path = folder.0.join("x.pcap");
    for (format, kind, time) in [
        (FileFormat::PcapNanoseconds, "nsecpcap", "1700000000.123456789"),
        (FileFormat::PcapMicroseconds, "pcap", "1700000000.123456000"),
    ] {
        let mut writer = CaptureWriter::builder().format(format).create(&path)?;
        let mut tagged = meta(123_456_789, LinkType::ETHERNET);
        tagged.vlan = Some(VlanTag { tpid: 0x88a8, tci: 7 });
        tagged.wire_len = 60;
        writer.write(&Packet::with_meta(&arp(), tagged))?;
        writer.finish()?;
        let packets =
            fields(&path, &["frame.time_epoch", "frame.len", "frame.cap_len", "ieee8021ad.id"])?;
        assert_eq!(packets, [[time, "64", "46", "7"]]);
        let summary = judge("capinfos", &["-t", "-M"], &path)?;
        assert!(summary.lines().any(|line| line.ends_with(&format!(" {kind}"))), "{summary}");
    }
    Ok(())
}

fn rotated_files_are_whole() -> Result {
    let folder = Folder::new()?;
    let mut writer =
        CaptureWriter::builder().rotate(folder.0.join("x"), Rotation::new().size(2000))?;
    writer.add_interface(0, InterfaceDescription::new(LinkType::ETHERNET).name("eth0"))?;
    for at in 0..100 {
        writer.write(&Packet::with_meta(&arp(), meta(at, LinkType::ETHERNET)))?;
    }
    writer.finish()?;
    let mut times = Vec::new();
    for name in ["x", "x1", "x2", "x3"] {
        let packets = fields(&folder.0.join(name), &["frame.time_epoch", "frame.interface_name"])?;
        assert!(packets.iter().all(|fields| fields[1] == "eth0"));
        times.extend(packets.into_iter().map(|mut fields| fields.swap_remove(0)));
    }
    let expected: Vec<String> = (0..100).map(|at| format!("1700000000.{at:09}")).collect();
    assert_eq!(times, expected);
    Ok(())
}

fn a_writer_that_was_killed_leaves_a_valid_file() -> Result {
    const FILE: &str = "RING_CORE_TEST_FILE";
    if let Some(path) = std::env::var_os(FILE) {
        let mut writer = CaptureWriter::create(path)?;
        for at in 0..20_000 {
            writer.write(&Packet::with_meta(&arp(), meta(at, LinkType::ETHERNET)))?;
            if at == 9_999 {
                writer.flush()?;
            }
        }
        // No destructor runs, and nothing is flushed.
        std::process::abort();
    }
    let folder = Folder::new()?;
    let path = folder.0.join("x.pcapng");
    let status = Command::new(std::env::current_exe()?).env(FILE, &path).output()?.status;
    assert!(!status.success());
    let packets = fields(&path, &["frame.time_epoch"])?;
    assert!(packets.len() >= 10_000, "{}", packets.len());
    for (at, fields) in packets.iter().enumerate() {
        assert_eq!(fields[0], format!("1700000000.{at:09}"));
    }
    Ok(())
}

/// The writer is killed at any moment, even within a write. All flushed packets are there, and none
/// before them is missing.
fn a_writer_that_is_killed_leaves_all_that_it_flushed() -> Result {
    const FILE: &str = "RING_CORE_TEST_KILLED";
    if let Some(path) = std::env::var_os(FILE) {
        let mut writer = CaptureWriter::create(path)?;
        for at in 0.. {
            writer.write(&Packet::with_meta(&arp(), meta(at, LinkType::ETHERNET)))?;
            if at % 500 == 499 {
                writer.flush()?;
                println!("{}", at + 1);
            }
        }
    }
    let folder = Folder::new()?;
    for round in 1..6 {
        let path = folder.0.join(format!("{round}.pcapng"));
        let mut child = Command::new(std::env::current_exe()?)
            .env(FILE, &path)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = io::BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut last = String::new();
        for _ in 0..round * 7 {
            last = lines.next().ok_or("it ended by itself")??;
        }
        child.kill()?;
        for line in lines {
            last = line?;
        }
        child.wait()?;
        let flushed: usize = last.parse()?;

        // The judge may complain about the end, where the kernel stopped within a record, but not
        // about anything before.
        let output = Command::new(program("tshark", "tshark")?)
            .args(["-n", "-T", "fields", "-e", "frame.time_epoch", "-r"])
            .arg(&path)
            .output()?;
        let complaints = String::from_utf8_lossy(&output.stderr);
        let whole = output.status.success() || complaints.contains("cut short");
        assert!(whole, "round {round}: {complaints}");
        let times = String::from_utf8(output.stdout)?;
        let times: Vec<&str> = times.lines().collect();
        assert!(times.len() >= flushed, "round {round}: {} of {flushed}", times.len());
        for (at, time) in times.iter().enumerate() {
            assert_eq!(*time, format!("1700000000.{at:09}"), "round {round}");
        }
    }
    Ok(())
}
