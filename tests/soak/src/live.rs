//! Connections of real hosts, over a veth pair.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use conversation::FlowStreamExt as _;
use flow::FiveTuple;
use netns::Namespace;
use ring_core::Capture;

use crate::Result;
use crate::report::{Report, Sample};
use crate::tally::{Reader, Tally};

const PHASE: &str = "live";
/// The number of servers. Each has its own client.
const PORTS: u16 = 8;
const FIRST_PORT: u16 = 9000;
const REQUEST: [u8; 100] = [b'q'; 100];
const RESPONSE: [u8; 500] = [b'r'; 500];

pub(crate) fn run(connections: u64, duration: Duration, report: &mut Report) -> Result {
    let started = Instant::now();
    // The first run is for one-time allocations.
    churn(1000, Duration::from_secs(5), &mut Report::default())?;
    let before = Sample::settled(PHASE, 0, started.elapsed());
    let seen = churn(connections, duration, report)?;
    let after = Sample::settled(PHASE, seen, started.elapsed());
    report.returned(PHASE, before, after);
    Ok(())
}

/// Returns the number of connections.
fn churn(connections: u64, duration: Duration, report: &mut Report) -> Result<u64> {
    let started = Instant::now();
    let (server, client) = (Namespace::new()?, Namespace::new()?);
    let (left, right) = server.veth_to(&client, "server0", "client0")?;
    for (link, host) in [(&left, 1), (&right, 2)] {
        link.add_address(format!("10.7.0.{host}/24").parse()?)?;
        link.up()?;
    }
    left.wait_until_running(Duration::from_secs(5))?;
    right.wait_until_running(Duration::from_secs(5))?;
    for host in [&server, &client] {
        // Ports are reused within a minute, so hosts must not keep ended connections.
        host.set_sysctl("ipv4/tcp_max_tw_buckets", "1000")?;
    }

    let capture = server.run(|| Capture::open("server0"))??;
    let tally = Arc::new(Tally::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    let conversations = capture.flow_conversations(FiveTuple::bidirectional());
    let handle = conversations.handle();
    let readers = Arc::clone(&tally);
    let reading =
        runtime.spawn(conversations.reassemble(move |_, _| Some(Reader(Arc::clone(&readers)))));

    // Servers run until all clients are done.
    let [stop, closed] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let done = Arc::new(AtomicU64::new(0));
    let servers = in_threads(&server, |port| {
        let (listener, closed) = (TcpListener::bind(("10.7.0.1", port))?, Arc::clone(&closed));
        Ok(move || serve(&listener, &closed))
    })?;
    let clients = in_threads(&client, |port| {
        let (address, stop) = (SocketAddr::from(([10, 7, 0, 1], port)), Arc::clone(&stop));
        let done = Arc::clone(&done);
        Ok(move || ask(address, &stop, &done))
    })?;
    let step = (connections / 10).max(1);
    let mut next = step;
    while done.load(Relaxed) < connections && started.elapsed() < duration {
        thread::sleep(Duration::from_millis(20));
        if connections >= 10_000 && done.load(Relaxed) >= next {
            Sample::take(PHASE, done.load(Relaxed), started.elapsed());
            next += step;
        }
    }
    stop.store(true, Relaxed);
    for client in clients {
        client.join().map_err(|_| "a client panicked")??;
    }
    // Each server is blocked in accept(2): wake it with one more connection.
    closed.store(true, Relaxed);
    let wake = |port| TcpStream::connect(("10.7.0.1", port)).map(drop);
    client.run(|| (FIRST_PORT..FIRST_PORT + PORTS).try_for_each(wake))??;
    for server in servers {
        server.join().map_err(|_| "a server panicked")??;
    }
    handle.shutdown();
    runtime.block_on(reading)??;
    drop(runtime);

    let (done, statistics) = (done.load(Relaxed), handle.statistics());
    let said = done * (REQUEST.len() + RESPONSE.len()) as u64;
    let (heard, gaps) = (tally.bytes.load(Relaxed), tally.gap_bytes.load(Relaxed));
    println!(
        "{PHASE:<10} {done} connections, {} conversations, {} packets, {} dropped by the kernel",
        statistics.conversations, statistics.packets, statistics.source.drops
    );
    report.judge(
        heard == said || statistics.source.drops > 0,
        format!("{PHASE}: {heard} of {said} bytes heard, {gaps} in gaps"),
    );
    let sides = 2 * statistics.conversations;
    let closed = tally.closed.load(Relaxed);
    report.judge(closed == sides, format!("{PHASE}: {closed} of {sides} sides closed"));
    Ok(done)
}

/// Starts a thread on `host` for each port.
fn in_threads<W>(
    host: &Namespace,
    mut work: impl FnMut(u16) -> io::Result<W>,
) -> Result<Vec<JoinHandle<io::Result<()>>>>
where
    W: FnOnce() -> io::Result<()> + Send + 'static,
{
    // Threads and sockets that are created here stay on the host.
    let _guard = host.enter()?;
    (FIRST_PORT..FIRST_PORT + PORTS).map(|port| Ok(thread::spawn(work(port)?))).collect()
}

fn serve(listener: &TcpListener, closed: &AtomicBool) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept()?;
        if closed.load(Relaxed) {
            return Ok(());
        }
        let mut request = [0; REQUEST.len()];
        stream.read_exact(&mut request)?;
        stream.write_all(&RESPONSE)?;
    }
}

fn ask(server: SocketAddr, stop: &AtomicBool, done: &AtomicU64) -> io::Result<()> {
    while !stop.load(Relaxed) {
        let mut stream = TcpStream::connect(server)?;
        stream.write_all(&REQUEST)?;
        let mut response = Vec::with_capacity(RESPONSE.len());
        stream.read_to_end(&mut response)?;
        done.fetch_add(1, Relaxed);
    }
    Ok(())
}
