//! Two hosts that know of each other through a bridge of ours only.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use live_harness::{Result, program};
use netns::{Link, Namespace};
use ring_core::{
    Bridge, BridgeStatistics, Error, Interrupter, Next, SendPath, Side, Timeout, Transit, Verdict,
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
);

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

    /// Wires them up: the links of client and server, then the bridge's.
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

    fn open(&self, path: SendPath) -> Result<Bridge> {
        let builder = Bridge::builder("left0", "right0").send_path(path);
        Ok(self.bridge.run(|| builder.open())??)
    }

    /// Does the work while a bridge forwards.
    fn while_bridged<T>(
        &self,
        path: SendPath,
        verdict: impl FnMut(&mut Transit<'_>) -> Verdict + Send,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<(T, BridgeStatistics)> {
        let mut bridge = self.open(path)?;
        let interrupter = bridge.interrupter();
        thread::scope(|scope| {
            let forwarding = scope.spawn(move || bridge.run(verdict));
            // A bridge that went on for ever would hide a failure.
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

/// Bytes that do not repeat soon.
fn content() -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(SIZE).collect()
}

/// Fetches the content over HTTP; panics if it comes out differently.
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
    for path in [SendPath::Messages, SendPath::Ring] {
        let hosts = Hosts::new()?;
        hosts.wire()?;
        let longest = Mutex::new(0);
        let watch = |transit: &mut Transit<'_>| {
            let mut longest = longest.lock().unwrap();
            *longest = transit.data().len().max(*longest);
            Verdict::Forward
        };
        let ((), statistics) = hosts.while_bridged(path, watch, || fetch(&hosts))?;
        // Segments as an adapter would get them, joined and without checksums.
        assert!(*longest.lock().unwrap() > 10_000);
        let BridgeStatistics { to_right, to_left, .. } = statistics;
        assert_eq!((to_left.refused, to_left.rejected), (0, 0), "{path:?}: {statistics:?}");
        assert_eq!((to_right.refused, to_right.rejected), (0, 0), "{path:?}: {statistics:?}");
        assert!(to_left.forwarded > 300 && to_right.forwarded > 10, "{path:?}: {statistics:?}");
    }
    Ok(())
}

fn a_transfer_without_offloads_crosses() -> Result {
    let hosts = Hosts::new()?;
    let links = hosts.wire()?;
    for link in &links {
        link.set_offload(netns::Offload::Segmentation, false)?;
        link.set_offload(netns::Offload::TransmitChecksum, false)?;
    }
    let all = |_: &mut Transit<'_>| Verdict::Forward;
    let ((), statistics) = hosts.while_bridged(SendPath::Messages, all, || fetch(&hosts))?;
    assert!(statistics.to_left.forwarded as usize > SIZE / 1500, "{statistics:?}");
    assert_eq!(statistics.to_left.sent, statistics.to_left.forwarded);
    Ok(())
}

/// The client's side carries less than the server sends: what is joined is cut to fit.
fn a_narrower_side_gets_smaller_segments() -> Result {
    let hosts = Hosts::new()?;
    let [client, _, left, _] = hosts.wire()?;
    left.set_mtu(1000)?;
    client.set_mtu(1000)?;
    let all = |_: &mut Transit<'_>| Verdict::Forward;
    let ((), statistics) = hosts.while_bridged(SendPath::Messages, all, || fetch(&hosts))?;
    assert_eq!(statistics.to_left.refused, 0, "{statistics:?}");
    Ok(())
}

fn dropped_is_dropped() -> Result {
    let hosts = Hosts::new()?;
    hosts.wire()?;
    let no_tcp = |transit: &mut Transit<'_>| match transit.data().get(23) {
        Some(6) => Verdict::Drop,
        _ => Verdict::Forward,
    };
    let ((), statistics) = hosts.while_bridged(SendPath::Messages, no_tcp, || {
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

/// A server's socket, and a client's that is connected to it.
fn sockets(hosts: &Hosts) -> Result<(UdpSocket, UdpSocket)> {
    let server = hosts.server.run(|| UdpSocket::bind("10.9.0.2:7"))??;
    server.set_read_timeout(Some(SOON))?;
    let client = hosts.client.run(|| UdpSocket::bind("10.9.0.1:0"))??;
    client.set_read_timeout(Some(SOON))?;
    client.connect("10.9.0.2:7")?;
    Ok((server, client))
}

fn rewritten_is_rewritten() -> Result {
    for path in [SendPath::Messages, SendPath::Ring] {
        let hosts = Hosts::new()?;
        hosts.wire()?;
        let rewrite = |transit: &mut Transit<'_>| {
            let udp = transit.data().get(23) == Some(&17);
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
    let hosts = Hosts::new()?;
    hosts.wire()?;
    let all = |_: &mut Transit<'_>| Verdict::Forward;
    let (received, statistics) = hosts.while_bridged(SendPath::Messages, all, || {
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
    // And a question of the address resolution or two.
    assert!((received..received + 5).contains(&to_right.forwarded), "{statistics:?}");
    assert!(to_left.forwarded < 5, "nothing of the client's came back: {statistics:?}");
    for lane in [to_right, to_left] {
        assert_eq!(lane.sent, lane.forwarded, "{statistics:?}");
        assert_eq!((lane.dropped, lane.refused, lane.lost, lane.overrun), (0, 0, 0, 0));
    }
    Ok(())
}

fn a_side_that_is_down_holds_nothing_up() -> Result {
    for path in [SendPath::Messages, SendPath::Ring] {
        let hosts = Hosts::new()?;
        let [_, _, _, right] = hosts.wire()?;
        let all = |_: &mut Transit<'_>| Verdict::Forward;
        let ((), statistics) = hosts.while_bridged(path, all, || {
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
            assert_eq!((server.recv(&mut buffer)?, buffer[0]), (1, b'3'));
            Ok(())
        })?;
        assert_eq!(statistics.to_right.lost, 5, "{path:?}: {statistics:?}");
    }
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

fn interruptions_and_timeouts() -> Result {
    let hosts = Hosts::new()?;
    hosts.wire()?;
    let mut bridge = hosts.open(SendPath::Messages)?;
    let all = |_: &mut Transit<'_>| Verdict::Forward;
    // What the hosts said when they came up.
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
