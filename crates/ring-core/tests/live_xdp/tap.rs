//! Tapping a wire.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Instant;

use live_harness::Result;
use netns::{Namespace, Offload};
use ring_core::{Error, Next, PacketBatch as _, PacketSource as _, Side, Timeout, xdp};

use crate::hosts::frame;
use crate::setup::{MODES, SHORT, SOON, need_root, run};
use crate::together::Line;

/// Interface and bytes of packets.
type Seen = Vec<(u32, Vec<u8>)>;

pub(crate) fn a_tap_shows_both_directions() -> Result {
    need_root()?;
    for (mode, mtu, queues) in [
        (xdp::Attach::Native, 1500, 1),
        (xdp::Attach::Generic, 1500, 2),
        (xdp::Attach::Native, 9000, 2),
    ] {
        let (left, middle, right) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
        let line = Line { left: &left, middle: &middle, right: &right };
        let links = line.up(mtu)?;
        if queues > 1 {
            for link in &links {
                let count = queues.to_string();
                run(link.namespace(), "ethtool", &["-L", link.name(), "rx", &count, "tx", &count])?;
            }
        }
        let mut tap = middle.run(|| {
            let [one, two] = ["one", "two"].map(|name| xdp::Socket::builder(name).attach(mode));
            one.tap(two).open()
        })??;
        let (umem, interfaces) = (tap.umem(), [links[1].index(), links[3].index()]);
        let interrupter = tap.interrupter().expect("it waits");
        let worker = thread::spawn(move || -> Result<(Seen, xdp::Tap)> {
            let mut seen = Seen::new();
            let mut numbers = 1..;
            while let Next::Batch(batch) = tap.next_batch(Timeout::Never)? {
                for packet in batch.packets() {
                    assert_eq!(Some(packet.number()), numbers.next());
                    assert!(batch.retain_packet(&packet).is_none());
                    let data = packet.data();
                    // ARP packets have part of an address in the protocol's place.
                    if data.get(12..14) == Some(&[8, 0]) && data.get(23) == Some(&17) {
                        seen.push((packet.meta().interface, data.to_vec()));
                    }
                }
            }
            Ok((seen, tap))
        });
        let (one, other) = (
            left.run(|| UdpSocket::bind("10.9.0.1:4000"))??,
            right.run(|| UdpSocket::bind("10.9.0.2:4000"))??,
        );
        for socket in [&one, &other] {
            socket.set_read_timeout(Some(SOON))?;
        }
        let mut buffer = [0; 9000];
        let data = |n: usize| vec![n as u8; 20 + n * (mtu as usize - 60) / 100];
        for n in 0..100 {
            one.send_to(&data(n), "10.9.0.2:4000")?;
            assert_eq!(other.recv(&mut buffer)?, data(n).len());
            other.send_to(&data(n + 1), "10.9.0.1:4000")?;
            assert_eq!(one.recv(&mut buffer)?, data(n + 1).len());
            assert!(buffer[..data(n + 1).len()] == data(n + 1));
        }
        interrupter.interrupt();
        let (seen, mut tap) = worker.join().expect("the worker")?;
        assert_eq!(seen.len(), 200, "{mode:?} {mtu}");
        for (n, pair) in seen.chunks(2).enumerate() {
            let payload = |at: usize| &pair[at].1[42..42 + data(n + at).len()];
            assert!(payload(0) == data(n) && payload(1) == data(n + 1), "{n}");
            assert_eq!([pair[0].0, pair[1].0], interfaces, "each by the interface that it came on");
        }
        for side in [Side::Left, Side::Right] {
            let counted = tap.forwarded(side);
            assert!(counted.received >= 100 && counted.forwarded == counted.received);
        }
        assert_eq!(tap.statistics()?.drops, 0);
        assert!(tap.readiness().is_some());
        drop(tap);
        assert_eq!(umem.free_frames(), umem.frames() as usize);
    }
    Ok(())
}

/// Local programs leave checksums to an adapter, which no virtual link has. The other end accepts
/// packets through a tap anyway.
pub(crate) fn a_tap_completes_checksums() -> Result {
    need_root()?;
    for (mode, mtu) in
        [(xdp::Attach::Native, 1500), (xdp::Attach::Generic, 1500), (xdp::Attach::Native, 9000)]
    {
        let (left, middle, right) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
        let line = Line { left: &left, middle: &middle, right: &right };
        let links = line.up(mtu)?;
        for link in [&links[0], &links[2]] {
            link.set_offload(Offload::TransmitChecksum, true)?;
        }
        let mut tap = middle.run(|| {
            let [one, two] = ["one", "two"].map(|name| xdp::Socket::builder(name).attach(mode));
            one.tap(two).open()
        })??;
        let interrupter = tap.interrupter().expect("it waits");
        let worker = thread::spawn(move || -> Result {
            while let Next::Batch(_) = tap.next_batch(Timeout::Never)? {}
            Ok(())
        });
        let listener = right.run(|| TcpListener::bind("10.9.0.2:4000"))??;
        let echo = thread::spawn(move || -> std::io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            let mut data = [0; 4096];
            loop {
                match stream.read(&mut data)? {
                    0 => return Ok(()),
                    len => stream.write_all(&data[..len])?,
                }
            }
        });
        let mut stream = left.run(|| {
            TcpStream::connect_timeout(&"10.9.0.2:4000".parse().expect("an address"), SOON)
        })??;
        stream.set_read_timeout(Some(SOON))?;
        for len in [1, 700, 4000, 20_000] {
            let (data, mut back) = (vec![len as u8; len], vec![0; len]);
            stream.write_all(&data)?;
            stream.read_exact(&mut back)?;
            assert!(back == data, "{mode:?} {mtu}");
        }
        drop(stream);
        echo.join().expect("the echo")?;
        let (one, other) = (
            left.run(|| UdpSocket::bind("10.9.0.1:4001"))??,
            right.run(|| UdpSocket::bind("10.9.0.2:4001"))??,
        );
        other.set_read_timeout(Some(SOON))?;
        one.send_to(&[7; 1000], "10.9.0.2:4001")?;
        assert_eq!(other.recv(&mut [0; 2000])?, 1000);
        interrupter.interrupt();
        worker.join().expect("the worker")?;
    }
    Ok(())
}

pub(crate) fn a_taps_ends_are_two() -> Result {
    need_root()?;
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (_l, r) = crate::hosts::wire(&left, &right)?;
    let error = right.run(|| xdp::Tap::open("right0", "right0"))?.expect_err("one interface");
    assert!(matches!(error, xdp::Error::SameInterface { .. }), "{error}");
    let error = right.run(|| xdp::Tap::open("right0", "nothing0"))?.expect_err("no interface");
    assert!(matches!(error, xdp::Error::NoInterface { .. }), "{error}");
    // A removed interface is reported by any call.
    let (there, here) = (Namespace::new()?, &right);
    let (_other, two) = there.veth_to(here, "far0", "two")?;
    two.up()?;
    let mut tap = right.run(|| xdp::Tap::open("right0", "two"))??;
    let sender = crate::hosts::Sender::new(&left, "left0")?;
    r.delete()?;
    let started = Instant::now();
    let error = loop {
        match tap.next_batch(Timeout::After(SHORT)) {
            Err(error) => break error,
            Ok(_) => assert!(started.elapsed() < SOON, "nobody says that it has gone"),
        }
    };
    assert!(
        matches!(&error, Error::InterfaceGone { interface } if interface == "right0"),
        "{error}"
    );
    let _ = sender.send(&[frame(1, 60)]);
    Ok(())
}

/// While one end is down there is no error, and both directions continue afterwards.
pub(crate) fn a_tap_outlives_an_end_that_is_down() -> Result {
    need_root()?;
    for mode in MODES {
        let (left, middle, right) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
        let line = Line { left: &left, middle: &middle, right: &right };
        let links = line.up(1500)?;
        let mut tap = middle.run(|| {
            let [one, two] = ["one", "two"].map(|name| xdp::Socket::builder(name).attach(mode));
            one.tap(two).open()
        })??;
        let (one, other) = (
            left.run(|| UdpSocket::bind("10.9.0.1:4000"))??,
            right.run(|| UdpSocket::bind("10.9.0.2:4000"))??,
        );
        other.set_nonblocking(true)?;
        let mut until = |done: &dyn Fn() -> bool| -> Result {
            let started = Instant::now();
            while !done() && started.elapsed() < SOON {
                drop(tap.next_batch(Timeout::After(SHORT / 20))?);
            }
            Ok(())
        };
        let came = |text: &[u8]| {
            let mut buffer = [0; 100];
            other.recv(&mut buffer).is_ok_and(|len| buffer[..len] == *text)
        };
        one.send_to(b"before", "10.9.0.2:4000")?;
        until(&|| came(b"before"))?;
        links[3].down()?;
        let down = Instant::now();
        one.send_to(b"meanwhile", "10.9.0.2:4000")?;
        until(&|| down.elapsed() > SHORT)?;
        links[3].up()?;
        links[3].wait_until_running(SOON)?;
        one.send_to(b"after", "10.9.0.2:4000")?;
        let up = Instant::now();
        until(&|| came(b"after"))?;
        assert!(up.elapsed() < SOON, "{mode:?}: it goes on");
    }
    Ok(())
}
