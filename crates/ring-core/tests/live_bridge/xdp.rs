//! What is particular to AF_XDP.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ring_core::{Capture, Outgoing};

use super::*;

fn ethtool(link: &Link<'_>, arguments: &[&str]) -> Result {
    let mut command = Command::new(program("ethtool", "ethtool")?);
    command.args(arguments);
    assert!(link.namespace().run(|| command.status())??.success(), "{arguments:?}");
    Ok(())
}

/// What comes on a queue that has no counterpart is sent on another: where there is none, the kernel would leave it.
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

/// The kernel has all frames, to receive into: what is to be copied into several would wait for ever, and all behind it.
pub(super) fn a_packet_without_frames_is_given_up_over_xdp() -> Result {
    let hosts = Hosts::new()?;
    hosts.wire()?.iter().try_for_each(|link| link.set_mtu(9000))?;
    let umem = UmemConfig::new().frames(64).frame_size(2048).allocate()?;
    let [left, right] =
        ["left0", "right0"].map(|name| XdpSocket::builder(name).ring_size(32).fill_target(32));
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

/// The room that there is for a VLAN tag is not for packets without.
pub(super) fn pieces_fit_the_mtu_over_xdp() -> Result {
    let hosts = Hosts::new()?;
    let [client, _, left, _] = hosts.wire()?;
    left.set_mtu(1000)?;
    client.set_mtu(1000)?;
    ethtool(&client, &["-K", "eth0", "gro", "off"])?;
    let seen = || Capture::builder("eth0").outgoing(Outgoing::Never).snaplen(60).open();
    let mut capture = hosts.client.run(seen)??;
    let over = Over::Xdp(XdpAttach::Generic);
    hosts.while_bridged(over, |_| Verdict::Forward, || fetch(&hosts))?;
    let mut longest = 0;
    while let Some(block) = capture.next_block(Timeout::After(Duration::from_millis(200)))? {
        longest = block.packets().map(|packet| packet.wire_len()).max().unwrap_or(0).max(longest);
    }
    assert_eq!(longest, 1014);
    Ok(())
}
