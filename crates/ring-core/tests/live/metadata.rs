//! Metadata of packets.

use std::net::UdpSocket;
use std::time::SystemTime;

use live_harness::Result;
use netns::{Namespace, Offload};
use ring_core::{Capture, ChecksumStatus, Direction, Error, LinkType, PacketMeta, TimestampSource};
use ring_sys::packet::{PacketSocket, abi};

use crate::captures::{SHORT, open};
use crate::hosts::{Sender, frame, wire};

fn metas(capture: &mut Capture) -> Result<Vec<PacketMeta>> {
    let mut metas = Vec::new();
    while let Some(packet) = capture.next_packet(SHORT)? {
        metas.push(*packet.meta());
    }
    Ok(metas)
}

pub(crate) fn directions_interfaces_and_numbers() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (_l, r) = wire(&left, &right)?;
    let mut capture = open(&right, Capture::builder("right0").promiscuous(true))?;
    let to = |address: [u8; 6]| {
        let mut frame = frame(7, 60);
        frame[..6].copy_from_slice(&address);
        frame
    };
    let addresses = [r.mac()?, [0xff; 6], [1, 0, 0x5e, 0, 0, 1], [2, 0, 0, 0, 0, 0x98]];
    Sender::new(&left, "left0")?.send(&addresses.map(to))?;
    Sender::new(&right, "right0")?.send(&[frame(8, 61)])?;
    let metas = metas(&mut capture)?;
    assert_eq!(
        metas.iter().map(|meta| meta.direction).collect::<Vec<_>>(),
        [
            Direction::Host,
            Direction::Broadcast,
            Direction::Multicast,
            Direction::OtherHost,
            Direction::Outgoing
        ]
    );
    for (at, meta) in metas.iter().enumerate() {
        assert_eq!((meta.number, meta.interface), (at as u64 + 1, r.index()));
        assert_eq!((meta.link_type, meta.network_offset), (LinkType::ETHERNET, Some(14)));
        assert_eq!((meta.vlan, meta.hash, meta.losing), (None, None, false));
        assert_eq!(meta.wire_len, if at == 4 { 61 } else { 60 });
    }
    Ok(())
}

pub(crate) fn time_stamps_are_the_kernels() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right, Capture::builder("right0"))?;
    let now = || SystemTime::UNIX_EPOCH.elapsed().map(|time| time.as_nanos() as u64);
    let before = now()?;
    Sender::new(&left, "left0")?.send(&[frame(1, 60), frame(2, 60)])?;
    let after = now()?;
    let metas = metas(&mut capture)?;
    assert_eq!(metas.len(), 2);
    for meta in &metas {
        let time = meta.timestamp.as_nanos();
        // The kernel's coarse clock is at most one tick behind.
        assert!((before - 10_000_000..=after + 10_000_000).contains(&time), "{time}");
        assert_eq!(meta.timestamp_source, TimestampSource::Software);
    }
    assert!(metas[0].timestamp <= metas[1].timestamp);
    Ok(())
}

/// Neither veth nor loopback has a hardware clock.
pub(crate) fn hardware_time_stamps_that_are_not_there_are_a_typed_error() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    for interface in ["right0", "lo", "any"] {
        for source in [TimestampSource::RawHardware, TimestampSource::Hardware] {
            let opened = right.run(|| Capture::builder(interface).timestamps(source).open())?;
            match opened {
                Err(Error::NoHardwareTimestamps { interface: named, .. }) => {
                    assert_eq!(named, interface);
                }
                other => panic!("{interface}: {other:?}"),
            }
        }
    }
    Ok(())
}

/// Two packets of a flow and the answer have the same hash, another flow a different one. Without a
/// request no hash is computed.
pub(crate) fn the_receive_hash_is_that_of_the_flow() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let answer = |mut frame: Vec<u8>| {
        let (addresses, ports) = (frame[26..34].to_vec(), frame[34..38].to_vec());
        frame[26..30].copy_from_slice(&addresses[4..]);
        frame[30..34].copy_from_slice(&addresses[..4]);
        frame[34..36].copy_from_slice(&ports[2..]);
        frame[36..38].copy_from_slice(&ports[..2]);
        frame
    };
    let frames = [frame(5, 60), frame(5, 90), answer(frame(5, 60)), frame(6, 60), frame(7, 60)];
    let mut capture = open(&right, Capture::builder("right0").receive_hash(true))?;
    Sender::new(&left, "left0")?.send(&frames)?;
    let hashes: Vec<_> = metas(&mut capture)?.into_iter().map(|meta| meta.hash).collect();
    let flow = hashes[0];
    assert!(flow.is_some_and(|hash| hash != 0), "{hashes:?}");
    assert_eq!(hashes[..3], [flow; 3]);
    assert!(hashes[3] != flow && hashes[4] != flow && hashes[3] != hashes[4], "{hashes:?}");
    Ok(())
}

/// Distinguishes a checksum that the sender left to the adapter from one that was not checked.
pub(crate) fn checksums_left_to_the_adapter_are_marked() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (l, _r) = wire(&left, &right)?;
    let mut capture = open(&right, Capture::builder("right0"))?;
    let receiver = right.run(|| UdpSocket::bind("10.9.0.2:7000"))??;
    let socket = left.run(|| UdpSocket::bind("10.9.0.1:7001"))??;
    let mut statuses = |sum: bool| -> Result<Vec<ChecksumStatus>> {
        l.set_offload(Offload::TransmitChecksum, sum)?;
        socket.send_to(b"a datagram", receiver.local_addr()?)?;
        Sender::new(&left, "left0")?.send(&[frame(9, 60)])?;
        let mut seen = Vec::new();
        while let Some(packet) = capture.next_packet(SHORT)? {
            if packet.data()[12..14] == [8, 0] {
                seen.push(packet.meta().checksum);
            }
        }
        Ok(seen)
    };
    assert_eq!(statuses(true)?, [ChecksumStatus::Partial, ChecksumStatus::Unknown]);
    assert_eq!(statuses(false)?, [ChecksumStatus::Unknown; 2]);
    Ok(())
}

/// On a socket without a ring, the metadata contain the tag that the kernel removed.
pub(crate) fn without_a_ring_the_tag_comes_beside_the_packet() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let socket = right.run(|| -> std::io::Result<_> {
        let socket = PacketSocket::new()?;
        socket.bind(ring_sys::interface::index("right0")?, abi::ETH_P_ALL)?;
        Ok(socket)
    })??;
    socket.set_auxiliary_data(true)?;
    let mut buffer = [0; 100];
    assert_eq!(socket.receive(&mut buffer)?, None);
    let plain = frame(5, 80);
    let mut tagged = plain.clone();
    tagged.splice(12..12, [0x81, 0, 0xa0, 0x64]);
    Sender::new(&left, "left0")?.send(&[tagged, frame(6, 200)])?;

    let received = socket.receive(&mut buffer)?.expect("a packet");
    let auxiliary = received.auxiliary.expect("what was asked for");
    assert_eq!((received.len, &buffer[..80]), (80, &plain[..]));
    assert_ne!(auxiliary.tp_status & abi::TP_STATUS_VLAN_VALID, 0);
    assert_eq!((auxiliary.tp_vlan_tci, auxiliary.tp_vlan_tpid), (0xa064, 0x8100));
    let received = socket.receive(&mut buffer)?.expect("a packet");
    assert_eq!((received.len, &buffer[..]), (200, &frame(6, 200)[..100]), "longer than the buffer");
    assert_eq!(received.auxiliary.map(|known| (known.tp_len, known.tp_net)), Some((200, 14)));
    assert_eq!(socket.receive(&mut buffer)?, None);
    Ok(())
}
