//! Namespaces, links and programs in a real kernel.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use live_harness::Result;
use netns::{Error, Link, Namespace, Offload};

live_harness::main!(
    hosts_of_a_pair_talk_over_both_families,
    a_router_forwards,
    the_guard_restores_the_thread,
    guards_nest,
    run_returns_and_panics_through,
    threads_inside_a_guard_start_inside,
    everything_vanishes_on_drop,
    a_deleted_link_takes_its_peer_along,
    a_link_goes_down_and_up,
    offloads_switch_off_and_on,
    without_segmentation_offload_frames_fit_the_mtu,
    a_program_runs_inside_and_ends_on_drop,
    a_program_is_waited_for_and_signalled,
    settings_are_of_the_namespace,
    wrong_requests_are_typed_errors,
    the_host_is_out_of_reach,
);

const SOON: Duration = Duration::from_secs(5);

/// Two hosts joined by a veth pair, with addresses of both families.
fn pair<'a>(left: &'a Namespace, right: &'a Namespace) -> Result<(Link<'a>, Link<'a>)> {
    let (l, r) = left.veth_to(right, "left0", "right0")?;
    for (link, last) in [(&l, 1), (&r, 2)] {
        link.add_address(format!("10.9.0.{last}/24").parse()?)?;
        link.add_address(format!("fd09::{last}/64").parse()?)?;
        link.up()?;
    }
    l.wait_until_running(SOON)?;
    r.wait_until_running(SOON)?;
    Ok((l, r))
}

fn ask(server: &Namespace, client: &Namespace, ip: &str) -> Result<Vec<u8>> {
    let address = SocketAddr::new(ip.parse()?, 80);
    let listener = server.run(|| TcpListener::bind(address))??;
    let answer = thread::spawn(move || listener.accept()?.0.write_all(b"hello"));
    let mut got = Vec::new();
    client.run(|| TcpStream::connect_timeout(&address, SOON))??.read_to_end(&mut got)?;
    answer.join().expect("the server does not panic")?;
    Ok(got)
}

fn inode() -> io::Result<std::path::PathBuf> {
    fs::read_link("/proc/thread-self/ns/net")
}

fn hosts_of_a_pair_talk_over_both_families() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (l, r) = pair(&left, &right)?;
    assert_eq!(ask(&left, &right, "10.9.0.1")?, b"hello");
    assert_eq!(ask(&left, &right, "fd09::1")?, b"hello", "no wait for duplicate addresses");
    assert_eq!(ask(&left, &left, "127.0.0.1")?, b"hello", "loopback is up");
    assert_ne!(l.mac()?, r.mac()?);
    assert_eq!(l.mtu()?, 1500);
    r.set_mtu(9000)?;
    assert_eq!(r.mtu()?, 9000);
    Ok(())
}

fn a_router_forwards() -> Result {
    let (client, router, server) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
    let (c, rc) = client.veth_to(&router, "eth0", "client")?;
    let (s, rs) = server.veth_to(&router, "eth0", "server")?;
    for (link, network, last) in [(&c, 1, 2), (&rc, 1, 1), (&s, 2, 2), (&rs, 2, 1)] {
        link.add_address(format!("10.0.{network}.{last}/24").parse()?)?;
        link.add_address(format!("fd0{network}::{last}/64").parse()?)?;
        link.up()?;
    }
    for (host, network) in [(&client, 1), (&server, 2)] {
        host.add_route("0.0.0.0/0".parse()?, format!("10.0.{network}.1").parse()?)?;
        host.add_route("::/0".parse()?, format!("fd0{network}::1").parse()?)?;
    }
    let refused = client.run(|| {
        TcpStream::connect_timeout(&"10.0.2.2:80".parse().unwrap(), Duration::from_millis(200))
    })?;
    assert!(refused.is_err(), "nothing forwards yet");
    router.set_forwarding(true)?;
    assert_eq!(ask(&server, &client, "10.0.2.2")?, b"hello");
    assert_eq!(ask(&server, &client, "fd02::2")?, b"hello");
    Ok(())
}

fn the_guard_restores_the_thread() -> Result {
    let host = Namespace::new()?;
    let home = inode()?;
    let guard = host.enter()?;
    let inside = inode()?;
    assert_ne!(inside, home);
    assert_eq!(inside, host.run(inode)??);
    assert_eq!(Namespace::current()?.run(inode)??, inside);
    drop(guard);
    assert_eq!(inode()?, home);
    Ok(())
}

fn guards_nest() -> Result {
    let (outer, inner) = (Namespace::new()?, Namespace::new()?);
    let home = inode()?;
    let first = outer.enter()?;
    let second = inner.enter()?;
    assert_eq!(inode()?, inner.run(inode)??);
    drop(second);
    assert_eq!(inode()?, outer.run(inode)??);
    drop(first);
    assert_eq!(inode()?, home);
    Ok(())
}

fn run_returns_and_panics_through() -> Result {
    let host = Namespace::new()?;
    let text = String::from("borrowed");
    assert_eq!(host.run(|| text.len())?, 8);
    let caught = std::panic::catch_unwind(|| host.run(|| panic!("on purpose")));
    assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"on purpose"));
    Ok(())
}

fn threads_inside_a_guard_start_inside() -> Result {
    let host = Namespace::new()?;
    let guard = host.enter()?;
    let there = thread::spawn(inode);
    drop(guard);
    assert_eq!(there.join().expect("no panic")?, host.run(inode)??);
    Ok(())
}

fn everything_vanishes_on_drop() -> Result {
    let stays = Namespace::new()?;
    let goes = Namespace::new()?;
    pair(&stays, &goes)?;
    let program = goes.spawn(Command::new("sleep").arg("1000"))?;
    drop(program);
    drop(goes);
    // The kernel removes namespaces in the background, and the other end of the pair with them.
    let started = Instant::now();
    while stays.link("left0").is_ok() {
        assert!(started.elapsed() < SOON, "the pair is still there");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn a_deleted_link_takes_its_peer_along() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (l, _) = pair(&left, &right)?;
    l.delete()?;
    assert!(matches!(left.link("left0"), Err(Error::System { .. })));
    assert!(matches!(right.link("right0"), Err(Error::System { .. })));
    Ok(())
}

fn a_link_goes_down_and_up() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (l, r) = pair(&left, &right)?;
    r.down()?;
    let waited = l.wait_until_running(Duration::from_millis(50));
    assert!(matches!(waited, Err(Error::NotRunning { .. })), "{waited:?}");
    r.up()?;
    l.wait_until_running(SOON)?;
    assert_eq!(ask(&left, &right, "10.9.0.1")?, b"hello");
    Ok(())
}

fn offloads_switch_off_and_on() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (l, _) = pair(&left, &right)?;
    for offload in [Offload::Segmentation, Offload::Coalescing, Offload::TransmitChecksum] {
        l.set_offload(offload, true)?;
        assert!(l.offload(offload)?, "{offload:?}");
        l.set_offload(offload, false)?;
        assert!(!l.offload(offload)?, "{offload:?}");
    }
    let lo = left.link("lo")?;
    assert!(matches!(
        lo.set_offload(Offload::TransmitChecksum, false),
        Err(Error::OffloadFixed { .. })
    ));
    Ok(())
}

fn without_segmentation_offload_frames_fit_the_mtu() -> Result {
    // UDP_SEGMENT would need more than std has, so this uses TCP and counts frames by the
    // receiver's own statistics.
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (l, r) = pair(&left, &right)?;
    let mut frames = Vec::new();
    for on in [true, false] {
        l.set_offload(Offload::Segmentation, on)?;
        r.set_offload(Offload::Coalescing, false)?;
        let before = received(&right)?;
        let listener = right.run(|| TcpListener::bind("10.9.0.2:0"))??;
        let address = listener.local_addr()?;
        let sink = thread::spawn(move || io::copy(&mut listener.accept()?.0, &mut io::sink()));
        left.run(|| TcpStream::connect(address)?.write_all(&vec![7; 4_000_000]))??;
        assert_eq!(sink.join().expect("no panic")?, 4_000_000);
        frames.push(received(&right)? - before);
    }
    assert!(frames[1] >= 4_000_000 / 1448, "{frames:?}");
    assert!(frames[0] * 2 < frames[1], "{frames:?}");
    Ok(())
}

/// Packets received by a host's links, from `/proc/net/dev`, which shows the namespace of the
/// thread that opens it.
fn received(host: &Namespace) -> Result<u64> {
    let table = host.run(|| fs::read_to_string("/proc/thread-self/net/dev"))??;
    let line = table
        .lines()
        .find_map(|line| line.trim().strip_prefix("right0:"))
        .expect("the link is listed");
    Ok(line.split_whitespace().nth(1).expect("the second column is packets").parse()?)
}

fn a_program_runs_inside_and_ends_on_drop() -> Result {
    let host = Namespace::new()?;
    let output = host
        .spawn(Command::new("readlink").arg("/proc/self/ns/net").stdout(Stdio::piped()))?
        .output()?;
    assert_eq!(String::from_utf8(output.stdout)?.trim(), host.run(inode)??.to_string_lossy());

    let mut sleeper = host.spawn(Command::new("sleep").arg("1000").stdout(Stdio::piped()))?;
    let mut pipe = sleeper.child().stdout.take().expect("a pipe was asked for");
    drop(sleeper);
    assert_eq!(pipe.read_to_end(&mut Vec::new())?, 0, "its end of the pipe is closed");
    Ok(())
}

fn a_program_is_waited_for_and_signalled() -> Result {
    let host = Namespace::new()?;
    let mut sleeper = host.spawn(Command::new("sleep").arg("1000"))?;
    assert_eq!(sleeper.wait_for(Duration::from_millis(20))?, None);
    sleeper.signal(15)?;
    let status = sleeper.wait_for(SOON)?.expect("it ends on a signal");
    assert!(!status.success());
    assert!(matches!(sleeper.signal(9999), Err(Error::System { .. })));
    assert!(host.spawn(&mut Command::new("true"))?.wait()?.success());
    Ok(())
}

fn settings_are_of_the_namespace() -> Result {
    let (changed, other) = (Namespace::new()?, Namespace::new()?);
    let before = other.sysctl("ipv4/ip_default_ttl")?;
    changed.set_sysctl("ipv4/ip_default_ttl", "17")?;
    assert_eq!(changed.sysctl("ipv4/ip_default_ttl")?, "17");
    assert_eq!(other.sysctl("ipv4/ip_default_ttl")?, before);
    Ok(())
}

fn wrong_requests_are_typed_errors() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (l, _) = pair(&left, &right)?;
    let code = |result: Result<_, Error>| match result {
        Err(Error::System { source, .. }) => source.raw_os_error(),
        other => panic!("{other:?}"),
    };
    assert_eq!(code(left.link("nothing").map(drop)), Some(errno::ENODEV));
    assert_eq!(code(left.veth_to(&right, "left0", "x").map(drop)), Some(errno::EEXIST));
    assert!(code(left.veth_to(&right, "a-name-of-17-byte", "x").map(drop)).is_some());
    assert!(code(left.veth_to(&right, "", "x").map(drop)).is_some() || left.link("veth0").is_ok());
    assert_eq!(code(l.add_address("10.9.0.1/24".parse()?)), Some(errno::EEXIST));
    assert!(code(l.set_mtu(1)).is_some());
    assert!(code(left.add_route("1.0.0.0/8".parse()?, "192.0.2.1".parse()?)).is_some());
    assert!(code(left.set_sysctl("no/such/thing", "1")).is_some());
    assert!(code(left.spawn(&mut Command::new("/no/such/program")).map(drop)).is_some());
    Ok(())
}

/// Error numbers from `asm-generic/errno-base.h`.
mod errno {
    pub(super) const EEXIST: i32 = 17;
    pub(super) const ENODEV: i32 = 19;
}

fn the_host_is_out_of_reach() -> Result {
    let host = Namespace::new()?;
    let outside: IpAddr = "192.0.2.1".parse()?;
    let sent = host.run(|| UdpSocket::bind("0.0.0.0:0")?.send_to(b"x", (outside, 9)))?;
    assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::NetworkUnreachable);
    Ok(())
}
