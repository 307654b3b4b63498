//! Sending, judged by what the peer receives.

use std::time::Duration;

use live_harness::Result;
use netns::Namespace;
use ring_core::{Capture, Next, PacketSource as _, Timeout, xdp};

use crate::hosts::{Sender, wire};
use crate::setup::{MODES, SOON, assert_same, collect, frames, open};

/// A capture of all packets at the peer.
fn peer(host: &Namespace, interface: &str) -> Result<Capture> {
    let builder = Capture::builder(interface).block_timeout(Duration::from_millis(5));
    Ok(host.run(|| builder.open())??)
}

pub(crate) fn packets_arrive_at_the_peer() -> Result {
    for mode in MODES {
        let (left, right) = (Namespace::new()?, Namespace::new()?);
        let _links = wire(&left, &right)?;
        let mut peer = peer(&left, "left0")?;
        let builder =
            xdp::Socket::builder("right0").attach(mode).zero_copy(xdp::ZeroCopy::Forbidden);
        let mut socket = open(&right, &builder)?;
        assert!(!socket.outcome().zero_copy);
        let umem = socket.umem();
        let sent = frames(1000, 1514);
        for frame in &sent {
            assert!(socket.send_bytes(frame)?);
        }
        socket.flush()?;
        assert_same(&collect(&mut peer, sent.len())?, &sent);
        // The same without a copy on the sending side.
        for packet in &sent {
            let mut frame = socket.frame()?.expect("frames came back");
            frame.write(packet)?;
            socket.send(frame)?;
        }
        assert!(socket.sender()?.drain(Timeout::After(SOON))?);
        assert_same(&collect(&mut peer, sent.len())?, &sent);
        let statistics = socket.sender()?.sender_statistics()?;
        assert_eq!((statistics.sent, statistics.completed), (2000, 2000));
        assert_eq!((statistics.invalid, statistics.malformed, statistics.in_flight), (0, 0, 0));
        drop(socket);
        assert_eq!(umem.free_frames(), umem.frames() as usize);
    }
    Ok(())
}

pub(crate) fn packets_are_answered_on_one_socket() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let mut peer = peer(&left, "left0")?;
    // Fewer frames than packets, so this completes only if sent frames are returned.
    let memory = xdp::UmemConfig::new().frames(64);
    let builder = xdp::Socket::builder("right0").ring_size(64).fill_target(64).memory(memory);
    let mut socket = open(&right, &builder)?;
    let sender = Sender::new(&left, "left0")?;
    let sent = frames(1000, 500);
    let mut answered = 0;
    for part in sent.chunks(32) {
        sender.send(part)?;
        let mut got = 0;
        while got < part.len() {
            let (receiver, sender) = socket.halves()?;
            let Next::Batch(batch) = receiver.next_batch(Timeout::After(SOON))? else {
                panic!("{answered} answered")
            };
            for (mut frame, _) in batch.into_frames() {
                got += 1;
                let data = frame.data_mut();
                data[..12].rotate_left(6);
                sender.send(frame)?;
            }
            sender.flush()?;
        }
        answered += got;
    }
    let seen = collect(&mut peer, 2 * sent.len())?;
    let (questions, answers): (Vec<_>, Vec<_>) =
        seen.into_iter().partition(|frame| frame[..6] == sent[0][..6]);
    assert_same(&questions, &sent);
    let mut expected = sent;
    expected.iter_mut().for_each(|frame| frame[..12].rotate_left(6));
    assert_same(&answers, &expected);
    assert_eq!(socket.statistics()?.drops, 0);
    Ok(())
}

pub(crate) fn more_than_the_ring_holds_is_sent() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let mut peer = peer(&left, "left0")?;
    let memory = xdp::UmemConfig::new().frames(16);
    let builder = xdp::Socket::builder("right0").direction(xdp::Direction::Send);
    let mut socket = open(&right, &builder.ring_size(16).memory(memory))?;
    let sent = frames(2000, 300);
    let mut waits = 0;
    for frame in &sent {
        while !socket.send_bytes(frame)? {
            waits += 1;
            assert!(socket.sender()?.wait_for_room(Timeout::After(SOON))?, "room");
        }
    }
    assert!(waits >= 100, "16 frames, and only {waits} waits");
    assert!(socket.sender()?.drain(Timeout::After(SOON))?);
    assert_same(&collect(&mut peer, sent.len())?, &sent);
    // Queued packets are sent when the socket is dropped.
    assert!(socket.send_bytes(&sent[0])?);
    drop(socket);
    assert_eq!(collect(&mut peer, 1)?, sent[..1]);
    Ok(())
}

pub(crate) fn long_packets_are_sent_in_pieces() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (l, r) = wire(&left, &right)?;
    l.set_mtu(9000)?;
    r.set_mtu(9000)?;
    let mut peer = peer(&left, "left0")?;
    let builder = xdp::Socket::builder("right0").multi_buffer(xdp::MultiBuffer::On);
    let mut socket = open(&right, &builder)?;
    let sent = vec![
        crate::hosts::frame(1, 9014),
        crate::hosts::frame(2, 60),
        crate::hosts::frame(3, 4096),
        crate::hosts::frame(4, 4097),
    ];
    for frame in &sent {
        assert!(socket.send_bytes(frame)?);
    }
    socket.flush()?;
    assert_eq!(collect(&mut peer, sent.len())?, sent);
    assert!(socket.send_bytes(&[0; 9019]).is_err(), "longer than the interface sends");
    Ok(())
}

pub(crate) fn checksums_and_times_of_sending() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let mut peer = peer(&left, "left0")?;
    let memory = xdp::UmemConfig::new().frames(256).software_checksum(true);
    let builder = xdp::Socket::builder("right0").direction(xdp::Direction::Send).memory(memory);
    let mut socket = open(&right, &builder)?;
    let mut packet = crate::hosts::frame(9, 99);
    // The sum of the pseudo-header, in the checksum's place.
    let udp_len = (packet.len() - 34) as u16;
    let pseudo = sum(&packet[26..34]) + 17 + u32::from(udp_len);
    packet[40..42].copy_from_slice(&fold(pseudo).to_be_bytes());
    let mut numbers = Vec::new();
    for request in [
        xdp::SendRequest::new().checksum(34, 6),
        xdp::SendRequest::new().timestamp(),
        xdp::SendRequest::new().checksum(34, 6).timestamp(),
        xdp::SendRequest::default(),
    ] {
        let mut frame = socket.frame()?.expect("a frame");
        frame.write(&packet)?;
        numbers.push(socket.sender()?.send_with(frame, request)?);
    }
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert!(socket.sender()?.drain(Timeout::After(SOON))?);
    let seen = collect(&mut peer, 4)?;
    let valid: Vec<_> =
        seen.iter().map(|frame| fold(pseudo + sum(&frame[34..])) == 0xffff).collect();
    assert_eq!(valid, [true, false, true, false]);
    let mut stamps = Vec::new();
    while let Some(stamp) = socket.sender()?.next_timestamp()? {
        assert!(stamp.nanoseconds > 1_700_000_000_000_000_000, "{stamp:?}");
        stamps.push(stamp.number);
    }
    assert_eq!(stamps, [2, 3]);
    Ok(())
}

pub(crate) fn a_socket_that_only_sends_attaches_nothing() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let builder = xdp::Socket::builder("right0").direction(xdp::Direction::Send);
    let mut socket = open(&right, &builder)?;
    assert_eq!(socket.outcome().mode, None);
    let index = socket.interface();
    let attached = right.run(|| ring_sys::xdp::attachment::attached(index))??;
    assert_eq!(attached, Default::default());
    assert!(socket.receiver().is_err() && socket.next_batch(Timeout::Now).is_err());
    // So another socket may receive, with any program, on another queue or interface; here in
    // generic mode on this one.
    drop(socket);
    let builder = xdp::Socket::builder("right0").attach(xdp::Attach::Generic);
    let mut socket = open(&right, &builder.direction(xdp::Direction::Receive))?;
    assert!(socket.send_bytes(&[0; 60]).is_err() && socket.frame().is_err());
    Ok(())
}

fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        [high] => u32::from(*high) << 8,
        _ => 0,
    });
    words.sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
