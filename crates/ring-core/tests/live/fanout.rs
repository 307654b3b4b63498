//! Several captures that share an interface's packets.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use live_harness::{Result, none_dropped};
use netns::Namespace;
use ring_core::{
    Capture, CaptureGroup, CaptureGroupBuilder, Error, Fanout, FanoutMode, Instruction, Outgoing,
    RawFilter, RingGeometry, Timeout,
};

use crate::captures::{open, talk_to_self};
use crate::hosts::{SOON, Sender, frame, wire};

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

/// The packets of each member. Checks that the kernel has dropped none.
fn drain(group: &mut CaptureGroup) -> Result<Vec<Vec<Vec<u8>>>> {
    let seen = drain_all(group)?;
    none_dropped(group.statistics()?.drops)?;
    Ok(seen)
}

/// The packets of each member.
fn drain_all(group: &mut CaptureGroup) -> Result<Vec<Vec<Vec<u8>>>> {
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

/// On a virtual link a packet arrives on the sender's processor.
pub(crate) fn the_processor_chooses_the_member() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    let frames: Vec<_> = (0..100).map(|port| frame(port, 80)).collect();
    let processors = ring_sys::processor::allowed()?;
    let mut group = group(&right, 3, FanoutMode::Cpu, |group| group)?;
    for &processor in &processors {
        thread::scope(|scope| {
            let sending = scope.spawn(|| -> Result {
                ring_sys::processor::pin(processor)?;
                sender.send(&frames)
            });
            sending.join().expect("the sender")
        })?;
        let sizes: Vec<_> = drain(&mut group)?.iter().map(Vec::len).collect();
        let mut expected = [0; 3];
        expected[processor % 3] = 100;
        assert_eq!(sizes, expected, "processor {processor}");
    }
    Ok(())
}

pub(crate) fn rollover_is_counted() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut group = group(&right, 2, FanoutMode::Queue, CaptureGroupBuilder::rollover)?;
    // More than one ring of 1 MiB holds, less than two.
    let frames: Vec<_> = (0..5_000).map(|port| frame(port, 200)).collect();
    Sender::new(&left, "left0")?.send(&frames)?;
    let rollovers = group
        .members_mut()
        .iter()
        .map(|member| Ok(member.rollovers()?.all))
        .sum::<Result<u64>>()?;
    let seen = drain_all(&mut group)?;
    let (seen_packets, total) =
        (seen.iter().map(Vec::len).sum::<usize>() as u64, group.statistics()?);
    // The kernel's check for room is not exact: packets that find a block just filled are lost and
    // counted. Without rollover, all packets without room in the first ring would be lost, more
    // than a third.
    assert_eq!((total.packets, seen_packets + total.drops), (5_000, 5_000));
    assert!(total.drops < 500, "{total:?}");
    assert!(seen.iter().all(|frames| !frames.is_empty()));
    assert!(rollovers > 0);
    Ok(())
}

pub(crate) fn a_program_chooses_the_member() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    // The destination port, at its offset from the network header. Modulo two members, its lowest
    // bit decides.
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

/// No member gets a packet before all have joined. Otherwise flows would change their member while
/// the group grows.
pub(crate) fn a_group_is_whole_before_its_first_packet() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    let done = Arc::new(AtomicBool::new(false));
    let traffic = {
        let done = done.clone();
        thread::spawn(move || -> Result {
            let frames: Vec<_> = (0..64).map(|port| frame(port, 60)).collect();
            while !done.load(Ordering::Relaxed) {
                sender.send(&frames)?;
            }
            Ok(())
        })
    };
    let mut seen = 0;
    for _ in 0..20 {
        let mut group = group(&right, 3, FanoutMode::Hash, |group| group)?;
        let mut members: BTreeMap<[u8; 2], usize> = BTreeMap::new();
        for (at, member) in group.members_mut().iter_mut().enumerate() {
            let until = Instant::now() + Duration::from_millis(10);
            while Instant::now() < until {
                let Some(packet) = member.next_packet(Timeout::After(Duration::from_millis(5)))?
                else {
                    continue;
                };
                let port = [packet.data()[36], packet.data()[37]];
                assert_eq!(*members.entry(port).or_insert(at), at, "port {port:?}");
                seen += 1;
            }
        }
    }
    done.store(true, Ordering::Relaxed);
    traffic.join().expect("the sender")?;
    assert!(seen > 1_000, "{seen} packets are too few for a judgement");
    Ok(())
}

/// In a group the kernel uses the group's option, not the socket's.
pub(crate) fn a_group_on_loopback_gets_each_packet_once() -> Result {
    let host = Namespace::new()?;
    for (outgoing, copies) in [(Outgoing::Once, 1), (Outgoing::Always, 2), (Outgoing::Never, 1)] {
        let builder = Capture::builder("lo").geometry(SMALL).outgoing(outgoing);
        let mut group = host.run(|| builder.group(2, FanoutMode::Hash).open())??;
        talk_to_self(&host, &[b"once and only once"])?;
        let seen = drain(&mut group)?.concat();
        let found = seen.iter().filter(|data| data.ends_with(b"once and only once")).count();
        assert_eq!(found, copies, "{outgoing:?}");
    }
    // On a wire, sent packets are captured only on request.
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    for (outgoing, copies) in [(Outgoing::Once, 2), (Outgoing::Never, 1)] {
        let builder = Capture::builder("left0").geometry(SMALL).outgoing(outgoing);
        let mut group = left.run(|| builder.group(2, FanoutMode::LoadBalance).open())??;
        Sender::new(&left, "left0")?.send(&[frame(1, 60)])?;
        Sender::new(&right, "right0")?.send(&[frame(2, 60)])?;
        assert_eq!(drain(&mut group)?.concat().len(), copies, "{outgoing:?}");
    }
    Ok(())
}

/// Only the first fragment of a datagram has ports. Reassembled, all go to the member of their
/// flow.
pub(crate) fn fragments_are_put_together_on_request() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let whole = frame(7, 14 + 20 + 8 + 1000);
    let fragment = |from: usize, to: usize, more: u16| {
        let mut fragment = whole[..34].to_vec();
        fragment.extend(&whole[34 + from..34 + to]);
        fragment[16..18].copy_from_slice(&(20 + (to - from) as u16).to_be_bytes());
        fragment[18..20].copy_from_slice(&77_u16.to_be_bytes());
        fragment[20..22].copy_from_slice(&(more << 13 | (from / 8) as u16).to_be_bytes());
        let sum: u32 = fragment[14..34]
            .chunks(2)
            .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
            .sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        fragment[24..26].copy_from_slice(&(!(folded as u16)).to_be_bytes());
        fragment
    };
    let fragments = [fragment(0, 504, 1), fragment(504, 1008, 0)];
    let sender = Sender::new(&left, "left0")?;
    for together in [false, true] {
        let more = if together { CaptureGroupBuilder::defragment } else { |group| group };
        let mut group = group(&right, 2, FanoutMode::Hash, more)?;
        sender.send(&fragments)?;
        let seen = drain(&mut group)?.concat();
        if together {
            assert_eq!(seen.len(), 1);
            assert_eq!(seen[0][34..], whole[34..], "the datagram as it was sent");
        } else {
            assert_eq!(seen.len(), 2);
        }
    }
    Ok(())
}

/// Numbers chosen by the kernel are unique. Another capture can join by number, in the same mode
/// only.
pub(crate) fn groups_have_numbers_of_their_own() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let groups = (0..4)
        .map(|_| group(&right, 2, FanoutMode::LoadBalance, |group| group))
        .collect::<Result<Vec<_>>>()?;
    let numbers: BTreeSet<_> = groups.iter().map(CaptureGroup::number).collect();
    assert_eq!(numbers.len(), 4);
    drop(groups);

    let unique = open(
        &right,
        Capture::builder("right0").geometry(SMALL).fanout(Fanout::unique(FanoutMode::LoadBalance)),
    )?;
    drop(unique);
    let join = |mode| Capture::builder("right0").geometry(SMALL).fanout(Fanout::group(4711, mode));
    let mut first = open(&right, join(FanoutMode::LoadBalance))?;
    let mut second = open(&right, join(FanoutMode::LoadBalance))?;
    let refused = right.run(|| join(FanoutMode::Hash).open())?;
    assert!(matches!(refused, Err(Error::System { .. })), "{refused:?}");
    let frames: Vec<_> = (0..10).map(|port| frame(port, 60)).collect();
    Sender::new(&left, "left0")?.send(&frames)?;
    for member in [&mut first, &mut second] {
        assert!(member.next_packet(Timeout::After(SOON))?.is_some());
        assert_eq!(member.statistics()?.packets, 5);
    }
    Ok(())
}

/// Totals are sums over the members, which have their own.
pub(crate) fn statistics_of_members_add_up() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let program =
        RawFilter::new(vec![Instruction::statement(0x28, 22), Instruction::statement(0x16, 0)])?;
    let mut group = group(&right, 3, FanoutMode::Classic(program), |group| group)?;
    // Ports 0, 1, 1, 2, 2, 2.
    let ports = [0, 1, 1, 2, 2, 2];
    Sender::new(&left, "left0")?.send(&ports.map(|port| frame(port, 60)))?;
    let kept: Vec<_> = group
        .members_mut()
        .iter_mut()
        .map(|member| Ok(member.next_block(Timeout::After(SOON))?.expect("packets").share()))
        .collect::<Result<_>>()?;
    let members = group.member_statistics()?;
    assert_eq!(members.iter().map(|member| member.packets).collect::<Vec<_>>(), [1, 2, 3]);
    let total = group.statistics()?;
    assert_eq!((total.packets, total.drops, total.blocks_on_loan), (6, 0, 3));
    drop(kept);
    assert_eq!(group.statistics()?.blocks_on_loan, 0);
    Ok(())
}
