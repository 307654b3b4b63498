//! The cost of an idle capture.

use std::{
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};

use live::{CLIENT, PATIENCE, SERVER, Wire};
use live_harness::Result;
use nix::time::{ClockId, clock_gettime};
use ring_core::{Capture, Timeout};

/// Long enough that one percent of it is well above the resolution of a clock tick.
const WATCHED: Duration = Duration::from_secs(3);

/// Checks that a held block does not cause a busy loop: while it is held, poll(2) on the socket
/// would return immediately.
pub(crate) fn a_kept_block_does_not_spin() -> Result {
    let wire = Wire::new()?;
    let capture = wire.server.run(|| Capture::open(SERVER))?;
    let mut capture = capture?;
    wire.client.run(|| UdpSocket::bind("10.7.0.2:0")?.send_to(b"x", "10.7.0.1:9"))??;
    let mut kept = Vec::new();
    let started = Instant::now();
    // Everything that is in flight (the ARP exchange, the datagram, the refusal), until no more
    // packets arrive.
    while kept.is_empty() || started.elapsed() < Duration::from_millis(500) {
        assert!(started.elapsed() < PATIENCE, "nothing was captured");
        if let Some(block) = capture.next_block(Timeout::After(Duration::from_millis(100)))? {
            kept.push(block.share());
        }
    }
    let (used, started) = (cpu(ClockId::CLOCK_THREAD_CPUTIME_ID)?, Instant::now());
    while started.elapsed() < WATCHED {
        if let Some(block) = capture.next_block(Timeout::After(WATCHED))? {
            kept.push(block.share());
        }
    }
    let used = cpu(ClockId::CLOCK_THREAD_CPUTIME_ID)? - used;
    println!("{used:?} in {:?} with {} blocks kept", started.elapsed(), kept.len());
    assert!(used < started.elapsed() / 100, "{used:?}");
    Ok(())
}

/// Checks the same through the engine: the whole process, with a reader that keeps the bytes it has
/// read.
pub(crate) fn a_kept_chunk_does_not_spin() -> Result {
    use conversation::{Chunk, FlowStreamExt as _};
    use futures::StreamExt as _;
    use std::{io::Write as _, net::TcpListener, net::TcpStream};

    let wire = Wire::new()?;
    let capture = wire.client.run(|| Capture::open(CLIENT))?;
    let mut conversations = capture?.flow_conversations(flow::FiveTuple::bidirectional());
    let listener = wire.server.run(|| TcpListener::bind("10.7.0.1:7"))??;
    let mut client = wire.client.run(|| TcpStream::connect("10.7.0.1:7"))??;
    let _server = listener.accept()?;
    // Larger than the limit up to which bytes are copied.
    client.write_all(&[7; 60_000])?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut kept = Vec::new();
    let conversation = runtime.block_on(async {
        let mut conversation = conversations.next().await.ok_or("no conversation")??;
        let mut length = 0;
        while length < 60_000 {
            if let Some(Chunk::Initiator(data)) = conversation.next_chunk().await {
                length += data.len();
                kept.push(data.into_bytes());
            }
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(conversation)
    })?;
    thread::sleep(Duration::from_millis(500));
    let (used, started) = (cpu(ClockId::CLOCK_PROCESS_CPUTIME_ID)?, Instant::now());
    thread::sleep(WATCHED);
    let used = cpu(ClockId::CLOCK_PROCESS_CPUTIME_ID)? - used;
    println!("{used:?} in {:?} with {} chunks kept", started.elapsed(), kept.len());
    assert!(used < started.elapsed() / 100, "{used:?}");
    drop(conversation);
    Ok(())
}

fn cpu(clock: ClockId) -> Result<Duration> {
    Ok(clock_gettime(clock)?.into())
}
