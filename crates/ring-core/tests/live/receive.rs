//! Captured packets: their number, order and content.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use live_harness::{Result, none_dropped};
use netns::Namespace;
use ring_core::{
    Capture, Dedup, Deduplicated, Direction, Error, Instruction, LinkType, Next, Outgoing,
    PacketBatch as _, PacketSource, RawFilter, RingProfile, Timeout,
};

use crate::captures::{SHORT, count_with, drain, open, talk_to_self, to_port};
use crate::hosts::{SOON, Sender, frame, wire};

pub(crate) fn loopback_delivers_each_packet_once() -> Result {
    let host = Namespace::new()?;
    let mut capture = open(&host, Capture::builder("lo"))?;
    assert_eq!(capture.link_type(), Some(LinkType::ETHERNET));
    talk_to_self(&host, &[b"once and only once"])?;
    let seen = drain(&mut capture)?;
    assert_eq!(count_with(&seen, b"once and only once"), 1);
    let statistics = capture.statistics()?;
    assert_eq!(statistics.packets, seen.len() as u64);
    assert_eq!((statistics.drops, statistics.malformed, statistics.blocks_on_loan), (0, 0, 0));
    Ok(())
}

pub(crate) fn loopback_delivers_twice_on_request() -> Result {
    let host = Namespace::new()?;
    let mut capture = open(&host, Capture::builder("lo").outgoing(Outgoing::Always))?;
    talk_to_self(&host, &[b"both ways"])?;
    let seen = drain(&mut capture)?;
    assert_eq!(count_with(&seen, b"both ways"), 2);
    assert_eq!(seen.iter().filter(|(_, direction)| *direction == Direction::Outgoing).count(), 1);
    Ok(())
}

pub(crate) fn any_delivers_loopback_once_and_what_is_sent() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (l, _r) = wire(&left, &right)?;
    let mut capture = open(&left, Capture::builder("any"))?;
    assert_eq!(capture.link_type(), None);
    talk_to_self(&left, &[b"to myself"])?;
    let payload = frame(53, 60);
    Sender::new(&left, "left0")?.send(std::slice::from_ref(&payload))?;
    let mut interfaces = HashMap::new();
    let mut seen = Vec::new();
    while let Some(block) = capture.next_block(SHORT)? {
        for packet in &block {
            assert_eq!(packet.link_type(), LinkType::ETHERNET);
            assert_eq!(packet.meta().network_offset, Some(14));
            *interfaces.entry(packet.meta().interface).or_insert(0) += 1;
            seen.push((packet.data().to_vec(), packet.meta().direction));
        }
    }
    assert_eq!(count_with(&seen, b"to myself"), 1);
    assert!(seen.contains(&(payload, Direction::Outgoing)), "what this host sends is seen");
    assert_eq!(interfaces, HashMap::from([(1, 1), (l.index(), 1)]));
    Ok(())
}

pub(crate) fn what_is_sent_is_left_out_on_request() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&left, Capture::builder("left0").outgoing(Outgoing::Never))?;
    Sender::new(&left, "left0")?.send(&[frame(1, 60)])?;
    Sender::new(&right, "right0")?.send(&[frame(2, 60)])?;
    let seen = drain(&mut capture)?;
    assert_eq!(seen.iter().map(|(data, _)| data.clone()).collect::<Vec<_>>(), [frame(2, 60)]);
    Ok(())
}

/// TCP over veth moves segments of up to 64 KiB as one packet. They must be captured whole, with
/// the defaults and with the smallest profile.
pub(crate) fn large_segments_fit() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    for profile in [RingProfile::Balanced, RingProfile::LowMemory] {
        let mut capture = open(&left, Capture::builder("left0").profile(profile))?;
        let listener = right.run(|| TcpListener::bind("10.9.0.2:0"))??;
        let address = listener.local_addr()?;
        let reader = thread::spawn(move || {
            let mut got = Vec::new();
            listener.accept()?.0.read_to_end(&mut got).map(|_| got.len())
        });
        let mut stream = left.run(|| TcpStream::connect(address))??;
        let bytes = vec![7; 1 << 20];
        let writer = thread::spawn(move || stream.write_all(&bytes));
        let (mut longest, mut payload) = (0, 0);
        while let Some(block) = capture.next_block(SHORT)? {
            for packet in &block {
                assert!(!packet.is_truncated(), "{packet:?}");
                longest = longest.max(packet.data().len());
                if packet.meta().direction == Direction::Outgoing
                    && packet.data()[36..38] == address.port().to_be_bytes()
                {
                    let ip = &packet.data()[14..];
                    let header = 20 + usize::from(ip[32] >> 4) * 4;
                    payload += packet.data().len() - 14 - header;
                }
            }
        }
        writer.join().expect("the writer")?;
        assert_eq!(reader.join().expect("the reader")?, 1 << 20);
        none_dropped(capture.statistics()?.drops)?;
        assert!(longest > 9000, "no large segment was seen: {longest}");
        assert!(payload >= 1 << 20, "{payload}");
    }
    Ok(())
}

pub(crate) fn vlan_tags_are_in_the_metadata() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right, Capture::builder("right0"))?;
    let plain = frame(5, 60);
    let tagged = |tpid: u16| {
        let mut tagged = plain.clone();
        tagged.splice(12..12, [tpid.to_be_bytes(), 0xa064_u16.to_be_bytes()].concat());
        tagged
    };
    Sender::new(&left, "left0")?.send(&[tagged(0x8100), tagged(0x88a8), plain.clone()])?;
    let mut seen = Vec::new();
    while let Some(block) = capture.next_block(SHORT)? {
        for packet in &block {
            assert_eq!(packet.data(), plain, "the kernel takes the tag off");
            assert_eq!(packet.meta().network_offset, Some(14));
            seen.push(packet.vlan().map(|tag| (tag.tpid, tag.id(), tag.priority())));
        }
    }
    assert_eq!(seen, [Some((0x8100, 100, 5)), Some((0x88a8, 100, 5)), None]);
    Ok(())
}

pub(crate) fn snaplen_truncates_and_counts() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    for builder in [Capture::builder("right0"), Capture::builder("right0").filter(to_port(7))] {
        let mut capture = open(&right, builder.snaplen(50))?;
        Sender::new(&left, "left0")?.send(&[
            frame(7, 45),
            frame(7, 50),
            frame(7, 51),
            frame(7, 1000),
        ])?;
        let mut seen = Vec::new();
        while let Some(block) = capture.next_block(SHORT)? {
            seen.extend(block.packets().map(|p| (p.data().len(), p.wire_len(), p.is_truncated())));
        }
        assert_eq!(seen, [(45, 45, false), (50, 50, false), (50, 51, true), (50, 1000, true)]);
        assert_eq!(capture.statistics()?.truncated, 2);
    }
    let computed =
        RawFilter::new(vec![Instruction::statement(0x80, 0), Instruction::statement(0x16, 0)])?;
    let refused = right.run(|| Capture::builder("right0").filter(computed).snaplen(50).open())?;
    assert!(matches!(refused, Err(Error::FilterSnaplen)));
    Ok(())
}

pub(crate) fn packets_one_by_one_and_by_block_mix() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right, Capture::builder("right0"))?;
    let frames: Vec<_> = (1..=100).map(|port| frame(port, 60)).collect();
    Sender::new(&left, "left0")?.send(&frames)?;
    let mut numbers = Vec::new();
    let mut seen = Vec::new();
    for _ in 0..30 {
        let packet = capture.next_packet(Timeout::After(SOON))?.expect("a hundred packets");
        numbers.push(packet.number());
        seen.push(packet.data().to_vec());
    }
    while let Some(block) = capture.next_block(SHORT)? {
        numbers.extend(block.packets().map(|packet| packet.number()));
        seen.extend(block.packets().map(|packet| packet.data().to_vec()));
    }
    assert_eq!(seen, frames);
    assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
    assert!(capture.next_packet(Timeout::Now)?.is_none());
    Ok(())
}

/// Packets that are captured twice are delivered once: on loopback, where each is seen when sent
/// and when received, and on `any`, at both ends of a wire. Packets that are sent twice stay, if
/// only copies from another interface count.
pub(crate) fn duplicates_are_left_out() -> Result {
    let host = Namespace::new()?;
    host.set_sysctl("ipv6/conf/default/disable_ipv6", "1")?;
    let capture = open(&host, Capture::builder("lo").outgoing(Outgoing::Always))?;
    let mut once = Deduplicated::new(capture, Dedup::new(SOON));
    talk_to_self(&host, &[b"the first", b"the second"])?;
    let seen = remaining(&mut once)?;
    assert!(seen.len() == 2 && seen[0].ends_with(b"first") && seen[1].ends_with(b"second"));
    let statistics = once.dedup_statistics();
    assert_eq!((statistics.packets, statistics.duplicates, statistics.forgotten), (4, 2, 0));
    assert_eq!(once.statistics()?.packets, 4);

    let (one, other) = host.veth_to(&host, "one0", "other0")?;
    for end in [&one, &other] {
        end.up()?;
    }
    one.wait_until_running(SOON)?;
    other.wait_until_running(SOON)?;
    let frames = [frame(1, 60), frame(1, 60), frame(2, 60)];
    for (between_interfaces, expected) in [(false, &frames[1..]), (true, &frames[..])] {
        let capture = open(&host, Capture::builder("any"))?;
        let dedup = Dedup::new(SOON).between_interfaces(between_interfaces);
        let mut once = Deduplicated::new(capture, dedup);
        Sender::new(&host, "one0")?.send(&frames)?;
        assert_eq!(remaining(&mut once)?, expected);
        assert_eq!(once.dedup_statistics().packets, 6);
    }
    Ok(())
}

fn remaining(source: &mut impl PacketSource) -> Result<Vec<Vec<u8>>> {
    let mut seen = Vec::new();
    while let Next::Batch(batch) = source.next_batch(SHORT)? {
        seen.extend(batch.packets().map(|packet| packet.data().to_vec()));
    }
    Ok(seen)
}
