//! Two hosts that are connected only by a bridge of this crate.

#[path = "live_bridge/over_xdp.rs"]
mod over_xdp;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use live_harness::{Missing, Result, program};
use netns::{Link, Namespace};
use ring_core::{
    Bridge, BridgeStatistics, Error, Interrupter, Next, SendPath, Side, Timeout, Transit, Verdict,
    xdp,
};

use over_xdp::{
    a_packet_without_frames_is_given_up_over_xdp, a_verdict_that_panics_spoils_nothing_over_xdp,
    every_queue_is_served_over_xdp, few_frames_and_short_rings_lose_nothing_over_xdp,
    fewer_queues_send_than_receive_over_xdp, pieces_fit_the_mtu_over_xdp,
    rewriting_may_lengthen_over_xdp, tagged_packets_cross_over_xdp,
};

live_harness::main!(
    a_transfer_of_curl_crosses,
    a_transfer_without_offloads_crosses,
    a_narrower_side_gets_smaller_segments,
    dropped_is_dropped,
    rewritten_is_rewritten,
    nothing_goes_back_and_statistics_add_up,
    a_side_that_is_down_holds_nothing_up,
    wrong_pairs_are_refused,
    interruptions_and_timeouts,
    a_transfer_of_curl_crosses_over_xdp,
    a_transfer_without_offloads_crosses_over_xdp,
    a_narrower_side_gets_smaller_segments_over_xdp,
    dropped_is_dropped_over_xdp,
    rewritten_is_rewritten_over_xdp,
    rewriting_may_lengthen_over_xdp,
    nothing_goes_back_and_statistics_add_up_over_xdp,
    a_side_that_is_down_holds_nothing_up_over_xdp,
    few_frames_and_short_rings_lose_nothing_over_xdp,
    every_queue_is_served_over_xdp,
    fewer_queues_send_than_receive_over_xdp,
    a_packet_without_frames_is_given_up_over_xdp,
    a_verdict_that_panics_spoils_nothing_over_xdp,
    pieces_fit_the_mtu_over_xdp,
    tagged_packets_cross_over_xdp,
    a_transfer_over_ipv6_crosses,
    a_transfer_of_big_tcp_crosses,
    a_transfer_over_ipv6_crosses_over_xdp,
    a_side_that_is_deleted_ends_it,
    a_side_that_is_deleted_ends_it_over_xdp,
    wrong_pairs_are_refused_over_xdp,
    interruptions_and_timeouts_over_xdp,
);

/// The kind of a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Packet(SendPath),
    Xdp(xdp::Attach),
}

const PACKET: [Over; 2] = [Over::Packet(SendPath::Messages), Over::Packet(SendPath::Ring)];
const XDP: [Over; 2] = [Over::Xdp(xdp::Attach::Native), Over::Xdp(xdp::Attach::Generic)];

const SOON: Duration = Duration::from_secs(5);
const SIZE: usize = 20 << 20;

struct Hosts {
    client: Namespace,
    bridge: Namespace,
    server: Namespace,
}

impl Hosts {
    fn new() -> Result<Self> {
        Ok(Self { client: Namespace::new()?, bridge: Namespace::new()?, server: Namespace::new()? })
    }

    /// Connects the hosts. Returns the links of client and server, then the bridge's.
    fn wire(&self) -> Result<[Link<'_>; 4]> {
        for host in [&self.client, &self.bridge, &self.server] {
            host.set_sysctl("ipv6/conf/default/disable_ipv6", "1")?;
        }
        let (client, left) = self.client.veth_to(&self.bridge, "eth0", "left0")?;
        let (server, right) = self.server.veth_to(&self.bridge, "eth0", "right0")?;
        client.add_address("10.9.0.1/24".parse()?)?;
        server.add_address("10.9.0.2/24".parse()?)?;
        let links = [client, server, left, right];
        links.iter().try_for_each(Link::up)?;
        links.iter().try_for_each(|link| link.wait_until_running(SOON))?;
        Ok(links)
    }

    fn open(&self, over: Over) -> Result<Bridge> {
        match over {
            Over::Packet(path) => {
                let builder = Bridge::builder("left0", "right0").send_path(path);
                Ok(self.bridge.run(|| builder.open())??)
            }
            Over::Xdp(mode) => self
                .open_xdp(["left0", "right0"].map(|name| xdp::Socket::builder(name).attach(mode))),
        }
    }

    /// Without real root it cannot be opened; the test then reports that.
    fn open_xdp(&self, [left, right]: [xdp::SocketBuilder; 2]) -> Result<Bridge> {
        match self.bridge.run(|| Bridge::xdp_builder(left, right).open())? {
            Err(Error::Permission { operation, needs }) => {
                Err(Missing::Privilege { what: operation, privilege: needs[0].name() }.into())
            }
            opened => Ok(opened?),
        }
    }

    /// Runs `work` while a bridge forwards.
    fn while_bridged<T>(
        &self,
        over: Over,
        verdict: impl FnMut(&mut Transit<'_>) -> Verdict + Send,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<(T, BridgeStatistics)> {
        self.while_running(self.open(over)?, verdict, work)
    }

    fn while_running<T>(
        &self,
        mut bridge: Bridge,
        verdict: impl FnMut(&mut Transit<'_>) -> Verdict + Send,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<(T, BridgeStatistics)> {
        let interrupter = bridge.interrupter();
        thread::scope(|scope| {
            let forwarding = scope.spawn(move || bridge.run(verdict));
            // A bridge that never ends would hide a failure.
            let end = Ended(interrupter);
            let done = work();
            drop(end);
            Ok((done?, forwarding.join().expect("the bridge")?))
        })
    }
}

struct Ended(Interrupter);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}

/// Bytes without short repetitions.
fn content() -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(SIZE).collect()
}

/// Fetches the content over HTTP and panics if it differs.
fn fetch(hosts: &Hosts) -> Result {
    let curl = program("curl", "curl")?;
    let listener = hosts.server.run(|| TcpListener::bind("10.9.0.2:80"))??;
    let content = content();
    thread::scope(|scope| {
        let serving = scope.spawn(|| -> std::io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            let mut request = [0; 1000];
            assert!(stream.read(&mut request)? > 0);
            write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {SIZE}\r\n\r\n")?;
            stream.write_all(&content)
        });
        let mut command = Command::new(curl);
        command.args(["-sS", "--max-time", "20", "http://10.9.0.2/"]).stderr(Stdio::inherit());
        let output = hosts.client.run(|| command.output())??;
        assert!(output.status.success(), "curl: {}", output.status);
        assert!(output.stdout == content, "{} bytes came, or others", output.stdout.len());
        serving.join().expect("the server")?;
        Ok(())
    })
}

fn a_transfer_of_curl_crosses() -> Result {
    transfer(PACKET)
}

/// In generic mode packets arrive coalesced and so are split. Checksums are missing in both modes.
fn a_transfer_of_curl_crosses_over_xdp() -> Result {
    transfer(XDP)
}

fn transfer(over: [Over; 2]) -> Result {
    for path in over {
        let hosts = Hosts::new()?;
        hosts.wire()?;
        let longest = Mutex::new(0);
        let watch = |transit: &mut Transit<'_>| {
            let mut longest = longest.lock().unwrap();
            *longest = transit.data().len().max(*longest);
            Verdict::Forward
        };
        let ((), statistics) = hosts.while_bridged(path, watch, || fetch(&hosts))?;
        // Segments as an adapter would get them, coalesced and without checksums. A native program
        // disables coalescing.
        let joined = *longest.lock().unwrap() > 10_000;
        assert_eq!(joined, path != Over::Xdp(xdp::Attach::Native), "{path:?}");
        let BridgeStatistics { to_right, to_left, .. } = statistics;
        assert_eq!((to_left.refused, to_left.rejected), (0, 0), "{path:?}: {statistics:?}");
        assert_eq!((to_right.refused, to_right.rejected), (0, 0), "{path:?}: {statistics:?}");
        assert!(to_left.forwarded > 300 && to_right.forwarded > 10, "{path:?}: {statistics:?}");
    }
    Ok(())
}

fn a_transfer_without_offloads_crosses() -> Result {
    transfer_without_offloads(PACKET[0])
}

fn a_transfer_without_offloads_crosses_over_xdp() -> Result {
    XDP.into_iter().try_for_each(transfer_without_offloads)
}

fn transfer_without_offloads(over: Over) -> Result {
    let hosts = Hosts::new()?;
    let links = hosts.wire()?;
    for link in &links {
        link.set_offload(netns::Offload::Segmentation, false)?;
        link.set_offload(netns::Offload::TransmitChecksum, false)?;
    }
    let all = |_: &mut Transit<'_>| Verdict::Forward;
    let ((), statistics) = hosts.while_bridged(over, all, || fetch(&hosts))?;
    assert!(statistics.to_left.forwarded as usize > SIZE / 1500, "{statistics:?}");
    assert_eq!(statistics.to_left.sent, statistics.to_left.forwarded);
    Ok(())
}

fn a_transfer_over_ipv6_crosses() -> Result {
    PACKET.into_iter().try_for_each(|over| ipv6(over, false))
}

fn a_transfer_over_ipv6_crosses_over_xdp() -> Result {
    XDP.into_iter().try_for_each(|over| ipv6(over, false))
}

/// Packets of more than 64 KiB, which a packet socket cannot send whole.
fn a_transfer_of_big_tcp_crosses() -> Result {
    PACKET.into_iter().try_for_each(|over| ipv6(over, true))
}

/// Checksums and segmentation differ from IPv4; the hosts' kernels are the judges.
fn ipv6(over: Over, big: bool) -> Result {
    let hosts = Hosts::new()?;
    let [client, server, ..] = hosts.wire()?;
    if big {
        let mut command = Command::new(program("ip", "iproute2")?);
        command.args(["link", "set", "eth0", "gso_max_size", "190000"]);
        if !hosts.server.run(|| command.status())??.success() {
            let remedy = "Linux 5.19 and iproute2 6.0";
            return Err(Missing::File { path: "BIG TCP".to_owned(), remedy }.into());
        }
        hosts.server.set_sysctl("ipv4/tcp_wmem", "4096 4000000 8000000")?;
        hosts.client.set_sysctl("ipv4/tcp_rmem", "4096 4000000 8000000")?;
    }
    for (link, address) in [(&client, "fd09::1/64"), (&server, "fd09::2/64")] {
        link.namespace().set_sysctl("ipv6/conf/eth0/disable_ipv6", "0")?;
        link.add_address(address.parse()?)?;
    }
    let listener = hosts.server.run(|| TcpListener::bind("[fd09::2]:80"))??;
    let content = content();
    let longest = Mutex::new(0);
    let ((), statistics) = hosts.while_bridged(
        over,
        |transit| {
            let mut longest = longest.lock().unwrap();
            *longest = transit.data().len().max(*longest);
            Verdict::Forward
        },
        || {
            thread::scope(|scope| {
                let serving = scope.spawn(|| listener.accept()?.0.write_all(&content));
                let mut stream = hosts.client.run(|| {
                    TcpStream::connect_timeout(&"[fd09::2]:80".parse().expect("an address"), SOON)
                })??;
                stream.set_read_timeout(Some(SOON))?;
                let mut seen = Vec::with_capacity(SIZE);
                stream.read_to_end(&mut seen)?;
                assert!(seen == content, "{} bytes came, or others", seen.len());
                serving.join().expect("the server")?;
                Ok(())
            })
        },
    )?;
    assert_eq!(statistics.to_left.refused, 0, "{over:?}: {statistics:?}");
    let longest = *longest.lock().unwrap();
    assert!(!big || longest > 1 << 16, "{over:?}: {longest} bytes at most");
    Ok(())
}

/// The client's side has a smaller MTU than the server's, so coalesced packets are split to fit.
fn a_narrower_side_gets_smaller_segments() -> Result {
    narrower(PACKET[0])
}

fn a_narrower_side_gets_smaller_segments_over_xdp() -> Result {
    XDP.into_iter().try_for_each(narrower)
}

fn narrower(over: Over) -> Result {
    let hosts = Hosts::new()?;
    let [client, _, left, _] = hosts.wire()?;
    left.set_mtu(1000)?;
    client.set_mtu(1000)?;
    let all = |_: &mut Transit<'_>| Verdict::Forward;
    let ((), statistics) = hosts.while_bridged(over, all, || fetch(&hosts))?;
    assert_eq!(statistics.to_left.refused, 0, "{statistics:?}");
    Ok(())
}

fn dropped_is_dropped() -> Result {
    dropped(PACKET[0])
}

fn dropped_is_dropped_over_xdp() -> Result {
    XDP.into_iter().try_for_each(dropped)
}

fn dropped(over: Over) -> Result {
    let hosts = Hosts::new()?;
    hosts.wire()?;
    let no_tcp = |transit: &mut Transit<'_>| match is_ipv4(transit.data(), 6) {
        true => Verdict::Drop,
        false => Verdict::Forward,
    };
    let ((), statistics) = hosts.while_bridged(over, no_tcp, || {
        let _listener = hosts.server.run(|| TcpListener::bind("10.9.0.2:80"))??;
        let short = Duration::from_millis(500);
        let refused = hosts
            .client
            .run(|| TcpStream::connect_timeout(&"10.9.0.2:80".parse().unwrap(), short))?;
        assert!(refused.is_err());
        let (server, client) = sockets(&hosts)?;
        client.send(b"hello")?;
        let mut buffer = [0; 10];
        assert_eq!(server.recv(&mut buffer)?, 5);
        Ok(())
    })?;
    assert!(statistics.to_right.dropped >= 1, "{statistics:?}");
    assert_eq!(statistics.to_left.dropped, 0);
    Ok(())
}

/// `true` for IPv4 packets of this protocol. An ARP packet has part of an address in the protocol's
/// place.
fn is_ipv4(frame: &[u8], protocol: u8) -> bool {
    frame.get(12..14) == Some(&[8, 0]) && frame.get(23) == Some(&protocol)
}

/// A server's socket, and a client's socket connected to it.
fn sockets(hosts: &Hosts) -> Result<(UdpSocket, UdpSocket)> {
    let server = hosts.server.run(|| UdpSocket::bind("10.9.0.2:7"))??;
    server.set_read_timeout(Some(SOON))?;
    let client = hosts.client.run(|| UdpSocket::bind("10.9.0.1:0"))??;
    client.set_read_timeout(Some(SOON))?;
    client.connect("10.9.0.2:7")?;
    Ok((server, client))
}

fn rewritten_is_rewritten() -> Result {
    rewritten(PACKET)
}

fn rewritten_is_rewritten_over_xdp() -> Result {
    rewritten(XDP)
}

fn rewritten(over: [Over; 2]) -> Result {
    for path in over {
        let hosts = Hosts::new()?;
        hosts.wire()?;
        let rewrite = |transit: &mut Transit<'_>| {
            let udp = is_ipv4(transit.data(), 17);
            if !udp || transit.from() == Side::Right {
                return Verdict::Forward;
            }
            transit.rewrite()[42..].make_ascii_uppercase();
            transit.fill_checksum();
            Verdict::Rewrite
        };
        let ((), statistics) = hosts.while_bridged(path, rewrite, || {
            let (server, client) = sockets(&hosts)?;
            let mut buffer = [0; 10];
            client.send(b"hello")?;
            let (len, from) = server.recv_from(&mut buffer)?;
            assert_eq!(&buffer[..len], b"HELLO");
            server.send_to(b"hello", from)?;
            let len = client.recv(&mut buffer)?;
            assert_eq!(&buffer[..len], b"hello");
            Ok(())
        })?;
        assert_eq!(statistics.to_right.rewritten, 1, "{path:?}: {statistics:?}");
        assert_eq!(statistics.to_left.rewritten, 0);
    }
    Ok(())
}

fn nothing_goes_back_and_statistics_add_up() -> Result {
    adds_up(PACKET[0])
}

fn nothing_goes_back_and_statistics_add_up_over_xdp() -> Result {
    XDP.into_iter().try_for_each(adds_up)
}

fn adds_up(over: Over) -> Result {
    let hosts = Hosts::new()?;
    hosts.wire()?;
    let all = |_: &mut Transit<'_>| Verdict::Forward;
    let (received, statistics) = hosts.while_bridged(over, all, || {
        let (server, client) = sockets(&hosts)?;
        let mut received = 0;
        for number in 0..200_u8 {
            client.send(&[number; 100])?;
            let mut buffer = [0; 200];
            assert_eq!((server.recv(&mut buffer)?, buffer[0]), (100, number));
            received += 1;
        }
        server.set_read_timeout(Some(Duration::from_millis(100)))?;
        assert!(server.recv(&mut [0; 200]).is_err(), "each comes once");
        Ok(received)
    })?;
    let BridgeStatistics { to_right, to_left, .. } = statistics;
    // And perhaps an ARP request or two.
    assert!((received..received + 5).contains(&to_right.forwarded), "{statistics:?}");
    assert!(to_left.forwarded < 5, "nothing of the client's came back: {statistics:?}");
    for lane in [to_right, to_left] {
        assert_eq!(lane.sent, lane.forwarded, "{statistics:?}");
        assert_eq!((lane.dropped, lane.refused, lane.lost, lane.overrun), (0, 0, 0, 0));
    }
    Ok(())
}

fn a_side_that_is_down_holds_nothing_up() -> Result {
    down(PACKET)
}

fn a_side_that_is_down_holds_nothing_up_over_xdp() -> Result {
    down(XDP)
}

fn down(over: [Over; 2]) -> Result {
    for path in over {
        let hosts = Hosts::new()?;
        let [_, _, _, right] = hosts.wire()?;
        let all = |_: &mut Transit<'_>| Verdict::Forward;
        let (late, statistics) = hosts.while_bridged(path, all, || {
            let (server, client) = sockets(&hosts)?;
            let mut buffer = [0; 10];
            client.send(b"1")?;
            assert_eq!(server.recv(&mut buffer)?, 1);
            right.down()?;
            for _ in 0..5 {
                client.send(b"2")?;
                thread::sleep(Duration::from_millis(20));
            }
            right.up()?;
            right.wait_until_running(SOON)?;
            client.send(b"3")?;
            // Packets in an AF_XDP send ring cannot be taken back if the interface turns out to be
            // down.
            let late = matches!(path, Over::Xdp(_));
            if late {
                assert_eq!((server.recv(&mut buffer)?, buffer[0]), (1, b'2'));
            }
            assert_eq!((server.recv(&mut buffer)?, buffer[0]), (1, b'3'));
            Ok(late)
        })?;
        let lost = if late { 4 } else { 5 };
        assert_eq!(statistics.to_right.lost, lost, "{path:?}: {statistics:?}");
    }
    Ok(())
}

fn a_side_that_is_deleted_ends_it() -> Result {
    PACKET.into_iter().try_for_each(deleted)
}

fn a_side_that_is_deleted_ends_it_over_xdp() -> Result {
    XDP.into_iter().try_for_each(deleted)
}

fn deleted(over: Over) -> Result {
    let hosts = Hosts::new()?;
    let [_, _, _, right] = hosts.wire()?;
    let mut bridge = hosts.open(over)?;
    right.delete()?;
    let started = Instant::now();
    let ended = loop {
        match bridge.forward(Timeout::After(SOON), |_| Verdict::Forward) {
            Err(error) => break error,
            Ok(_) => assert!(started.elapsed() < SOON, "{over:?}: nobody says that it has gone"),
        }
    };
    assert!(
        matches!(&ended, Error::InterfaceGone { interface } if interface == "right0"),
        "{ended:?}"
    );
    Ok(())
}

fn wrong_pairs_are_refused() -> Result {
    let hosts = Hosts::new()?;
    hosts.wire()?;
    let same = hosts.bridge.run(|| Bridge::open("left0", "left0"))?;
    assert!(matches!(same, Err(Error::SameInterface { .. })), "{same:?}");
    let missing = hosts.bridge.run(|| Bridge::open("left0", "nowhere"))?;
    assert!(matches!(missing, Err(Error::NoInterface { .. })), "{missing:?}");
    Ok(())
}

fn wrong_pairs_are_refused_over_xdp() -> Result {
    let hosts = Hosts::new()?;
    hosts.wire()?;
    drop(hosts.open(XDP[1])?);
    let pair = |right: &str| {
        let [left, right] = ["left0", right].map(xdp::Socket::builder);
        hosts.bridge.run(|| Bridge::xdp_builder(left, right).open())
    };
    let missing = pair("nowhere")?;
    assert!(matches!(missing, Err(Error::NoInterface { .. })), "{missing:?}");
    let same = pair("left0")?;
    assert!(
        matches!(&same, Err(Error::SameInterface { interface }) if interface == "left0"),
        "{same:?}"
    );
    Ok(())
}

fn interruptions_and_timeouts() -> Result {
    interruptions(PACKET[0])
}

fn interruptions_and_timeouts_over_xdp() -> Result {
    XDP.into_iter().try_for_each(interruptions)
}

fn interruptions(over: Over) -> Result {
    let hosts = Hosts::new()?;
    hosts.wire()?;
    let mut bridge = hosts.open(over)?;
    let all = |_: &mut Transit<'_>| Verdict::Forward;
    // Packets that the hosts sent when they came up.
    while let Next::Batch(_) = bridge.forward(Timeout::After(Duration::from_millis(50)), all)? {}
    assert!(matches!(bridge.forward(Timeout::Now, all)?, Next::TimedOut));
    bridge.interrupter().interrupt();
    assert!(matches!(bridge.forward(Timeout::Never, all)?, Next::Interrupted));
    assert!(matches!(bridge.forward(Timeout::Now, all)?, Next::TimedOut));
    let interrupter = bridge.interrupter();
    let other = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        interrupter.interrupt();
    });
    bridge.run(all)?;
    other.join().expect("no panic");
    Ok(())
}
