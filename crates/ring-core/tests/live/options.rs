//! Settings of a capture.

use std::fs;
use std::time::{Duration, Instant};

use live_harness::{Missing, Result};
use netns::Namespace;
use ring_core::{
    Capture, CaptureBuilder, Error, GeometryProblem, RingGeometry, RingProfile, Timeout,
};

use crate::captures::{FEW, SHORT, drain, open};
use crate::hosts::{SOON, Sender, frame, wire};
use crate::socket_option::{SO_PREFER_BUSY_POLL, option};

fn open_as_is(host: &Namespace, builder: CaptureBuilder) -> Result<Capture> {
    Ok(host.run(|| builder.open())??)
}

/// Each profile has the documented ring, captures packets of 9,000 bytes, and hands over a single
/// packet within its timeout.
pub(crate) fn every_profile_receives() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (l, r) = wire(&left, &right)?;
    l.set_mtu(9000)?;
    r.set_mtu(9000)?;
    let sender = Sender::new(&left, "left0")?;
    for profile in [
        RingProfile::Balanced,
        RingProfile::Throughput,
        RingProfile::LowLatency,
        RingProfile::LowMemory,
        RingProfile::Jumbo,
    ] {
        let RingGeometry { block_size, blocks, timeout } = profile.geometry();
        let mut capture = open_as_is(&right, Capture::builder("right0").profile(profile))?;
        assert_eq!(capture.block_count(), blocks, "{profile:?}");
        assert_eq!(mapped_bytes()?, block_size * blocks, "{profile:?}");
        let started = Instant::now();
        sender.send(&[frame(1, 9014)])?;
        let block = capture.next_block(Timeout::After(SOON))?.expect("a packet");
        let took = started.elapsed();
        assert!(took < timeout * 2 + Duration::from_millis(200), "{profile:?}: {took:?}");
        assert!(block.packets().map(|packet| packet.data().to_vec()).eq([frame(1, 9014)]));
    }
    Ok(())
}

pub(crate) fn a_ring_has_the_size_that_is_asked_for() -> Result {
    let host = Namespace::new()?;
    for (bytes, blocks) in [(8 << 20, 8), (0, 2), (100 << 20, 100)] {
        let capture = open_as_is(&host, Capture::builder("lo").memory(bytes))?;
        assert_eq!((capture.block_count(), mapped_bytes()?), (blocks, blocks << 20));
    }
    // The kernel accepts any number of whole pages, not only powers of two, and any time.
    let odd = RingGeometry { block_size: 3 * 4096, blocks: 7, timeout: Duration::MAX };
    let capture = open_as_is(&host, Capture::builder("lo").geometry(odd))?;
    assert_eq!((capture.block_count(), mapped_bytes()?), (7, 21 * 4096));
    Ok(())
}

/// A single packet is handed over once the requested time has passed, not before and not much
/// later.
pub(crate) fn the_block_timeout_is_that_of_the_builder() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    for milliseconds in [1, 250] {
        let timeout = Duration::from_millis(milliseconds);
        let mut capture = open_as_is(&right, Capture::builder("right0").block_timeout(timeout))?;
        let started = Instant::now();
        sender.send(&[frame(1, 60)])?;
        assert!(capture.next_packet(Timeout::After(SOON))?.is_some());
        let took = started.elapsed();
        assert!(took < timeout * 2 + Duration::from_millis(200), "{took:?} for {timeout:?}");
        assert!(milliseconds < 100 || took > timeout / 2, "{took:?} for {timeout:?}");
    }
    Ok(())
}

/// Headroom before each packet reduces the room in the block, not the packets.
pub(crate) fn headroom_leaves_packets_as_they_are() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    let frames: Vec<_> = (0..100).map(|port| frame(port, 60 + usize::from(port))).collect();
    let mut room = Vec::new();
    // Without room for packets the kernel would drop them all.
    for (block_size, bytes) in [(1 << 20, 65_024), (1 << 20, u32::MAX), (4096, 3585)] {
        let geometry = RingGeometry { block_size, ..FEW };
        let builder = Capture::builder("right0").geometry(geometry).headroom(bytes);
        let refused = right.run(|| builder.open())?;
        let problem = GeometryProblem::Headroom;
        assert!(
            matches!(refused, Err(Error::Geometry { problem: told, .. }) if told == problem),
            "{refused:?}"
        );
    }
    for (block_size, bytes) in [(1 << 20, 65_023), (4096, 3584)] {
        let geometry = RingGeometry { block_size, ..FEW };
        let builder = Capture::builder("right0").geometry(geometry).headroom(bytes);
        let mut capture = open(&right, builder)?;
        sender.send(&frames[..1])?;
        assert_eq!(drain(&mut capture)?.len(), 1, "{bytes} of {block_size}");
    }
    for bytes in [0, 512] {
        let mut capture = open(&right, Capture::builder("right0").headroom(bytes))?;
        sender.send(&frames)?;
        let mut seen = Vec::new();
        let mut addresses = Vec::new();
        while let Some(block) = capture.next_block(SHORT)? {
            seen.extend(block.packets().map(|packet| packet.data().to_vec()));
            addresses.extend(block.packets().map(|packet| packet.data().as_ptr() as usize));
        }
        assert_eq!(seen, frames);
        room.push(addresses[1] - addresses[0]);
    }
    assert!(room[1] >= room[0] + 512, "{room:?}");
    Ok(())
}

/// The whole ring is in memory from the start, locked or not. Its pages belong to the kernel, which
/// neither locks nor counts them.
pub(crate) fn all_of_a_ring_is_in_memory() -> Result {
    let host = Namespace::new()?;
    for lock in [false, true] {
        let _capture = open_as_is(&host, Capture::builder("lo").geometry(FEW).lock_memory(lock))?;
        let smaps = fs::read_to_string("/proc/self/smaps")?;
        let mut lines = smaps.lines().skip_while(|line| !line.contains(" socket:["));
        let present = lines.find_map(|line| line.strip_prefix("Rss:")).ok_or("no Rss")?;
        assert_eq!(present.trim(), format!("{} kB", (FEW.block_size * FEW.blocks) >> 10));
    }
    Ok(())
}

/// Each option has the requested value in the kernel. The kernel accepts the budget but does not
/// report it.
pub(crate) fn socket_options_reach_the_kernel() -> Result {
    let host = Namespace::new()?;
    let capture = open(&host, Capture::builder("lo").geometry(FEW).receive_buffer(50_000))?;
    // The kernel doubles the value for its own needs.
    assert_eq!(option(libc::AF_PACKET, libc::SO_RCVBUF)?, 100_000);
    assert_eq!(
        (
            option(libc::AF_PACKET, libc::SO_BUSY_POLL)?,
            option(libc::AF_PACKET, SO_PREFER_BUSY_POLL)?
        ),
        (0, 0)
    );
    drop(capture);
    let builder = Capture::builder("lo")
        .geometry(FEW)
        .busy_poll(Duration::from_micros(70))
        .prefer_busy_poll(true)
        .busy_poll_budget(9);
    match host.run(|| builder.open())? {
        Ok(_capture) => {
            assert_eq!(option(libc::AF_PACKET, libc::SO_BUSY_POLL)?, 70);
            assert_eq!(option(libc::AF_PACKET, SO_PREFER_BUSY_POLL)?, 1);
        }
        Err(Error::Permission { needs, .. }) => {
            let missing = Missing::Privilege { what: "busy polling", privilege: needs[0].name() };
            return Err(missing.into());
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

pub(crate) fn no_snap_length_is_no_limit() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right, Capture::builder("right0").snaplen(0))?;
    Sender::new(&left, "left0")?.send(&[frame(1, 1514)])?;
    assert_eq!(drain(&mut capture)?.len(), 1);
    assert_eq!(capture.statistics()?.truncated, 0);
    Ok(())
}

/// Bytes of packet rings mapped in this process.
fn mapped_bytes() -> Result<usize> {
    let mut bytes = 0;
    for line in fs::read_to_string("/proc/self/maps")?.lines() {
        if let Some((from, rest)) = line.split_once('-').filter(|_| line.contains(" socket:[")) {
            let to = rest.split(' ').next().unwrap_or_default();
            bytes += usize::from_str_radix(to, 16)? - usize::from_str_radix(from, 16)?;
        }
    }
    Ok(bytes)
}
