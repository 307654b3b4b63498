//! Common parts of the tests.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use live_harness::{Missing, Result, none_dropped};
use netns::Namespace;
use ring_core::{Next, PacketBatch as _, PacketSource, Timeout, xdp};

/// Timeout for events that should happen immediately.
pub(crate) const SOON: Duration = Duration::from_secs(5);
/// Time to wait for events that should not happen.
pub(crate) const SHORT: Duration = Duration::from_millis(200);

pub(crate) const MODES: [xdp::Attach; 2] = [xdp::Attach::Native, xdp::Attach::Generic];

/// Opens a socket inside a namespace. Without real root the test cannot run, and reports that.
pub(crate) fn open(host: &Namespace, builder: &xdp::SocketBuilder) -> Result<xdp::Socket> {
    match opened(host, builder)? {
        Err(xdp::Error::Permission { operation, needs }) => {
            Err(Missing::Privilege { what: operation, privilege: needs[0].name() }.into())
        }
        // Of an ordinary user. Memory of sockets of other tests may still count.
        Err(xdp::Error::LockedMemory { .. }) => {
            let privilege = "cap_ipc_lock or a higher limit of locked memory";
            Err(Missing::Privilege { what: "locking packet memory", privilege }.into())
        }
        opened => Ok(opened?),
    }
}

/// Like [`open`], for tests of sockets that cannot be opened.
pub(crate) fn opened(
    host: &Namespace,
    builder: &xdp::SocketBuilder,
) -> Result<Result<xdp::Socket, xdp::Error>> {
    Ok(host.run(|| builder.clone().open())?)
}

/// Reports that the test cannot run if AF_XDP is not available.
pub(crate) fn need_root() -> Result {
    open(&Namespace::new()?, &xdp::Socket::builder("lo").attach(xdp::Attach::Generic)).map(drop)
}

/// Collects `count` packets, or fewer if none arrive for a while. Checks that the kernel has
/// dropped none if there are fewer.
pub(crate) fn collect(source: &mut impl PacketSource, count: usize) -> Result<Vec<Vec<u8>>> {
    let mut seen = Vec::new();
    let started = Instant::now();
    while seen.len() < count && started.elapsed() < SOON {
        if let Next::Batch(batch) = source.next_batch(Timeout::After(SHORT))? {
            seen.extend(batch.packets().map(|packet| packet.data().to_vec()));
        }
    }
    if seen.len() < count {
        none_dropped(source.statistics()?.drops)?;
    }
    Ok(seen)
}

/// Checks that nothing arrives.
pub(crate) fn assert_silent(source: &mut impl PacketSource) -> Result {
    if let Next::Batch(batch) = source.next_batch(Timeout::After(SHORT))? {
        let data: Vec<_> = batch.packets().map(|packet| packet.data().to_vec()).collect();
        panic!("{} packets where none should be: {data:02x?}", data.len());
    }
    Ok(())
}

/// Frames with different ports, and lengths from 60 bytes to `longest`.
pub(crate) fn frames(count: usize, longest: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|n| {
            let mut frame = crate::hosts::frame(2000 + n as u16, 60 + n % (longest - 59));
            let tail = frame.len() - 4;
            frame[tail..].copy_from_slice(&(n as u32).to_be_bytes());
            frame
        })
        .collect()
}

/// Checks that both are the same packets, in any order.
pub(crate) fn assert_same(seen: &[Vec<u8>], expected: &[Vec<u8>]) {
    fn counted(packets: &[Vec<u8>]) -> BTreeMap<&[u8], usize> {
        packets.iter().fold(BTreeMap::new(), |mut counts, packet| {
            *counts.entry(&packet[..]).or_default() += 1;
            counts
        })
    }
    assert_eq!(seen.len(), expected.len());
    assert!(counted(seen) == counted(expected), "the same number, but not the same packets");
}

/// Runs a program inside a namespace until it ends.
pub(crate) fn run(host: &Namespace, name: &'static str, arguments: &[&str]) -> Result<String> {
    let program = live_harness::program(name, name)?;
    let mut command = Command::new(program);
    command.args(arguments).stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let output = host.spawn(&mut command)?.output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        let problem = text(&output.stderr);
        return Err(format!("{name} {arguments:?}: {}: {problem}", output.status).into());
    }
    Ok(text(&output.stdout))
}
