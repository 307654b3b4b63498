//! Filters: expressions and classic programs.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use live_harness::Result;
use netns::Namespace;
use ring_core::{Capture, CaptureFilter, Error, Instruction, RawFilter, RingGeometry, Timeout};

use crate::captures::{SHORT, drain, expression, open, talk_to_self, to_port};
use crate::hosts::{SOON, Sender, frame, wire};

pub(crate) fn a_raw_filter_runs_in_the_kernel() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right, Capture::builder("right0").filter(to_port(53)))?;
    let sender = Sender::new(&left, "left0")?;
    sender.send(&[frame(52, 60), frame(53, 60), frame(54, 60)])?;
    assert_eq!(
        drain(&mut capture)?.into_iter().map(|(data, _)| data).collect::<Vec<_>>(),
        [frame(53, 60)]
    );
    assert_eq!(capture.statistics()?.packets, 1, "filtered packets are not counted");
    capture.set_filter(to_port(54))?;
    sender.send(&[frame(53, 60), frame(54, 60)])?;
    assert_eq!(
        drain(&mut capture)?.into_iter().map(|(data, _)| data).collect::<Vec<_>>(),
        [frame(54, 60)]
    );
    capture.set_filter(CaptureFilter::everything())?;
    sender.send(&[frame(1, 60), frame(2, 60)])?;
    assert_eq!(drain(&mut capture)?.len(), 2);
    let nonsense = RawFilter::new(vec![Instruction::statement(0x20, 0)])?;
    assert!(matches!(capture.set_filter(nonsense), Err(Error::FilterProgram(_))), "no return");
    Ok(())
}

/// A socket opened for all protocols, and only then bound and filtered, delivers other packets
/// first.
pub(crate) fn no_packet_slips_through_before_the_filter() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    let (stop, stopped) = mpsc::channel::<()>();
    let noise = thread::spawn(move || -> Result {
        let frames: Vec<_> = (0..64).map(|_| frame(9, 60)).collect();
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            sender.send(&frames)?;
        }
        Ok(())
    });
    let geometry =
        RingGeometry { block_size: 1 << 16, blocks: 4, timeout: Duration::from_millis(1) };
    for round in 0..40 {
        let filtered = round % 2 == 0;
        let builder = if filtered {
            Capture::builder("right0").filter(to_port(53))
        } else {
            Capture::builder("lo")
        };
        let mut capture = open(&right, builder.geometry(geometry))?;
        let until = Instant::now() + Duration::from_millis(8);
        while Instant::now() < until {
            if let Some(block) = capture.next_block(Timeout::After(Duration::from_millis(2)))? {
                let first = block.packets().next().expect("a block has packets");
                panic!("round {round}: {first:?}");
            }
        }
    }
    drop(stop);
    noise.join().expect("the sender")
}

pub(crate) fn a_locked_filter_stays() -> Result {
    let host = Namespace::new()?;
    let mut capture = open(&host, Capture::builder("lo").filter(to_port(1)).lock_filter(true))?;
    assert!(matches!(capture.set_filter(CaptureFilter::everything()), Err(Error::FilterLocked)));
    talk_to_self(&host, &[b"not to port 1"])?;
    assert_eq!(drain(&mut capture)?, []);
    Ok(())
}

pub(crate) fn an_expression_filters_on_each_kind_of_interface() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    for interface in ["right0", "any"] {
        let mut capture =
            open(&right, Capture::builder(interface).filter(expression("udp dst port 53")))?;
        sender.send(&[frame(52, 60), frame(53, 60), frame(54, 60)])?;
        talk_to_self(&right, &[b"to another port"])?;
        assert_eq!(
            drain(&mut capture)?.into_iter().map(|(data, _)| data).collect::<Vec<_>>(),
            [frame(53, 60)]
        );
    }
    let refused =
        right.run(|| Capture::builder("right0").filter(expression("ip broadcast")).open())?;
    assert!(matches!(refused, Err(Error::Compile { .. })));
    Ok(())
}

/// Blocks that were captured under the old filter are filtered again.
pub(crate) fn a_new_filter_holds_for_what_is_in_the_ring() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    let mixed: Vec<_> = (0..3000).map(|at| frame(at % 10, 60)).collect();
    let mut capture =
        open(&right, Capture::builder("right0").filter(expression("udp dst portrange 0-4")))?;
    sender.send(&mixed)?;
    for _ in 0..3 {
        assert_eq!(
            capture.next_packet(Timeout::After(SOON))?.map(|packet| packet.data()[37] < 5),
            Some(true)
        );
    }
    capture.set_filter(expression("udp dst portrange 2-7"))?;
    sender.send(&mixed)?;
    let mut ports = [0; 10];
    while let Some(packet) = capture.next_packet(SHORT)? {
        ports[usize::from(packet.data()[37])] += 1;
    }
    // Before the change, packets that pass both filters; afterwards, those that pass the new one.
    // One of the first three passes both.
    assert_eq!(ports, [0, 0, 599, 600, 600, 300, 300, 300, 0, 0]);
    capture.set_filter(CaptureFilter::everything())?;
    sender.send(&mixed[..10])?;
    assert_eq!(drain(&mut capture)?.len(), 10);
    Ok(())
}
