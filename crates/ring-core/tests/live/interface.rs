//! Changes of an interface during a capture.

use std::thread;
use std::time::Duration;

use live_harness::Result;
use netns::{Link, Namespace};
use ring_core::{Capture, CaptureBuilder, Direction, Error, RingGeometry, Timeout};

use crate::captures::{SHORT, drain, open, thread_time};
use crate::hosts::{SOON, Sender, frame, wire};

fn is_promiscuous(host: &Namespace, interface: &str) -> Result<bool> {
    // The flags of netdevice(7) show `IFF_PROMISC` only if it was set through them, so read the
    // count in the link's data.
    let output = host.spawn(
        std::process::Command::new("ip")
            .args(["-d", "link", "show", interface])
            .stdout(std::process::Stdio::piped()),
    )?;
    let text = String::from_utf8_lossy(&output.output()?.stdout).into_owned();
    Ok(!text.contains("promiscuity 0"))
}

pub(crate) fn promiscuous_mode_ends_with_the_capture() -> Result {
    live_harness::program("ip", "iproute2")?;
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    assert!(!is_promiscuous(&right, "right0")?);
    let first = open(&right, Capture::builder("right0").promiscuous(true))?;
    let mut second = open(&right, Capture::builder("right0").promiscuous(true))?;
    drop(first);
    assert!(is_promiscuous(&right, "right0")?, "it is counted");
    Sender::new(&left, "left0")?.send(&[frame(1, 60)])?;
    let block = second.next_block(Timeout::After(SOON))?.expect("a packet").share();
    assert_eq!(block.packets().next().map(|p| p.meta().direction), Some(Direction::OtherHost));
    drop(second);
    assert!(!is_promiscuous(&right, "right0")?, "though a block is still kept");
    drop(block);
    Ok(())
}

pub(crate) fn an_interface_that_goes_down_comes_back() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (l, r) = wire(&left, &right)?;
    let mut capture = open(&right, Capture::builder("right0"))?;
    r.down()?;
    let before = thread_time();
    assert!(capture.next_block(Timeout::After(Duration::from_millis(600)))?.is_none());
    assert!(thread_time() - before < Duration::from_millis(30), "it does not spin on the error");
    r.set_mtu(4000)?;
    r.up()?;
    r.wait_until_running(SOON)?;
    l.wait_until_running(SOON)?;
    Sender::new(&left, "left0")?.send(&[frame(1, 60)])?;
    assert_eq!(drain(&mut capture)?.len(), 1);
    Ok(())
}

pub(crate) fn a_deleted_interface_is_an_error() -> Result {
    for down_first in [false, true] {
        let (left, right) = (Namespace::new()?, Namespace::new()?);
        let (_l, r) = wire(&left, &right)?;
        let mut capture = open(&right, Capture::builder("right0"))?;
        Sender::new(&left, "left0")?.send(&[frame(1, 60)])?;
        thread::sleep(Duration::from_millis(30));
        if down_first {
            r.down()?;
        }
        r.delete()?;
        assert!(
            capture.next_block(Timeout::After(SOON))?.is_some(),
            "what was captured comes first"
        );
        match capture.next_block(Timeout::After(SOON)) {
            Err(Error::InterfaceGone { interface }) => assert_eq!(interface, "right0"),
            other => panic!("{other:?}"),
        }
        for timeout in [Timeout::Now, Timeout::After(Duration::from_millis(1)), Timeout::Never] {
            let again = capture.next_block(timeout);
            assert!(matches!(again, Err(Error::InterfaceGone { .. })), "{timeout:?}: {again:?}");
        }
    }
    Ok(())
}

/// The timeout hands over the block that was being filled when the interface was deleted, which is
/// later than the error.
pub(crate) fn what_was_captured_last_comes_before_the_end() -> Result {
    let timeout = Duration::from_millis(300);
    let geometry = RingGeometry { block_size: 1 << 16, blocks: 4, timeout };
    for down_first in [false, true] {
        let (left, right) = (Namespace::new()?, Namespace::new()?);
        let (_l, r) = wire(&left, &right)?;
        let builder = Capture::builder("right0").geometry(geometry);
        let mut capture = right.run(|| builder.open())??;
        Sender::new(&left, "left0")?.send(&[frame(1, 60)])?;
        let link = if down_first {
            r.down()?;
            Some(r)
        } else {
            r.delete()?;
            None
        };
        let block = capture.next_block(Timeout::After(SOON))?.expect("what was captured");
        assert_eq!(block.packets().count(), 1);
        drop(block);
        // The arrival of a block does not mean that the interface is up.
        link.map(Link::delete).transpose()?;
        match capture.next_block(Timeout::After(SOON)) {
            Err(Error::InterfaceGone { interface }) => assert_eq!(interface, "right0"),
            other => panic!("{other:?}"),
        }
    }
    Ok(())
}

pub(crate) fn wrong_interfaces_and_geometries_are_typed_errors() -> Result {
    let host = Namespace::new()?;
    let refused = |builder: CaptureBuilder| host.run(|| builder.open().expect_err("refused"));
    assert!(
        matches!(refused(Capture::builder("nope0"))?, Error::NoInterface { interface } if interface == "nope0")
    );
    assert!(matches!(refused(Capture::builder(""))?, Error::NoInterface { .. }));
    for (block_size, blocks) in
        [(1000, 4), (0, 4), (4096, 0), (4096, 1), (1 << 30, 5), (2 << 30, 2)]
    {
        let geometry = RingGeometry { block_size, blocks, timeout: Duration::ZERO };
        let error = refused(Capture::builder("lo").geometry(geometry))?;
        assert!(matches!(error, Error::Geometry { .. }), "{error}");
    }
    Ok(())
}

/// Packets of any length are captured, whatever the MTU was at opening. Those longer than a block
/// are truncated.
pub(crate) fn a_changed_mtu_changes_nothing() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (l, r) = wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    let mut usual = open(&right, Capture::builder("right0"))?;
    let geometry = RingGeometry { block_size: 4096, blocks: 16, timeout: Duration::from_millis(5) };
    let mut narrow = right.run(|| Capture::builder("right0").geometry(geometry).open())??;
    for (port, mtu, len) in [(1, 1500, 1514), (2, 9000, 9014), (3, 600, 614)] {
        l.set_mtu(mtu)?;
        r.set_mtu(mtu)?;
        sender.send(&[frame(port, len)])?;
    }
    let expected = [frame(1, 1514), frame(2, 9014), frame(3, 614)];
    let seen: Vec<_> = drain(&mut usual)?.into_iter().map(|(data, _)| data).collect();
    assert_eq!(seen, expected);
    assert_eq!(usual.statistics()?.truncated, 0);
    let mut lens = Vec::new();
    while let Some(packet) = narrow.next_packet(SHORT)? {
        assert!(expected.iter().any(|frame| frame.starts_with(packet.data())));
        lens.push((packet.data().len(), packet.wire_len()));
    }
    assert_eq!((lens[0], lens[1].1, lens[2]), ((1514, 1514), 9014, (614, 614)));
    assert!((4096 - 130..4096).contains(&lens[1].0), "{lens:?}");
    let statistics = narrow.statistics()?;
    assert_eq!((statistics.truncated, statistics.malformed, statistics.drops), (1, 0, 0));
    Ok(())
}
