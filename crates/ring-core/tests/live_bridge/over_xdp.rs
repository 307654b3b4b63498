//! Tests specific to AF_XDP.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ring_core::{Capture, Injector, Outgoing, VlanTag};

use super::*;

fn ethtool(link: &Link<'_>, arguments: &[&str]) -> Result {
    let mut command = Command::new(program("ethtool", "ethtool")?);
    command.args(arguments);
    assert!(link.namespace().run(|| command.status())??.success(), "{arguments:?}");
    Ok(())
}

/// Packets of a queue without a counterpart are sent on another queue. Otherwise the kernel would
/// leave them unsent.
pub(super) fn fewer_queues_send_than_receive_over_xdp() -> Result {
    for over in XDP {
        let hosts = Hosts::new()?;
        let [client, server, left, right] = hosts.wire()?;
        for link in [&client, &server] {
            ethtool(link, &["-L", link.name(), "rx", "2", "tx", "2"])?;
        }
        for link in [&left, &right] {
            ethtool(link, &["-L", link.name(), "rx", "2", "tx", "1"])?;
        }
        let all = |_: &mut Transit<'_>| Verdict::Forward;
        hosts.while_bridged(over, all, || {
            for number in 0..50_u8 {
                let (server, client) = sockets(&hosts)?;
                client.send(&[number; 100])?;
                let mut buffer = [0; 200];
                assert_eq!((server.recv(&mut buffer)?, buffer[0]), (100, number), "{over:?}");
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// The kernel has all frames, to receive into. A packet that needs several copies would wait
/// forever and block all later packets.
pub(super) fn a_packet_without_frames_is_given_up_over_xdp() -> Result {
    let hosts = Hosts::new()?;
    hosts.wire()?.iter().try_for_each(|link| link.set_mtu(9000))?;
    let umem = xdp::UmemConfig::new().frames(64).frame_size(2048).allocate()?;
    let [left, right] =
        ["left0", "right0"].map(|name| xdp::Socket::builder(name).ring_size(32).fill_target(32));
    let bridge = hosts.open_xdp([left.umem(&umem), right])?;
    let lengthen = |transit: &mut Transit<'_>| {
        if transit.data().get(42..) != Some(b"longer") {
            return Verdict::Forward;
        }
        transit.rewrite().resize(9000, 0);
        Verdict::Rewrite
    };
    let ((), statistics) = hosts.while_running(bridge, lengthen, || {
        let (server, client) = sockets(&hosts)?;
        for _ in 0..10 {
            client.send(b"longer")?;
            client.send(b"hello")?;
            assert_eq!(server.recv(&mut [0; 10])?, 5);
        }
        Ok(())
    })?;
    let to_right = statistics.to_right;
    assert_eq!((to_right.rewritten, to_right.lost), (10, 10), "{statistics:?}");
    assert_eq!(to_right.sent + to_right.lost, to_right.forwarded, "{statistics:?}");
    assert_eq!(umem.free_frames(), 64, "none is lost");
    Ok(())
}

pub(super) fn a_verdict_that_panics_spoils_nothing_over_xdp() -> Result {
    for over in XDP {
        let hosts = Hosts::new()?;
        hosts.wire()?;
        let mut bridge = hosts.open(over)?;
        let (server, client) = sockets(&hosts)?;
        let mut forward = |until: &dyn Fn() -> bool| {
            let (mut panics, started) = (0, Instant::now());
            while !until() {
                assert!(started.elapsed() < SOON, "{over:?}: it does not come");
                let forward = || {
                    let timeout = Timeout::After(Duration::from_millis(10));
                    bridge.forward(timeout, |transit| {
                        assert_ne!(transit.data().get(42..), Some(&b"panic"[..]));
                        Verdict::Forward
                    })
                };
                panics += u32::from(catch_unwind(AssertUnwindSafe(forward)).is_err());
            }
            panics
        };
        server.set_nonblocking(true)?;
        let came = |text: &[u8]| {
            let mut buffer = [0; 100];
            server.recv(&mut buffer).is_ok_and(|len| buffer[..len] == *text)
        };
        client.send(b"first")?;
        assert_eq!(forward(&|| came(b"first")), 0);
        client.send(b"panic")?;
        client.send(b"next")?;
        assert_eq!(forward(&|| came(b"next")), 1, "{over:?}: once, and the next one comes");
    }
    Ok(())
}

/// Packets without a VLAN tag must not use the room for the tag.
pub(super) fn pieces_fit_the_mtu_over_xdp() -> Result {
    let hosts = Hosts::new()?;
    let [client, _, left, _] = hosts.wire()?;
    left.set_mtu(1000)?;
    client.set_mtu(1000)?;
    ethtool(&client, &["-K", "eth0", "gro", "off"])?;
    let seen = || Capture::builder("eth0").outgoing(Outgoing::Never).snaplen(60).open();
    let mut capture = hosts.client.run(seen)??;
    let over = Over::Xdp(xdp::Attach::Generic);
    hosts.while_bridged(over, |_| Verdict::Forward, || fetch(&hosts))?;
    let mut longest = 0;
    while let Some(block) = capture.next_block(Timeout::After(Duration::from_millis(200)))? {
        longest = block.packets().map(|packet| packet.wire_len()).max().unwrap_or(0).max(longest);
    }
    assert_eq!(longest, 1014);
    Ok(())
}

/// Tags stay in the bytes, and a packet of the maximum length may have one.
pub(super) fn tagged_packets_cross_over_xdp() -> Result {
    let tag = VlanTag { tpid: 0x8100, tci: 0x2005 };
    for over in XDP {
        let hosts = Hosts::new()?;
        hosts.wire()?;
        let mut injector = hosts.client.run(|| Injector::open("eth0"))??;
        let mut capture = hosts.server.run(|| Capture::open("eth0"))??;
        let mut tagged = vec![2; 12];
        tagged.extend([0x81, 0, 0x20, 0x05, 0x88, 0xb5]);
        tagged.extend((0..1500_u16).map(|n| n as u8));
        let ((), statistics) = hosts.while_bridged(
            over,
            |_| Verdict::Forward,
            || {
                injector.send_frame(&tagged)?;
                injector.flush()?;
                let started = Instant::now();
                loop {
                    assert!(started.elapsed() < SOON, "{over:?}: it does not come");
                    let Some(block) = capture.next_block(Timeout::After(SOON))? else { continue };
                    if let Some(packet) = block.packets().find(|packet| packet.vlan() == Some(tag))
                    {
                        // The kernel removed the tag.
                        assert_eq!(packet.data()[12..], tagged[16..]);
                        return Ok(());
                    }
                }
            },
        )?;
        assert_eq!(statistics.to_right.refused, 0, "{over:?}: {statistics:?}");
    }
    Ok(())
}

/// A header added to the client's packets makes them longer, up to several frames.
pub(super) fn rewriting_may_lengthen_over_xdp() -> Result {
    for over in XDP {
        let hosts = Hosts::new()?;
        let links = hosts.wire()?;
        links.iter().try_for_each(|link| link.set_mtu(9000))?;
        let lengthen = |transit: &mut Transit<'_>| {
            let udp = is_ipv4(transit.data(), 17);
            if !udp || transit.from() == Side::Right {
                return Verdict::Forward;
            }
            let packet = transit.rewrite();
            packet.truncate(14 + 20 + 8 + 5);
            packet.extend_from_slice(&[b'!'; 8000]);
            let len = packet.len() as u16;
            packet[16..18].copy_from_slice(&(len - 14).to_be_bytes());
            packet[24..26].fill(0);
            let sum: u32 = packet[14..34]
                .as_chunks()
                .0
                .iter()
                .map(|&pair| u32::from(u16::from_be_bytes(pair)))
                .sum();
            let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
            packet[24..26].copy_from_slice(&sum.to_be_bytes());
            packet[38..40].copy_from_slice(&(len - 34).to_be_bytes());
            transit.fill_checksum();
            Verdict::Rewrite
        };
        let ((), statistics) = hosts.while_bridged(over, lengthen, || {
            let (server, client) = sockets(&hosts)?;
            for _ in 0..100 {
                client.send(b"hello")?;
                let mut buffer = [0; 9000];
                let len = server.recv(&mut buffer)?;
                assert_eq!(len, 8005);
                assert!(buffer.starts_with(b"hello!") && buffer[5..len].iter().all(|&b| b == b'!'));
            }
            Ok(())
        })?;
        let to_right = statistics.to_right;
        assert_eq!((to_right.rewritten, to_right.refused), (100, 0), "{over:?}: {statistics:?}");
    }
    Ok(())
}

/// Packets without room wait, and the other direction continues.
pub(super) fn few_frames_and_short_rings_lose_nothing_over_xdp() -> Result {
    let hosts = Hosts::new()?;
    hosts.wire()?;
    let umem = xdp::UmemConfig::new().frames(64).allocate()?;
    let [left, right] =
        ["left0", "right0"].map(|name| xdp::Socket::builder(name).ring_size(32).fill_target(32));
    let bridge = hosts.open_xdp([left.umem(&umem), right])?;
    assert_eq!(umem.free_frames(), 0, "all are with the kernel");
    let all = |_: &mut Transit<'_>| Verdict::Forward;
    let ((), statistics) = hosts.while_running(bridge, all, || fetch(&hosts))?;
    assert_eq!((statistics.to_left.refused, statistics.to_left.rejected), (0, 0), "{statistics:?}");
    assert_eq!(statistics.to_left.sent, statistics.to_left.forwarded, "{statistics:?}");
    assert_eq!(umem.free_frames(), 64, "none is lost");
    Ok(())
}

pub(super) fn every_queue_is_served_over_xdp() -> Result {
    for over in XDP {
        let hosts = Hosts::new()?;
        for link in &hosts.wire()? {
            ethtool(link, &["-L", link.name(), "rx", "2", "tx", "2"])?;
        }
        let all = |_: &mut Transit<'_>| Verdict::Forward;
        let ((), statistics) = hosts.while_bridged(over, all, || {
            // Each client has its own port, by which the virtual link selects the queue.
            for number in 0..50_u8 {
                let (server, client) = sockets(&hosts)?;
                client.send(&[number; 100])?;
                let mut buffer = [0; 200];
                let (len, from) = server.recv_from(&mut buffer)?;
                server.send_to(&buffer[..len], from)?;
                assert_eq!((client.recv(&mut buffer)?, buffer[0]), (100, number));
            }
            fetch(&hosts)
        })?;
        for lane in [statistics.to_right, statistics.to_left] {
            assert_eq!((lane.refused, lane.rejected, lane.lost), (0, 0, 0), "{over:?}: {lane:?}");
        }
    }
    Ok(())
}
