//! Several captures that share an interface's packets.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use live_harness::Result;
use netns::Namespace;
use ring_core::{
    Capture, CaptureGroup, CaptureGroupBuilder, FanoutMode, Instruction, RawFilter, RingGeometry,
    Timeout,
};

use crate::hosts::{Sender, frame, wire};

const SHORT: Timeout = Timeout::After(Duration::from_millis(200));
const SMALL: RingGeometry =
    RingGeometry { block_size: 1 << 16, blocks: 16, timeout: Duration::from_millis(5) };

fn group(
    host: &Namespace,
    members: usize,
    mode: FanoutMode,
    more: fn(CaptureGroupBuilder) -> CaptureGroupBuilder,
) -> Result<CaptureGroup> {
    let builder = Capture::builder("right0").geometry(SMALL).group(members, mode);
    Ok(host.run(|| more(builder).open())??)
}

/// What each member got.
fn drain(group: &mut CaptureGroup) -> Result<Vec<Vec<Vec<u8>>>> {
    let mut seen = Vec::new();
    for member in group.members_mut() {
        let mut frames = Vec::new();
        while let Some(block) = member.next_block(SHORT)? {
            frames.extend(block.packets().map(|packet| packet.data().to_vec()));
        }
        seen.push(frames);
    }
    Ok(seen)
}

pub(crate) fn both_directions_of_a_flow_go_to_one_member() -> Result {
    const FLOWS: u16 = 1000;
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut group = group(&right, 3, FanoutMode::Hash, |group| group)?;
    let server = right.run(|| UdpSocket::bind("10.9.0.2:7777"))??;
    server.set_read_timeout(Some(Duration::from_secs(5)))?;
    let clients = left.run(|| -> io::Result<Vec<_>> {
        (0..FLOWS).map(|flow| UdpSocket::bind(("10.9.0.1", 20_000 + flow))).collect()
    })??;
    let mut buffer = [0; 64];
    for client in &clients {
        client.send_to(b"question", "10.9.0.2:7777")?;
        let (len, peer) = server.recv_from(&mut buffer)?;
        server.send_to(&buffer[..len], peer)?;
    }
    let mut flows: BTreeMap<u16, (BTreeSet<usize>, usize)> = BTreeMap::new();
    let mut sizes = Vec::new();
    for (member, frames) in drain(&mut group)?.into_iter().enumerate() {
        sizes.push(frames.len());
        for frame in frames.iter().filter(|frame| frame[12..14] == [8, 0]) {
            let port = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
            let client = if port(34) == 7777 { port(36) } else { port(34) };
            let (members, packets) = flows.entry(client).or_default();
            members.insert(member);
            *packets += 1;
        }
    }
    assert_eq!(flows.len(), usize::from(FLOWS));
    for (client, (members, packets)) in flows {
        assert_eq!((members.len(), packets), (1, 2), "flow of port {client}");
    }
    assert!(sizes.iter().all(|&packets| packets > 300), "all members have work: {sizes:?}");
    assert_eq!(group.statistics()?.packets, sizes.iter().sum::<usize>() as u64);
    Ok(())
}

pub(crate) fn every_mode_delivers_each_packet_to_one_member() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    let frames: Vec<_> = (0..600).map(|port| frame(port, 80)).collect();
    let mut numbers = BTreeSet::new();
    for mode in [
        FanoutMode::Hash,
        FanoutMode::LoadBalance,
        FanoutMode::Cpu,
        FanoutMode::Rollover,
        FanoutMode::Random,
        FanoutMode::Queue,
    ] {
        let mut group =
            group(&right, 3, mode.clone(), |group| group.defragment().ignore_outgoing())?;
        numbers.insert(group.number());
        sender.send(&frames)?;
        let seen = drain(&mut group)?;
        let sizes: Vec<_> = seen.iter().map(Vec::len).collect();
        let mut all = seen.concat();
        all.sort();
        let mut expected = frames.clone();
        expected.sort();
        assert_eq!(all, expected, "{mode:?}");
        match mode {
            FanoutMode::LoadBalance => assert_eq!(sizes, [200, 200, 200]),
            FanoutMode::Hash | FanoutMode::Random => {
                assert!(sizes.iter().all(|&size| size > 100), "{sizes:?}");
            }
            FanoutMode::Rollover | FanoutMode::Queue => assert_eq!(sizes.iter().max(), Some(&600)),
            _ => {}
        }
    }
    assert!(!numbers.is_empty());
    Ok(())
}

pub(crate) fn rollover_is_counted() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut group = group(&right, 2, FanoutMode::Queue, CaptureGroupBuilder::rollover)?;
    // More than one ring of a MiB holds, less than two.
    let frames: Vec<_> = (0..5_000).map(|port| frame(port, 200)).collect();
    Sender::new(&left, "left0")?.send(&frames)?;
    let rollovers = group
        .members_mut()
        .iter()
        .map(|member| Ok(member.rollovers()?.all))
        .sum::<Result<u64>>()?;
    let seen = drain(&mut group)?;
    let (seen_packets, total) =
        (seen.iter().map(Vec::len).sum::<usize>() as u64, group.statistics()?);
    // The kernel's look for room is not exact: the packet that finds the block just filled is lost, and counted.
    assert_eq!((total.packets, seen_packets + total.drops), (5_000, 5_000));
    assert!(total.drops < 10, "{total:?}");
    assert!(seen.iter().all(|frames| !frames.is_empty()));
    assert!(rollovers > 0);
    Ok(())
}

pub(crate) fn a_program_chooses_the_member() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    // The destination port, from the network header on: modulo two members its lowest bit.
    let program =
        RawFilter::new(vec![Instruction::statement(0x28, 22), Instruction::statement(0x16, 0)])?;
    let mut group = group(&right, 2, FanoutMode::Classic(program), |group| group)?;
    let frames: Vec<_> = (0..200).map(|port| frame(port, 80)).collect();
    Sender::new(&left, "left0")?.send(&frames)?;
    let seen = drain(&mut group)?;
    for (member, frames) in seen.iter().enumerate() {
        assert_eq!(frames.len(), 100);
        assert!(frames.iter().all(|frame| usize::from(frame[37] % 2) == member));
    }
    Ok(())
}

pub(crate) fn members_run_on_their_processors() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let processors = ring_sys::processor::allowed()?;
    let wanted = [processors[0], *processors.last().expect("one at least")];
    let threads = group(&right, 3, FanoutMode::Hash, |group| group)?
        .spawn(&wanted, |member, capture| {
            (member, capture.block_count(), ring_sys::processor::allowed())
        })?;
    for thread in threads {
        let (member, blocks, allowed) = thread.join().expect("the member");
        assert_eq!(blocks, 16);
        let expected = wanted.get(member).map_or(processors.clone(), |&processor| vec![processor]);
        assert_eq!(allowed?, expected);
    }
    assert!(group(&right, 1, FanoutMode::Hash, |group| group)?.spawn(&[9999], |_, _| ()).is_err());
    Ok(())
}
