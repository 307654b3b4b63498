//! `ringtap capture`: what its files say of interfaces, by Wireshark's account.

use std::{
    net::UdpSocket,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use live::{Folder, PATIENCE, ringtap};
use live_harness::{Result, program};
use netns::Namespace;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// What `capinfos` says of a file's interfaces: the name of each, its packets and its blocks of statistics.
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

/// Runs the command, which ends by itself, while datagrams go to each of these addresses from time to time.
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

/// Interfaces have their names, and the totals, which are of all together, are there.
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
    assert_eq!(interfaces(&file)?, [("any".to_owned(), 0, 1), ("lo".to_owned(), 20, 0)]);
    let addresses = ["127.0.0.1", "10.8.0.2"];
    run(&host, &["-i", "any", "-c", "20", "udp port 9"], &file, &addresses)?;
    let mut found = interfaces(&file)?;
    assert_eq!(found.remove(0), ("any".to_owned(), 0, 1));
    found.sort();
    let names: Vec<_> = found.iter().map(|interface| &interface.0[..]).collect();
    assert_eq!(names, ["lo", "near0"]);
    assert_eq!(found.iter().map(|interface| interface.1).sum::<u64>(), 20);
    Ok(())
}

/// Each of several files has the totals so far, not only the last.
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

/// Nothing of what the ring has is lost when the capture is told to end.
pub(crate) fn what_came_before_an_interrupt_is_written() -> Result {
    const DATAGRAMS: u64 = 1000;
    let host = Namespace::new()?;
    let folder = Folder::new()?;
    let file = folder.join("all.pcapng");
    let socket = host.run(|| UdpSocket::bind("127.0.0.1:0"))??;
    let mut command = Command::new(ringtap()?);
    command.args(["capture", "-i", "lo", "udp port 9", "-w"]).arg(&file).stderr(Stdio::null());
    let mut process = host.spawn(&mut command)?;
    // There is a file once there is a capture.
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
