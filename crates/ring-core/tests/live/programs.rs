//! eBPF programs loaded by other means, as filters and to select members of a group.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use live_harness::{Missing, Result};
use netns::Namespace;
use packet_filter::Filter;
use ring_core::{
    Capture, CaptureFilter, Error, FanoutMode, Instruction, RawFilter, RingGeometry, Timeout,
};
use ring_sys::bpf::instruction::{EXIT, JNE_K, MOV_K, MOV_X, Register};
use ring_sys::bpf::{self, ProgramKind};

use crate::captures::{SHORT, count_with, drain, open, talk_to_self};
use crate::hosts::{SOON, Sender, frame, wire};

/// Loads 16 bits of the packet from an absolute offset into register 0; register 6 has the context.
const LD_H_ABS: u8 = 0x28;

fn instruction(
    code: u8,
    to: Register,
    from: Register,
    offset: i16,
    value: i32,
) -> bpf::Instruction {
    bpf::Instruction::new(code, to, from, offset, value)
}

fn load(program: &[bpf::Instruction]) -> Result<OwnedFd> {
    match bpf::Program::load(ProgramKind::SocketFilter, program, "test") {
        Ok(program) => Ok(program.as_fd().try_clone_to_owned()?),
        Err(error) if error.source.kind() == io::ErrorKind::PermissionDenied => {
            Err(Missing::Privilege { what: "loading a BPF program", privilege: "CAP_BPF" }.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Accepts UDP datagrams to one port, in Ethernet and IPv4 without options.
fn to_port(port: u16) -> Result<CaptureFilter> {
    use Register::{R0, R1, R6};
    let program = load(&[
        instruction(MOV_X, R6, R1, 0, 0),
        instruction(LD_H_ABS, R0, R0, 0, 36),
        instruction(JNE_K, R0, R0, 2, port.into()),
        instruction(MOV_K, R0, R0, 0, -1),
        instruction(EXIT, R0, R0, 0, 0),
        instruction(MOV_K, R0, R0, 0, 0),
        instruction(EXIT, R0, R0, 0, 0),
    ])?;
    Ok(CaptureFilter::descriptor(program))
}

/// Accepts everything.
fn everything() -> Result<CaptureFilter> {
    use Register::R0;
    let program = load(&[instruction(MOV_K, R0, R0, 0, -1), instruction(EXIT, R0, R0, 0, 0)])?;
    Ok(CaptureFilter::descriptor(program))
}

fn ports(capture: &mut Capture) -> Result<Vec<u16>> {
    let seen = drain(capture)?;
    Ok(seen.iter().map(|(data, _)| u16::from_be_bytes([data[36], data[37]])).collect())
}

pub(crate) fn an_ebpf_program_filters_in_the_kernel() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right, Capture::builder("right0").filter(to_port(53)?))?;
    let sender = Sender::new(&left, "left0")?;
    sender.send(&[frame(52, 60), frame(53, 60), frame(54, 60)])?;
    assert_eq!(ports(&mut capture)?, [53]);
    assert_eq!(capture.statistics()?.packets, 1, "filtered packets are not counted");
    let refused = right.run(|| {
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(
            Capture::builder("right0").filter(to_port(53)?).snaplen(50).open(),
        )
    })??;
    assert!(matches!(refused, Err(Error::FilterSnaplen)));
    // A descriptor that is not a BPF program.
    let other = CaptureFilter::descriptor(std::fs::File::open("/dev/null")?.into());
    let refused = right.run(|| Capture::builder("right0").filter(other).open())?;
    assert!(matches!(refused, Err(Error::Filter { .. })), "{refused:?}");
    Ok(())
}

/// An eBPF program cannot run on packets in the ring, so they are discarded and counted.
pub(crate) fn a_swap_to_an_ebpf_program_empties_the_ring() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    let mixed: Vec<_> = (0..1000).map(|at| frame(50 + at % 4, 60)).collect();
    let filter: Filter = "udp dst portrange 50-52".parse()?;
    let geometry =
        RingGeometry { block_size: 1 << 16, blocks: 16, timeout: Duration::from_millis(5) };
    let mut capture = open(&right, Capture::builder("right0").geometry(geometry).filter(filter))?;
    sender.send(&mixed)?;
    // In the middle of a block.
    assert!(capture.next_packet(Timeout::After(SOON))?.is_some());
    capture.set_filter(to_port(52)?)?;
    sender.send(&mixed)?;
    assert_eq!(ports(&mut capture)?, [52; 250]);
    let statistics = capture.statistics()?;
    assert_eq!((statistics.packets, statistics.drops), (750 + 250, 0));
    assert!((1..750).contains(&statistics.discarded), "{statistics:?}");

    // Back to an expression: packets captured under the program are filtered again.
    sender.send(&mixed)?;
    capture.set_filter("udp dst port 53 or udp dst port 52".parse::<Filter>()?)?;
    sender.send(&mixed)?;
    let seen = ports(&mut capture)?;
    assert_eq!(seen.iter().filter(|&&port| port == 52).count(), 500);
    assert_eq!(seen.len(), 750);
    capture.set_filter("udp dst port 53".parse::<Filter>()?)?;
    sender.send(&mixed)?;
    assert_eq!(ports(&mut capture)?, [53; 250]);
    Ok(())
}

/// A program that cannot be attached is refused before any packet is discarded.
pub(crate) fn an_ebpf_program_that_is_refused_changes_nothing() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    let filtered = || Capture::builder("right0").filter(crate::captures::to_port(53));
    for (builder, locked) in [(filtered().lock_filter(true), true), (filtered().snaplen(50), false)]
    {
        let mut capture = open(&right, builder)?;
        sender.send(&[frame(52, 60), frame(53, 60)])?;
        let refused = capture.set_filter(to_port(52)?);
        match locked {
            true => assert!(matches!(refused, Err(Error::FilterLocked)), "{refused:?}"),
            false => assert!(matches!(refused, Err(Error::FilterSnaplen)), "{refused:?}"),
        }
        sender.send(&[frame(52, 60), frame(53, 60)])?;
        assert_eq!(ports(&mut capture)?, [53, 53]);
        assert_eq!(capture.statistics()?.discarded, 0);
    }
    Ok(())
}

/// Under continuous traffic, no packet of the old filter is delivered after the call.
pub(crate) fn ebpf_programs_are_swapped_under_traffic() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    let done = Arc::new(AtomicBool::new(false));
    let traffic = {
        let done = done.clone();
        thread::spawn(move || -> Result {
            let mixed: Vec<_> = (0..64).map(|at| frame(50 + at % 4, 60)).collect();
            while !done.load(Ordering::Relaxed) {
                sender.send(&mixed)?;
            }
            Ok(())
        })
    };
    let geometry =
        RingGeometry { block_size: 1 << 16, blocks: 16, timeout: Duration::from_millis(1) };
    let mut capture = right.run(|| -> Result<_> {
        Ok(Capture::builder("right0").geometry(geometry).filter(to_port(50)?).open()?)
    })??;
    for round in 1..40 {
        let port = 50 + round % 4;
        if round % 5 == 0 {
            capture.set_filter(format!("udp dst port {port}").parse::<Filter>()?)?;
        } else {
            capture.set_filter(to_port(port)?)?;
        }
        let (started, mut seen) = (Instant::now(), 0);
        // At least some of it, even on a busy machine.
        while started.elapsed() < Duration::from_millis(10) || seen == 0 && started.elapsed() < SOON
        {
            if let Some(block) = capture.next_block(Timeout::After(Duration::from_millis(20)))? {
                for packet in &block {
                    assert_eq!(packet.data()[36..38], port.to_be_bytes(), "round {round}");
                    seen += 1;
                }
            }
        }
        assert!(seen > 0, "round {round}");
    }
    done.store(true, Ordering::Relaxed);
    traffic.join().expect("the sender")
}

/// The kernel takes an eBPF program unchanged, so duplicates on the loopback interface are removed
/// afterwards.
pub(crate) fn an_ebpf_program_on_any_delivers_loopback_once() -> Result {
    let host = Namespace::new()?;
    let classic = RawFilter::new(vec![Instruction::statement(0x06, u32::MAX)])?;
    for swapped in [false, true] {
        let builder = Capture::builder("any");
        let builder = if swapped { builder } else { builder.filter(everything()?) };
        let mut capture = open(&host, builder)?;
        if swapped {
            capture.set_filter(everything()?)?;
        }
        talk_to_self(&host, &[b"to myself", b"and again"])?;
        let seen = drain(&mut capture)?;
        assert_eq!((count_with(&seen, b"to myself"), count_with(&seen, b"and again")), (1, 1));
        capture.set_filter(classic.clone())?;
        talk_to_self(&host, &[b"a classic one"])?;
        assert_eq!(count_with(&drain(&mut capture)?, b"a classic one"), 1);
    }
    Ok(())
}

pub(crate) fn an_ebpf_program_chooses_the_member() -> Result {
    use Register::{R0, R1, R6};
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    // The destination port, from the network header on, modulo three members.
    let program = load(&[
        instruction(MOV_X, R6, R1, 0, 0),
        instruction(LD_H_ABS, R0, R0, 0, 22),
        instruction(EXIT, R0, R0, 0, 0),
    ])?;
    let mode = FanoutMode::Program(Arc::new(program));
    let mut group = right.run(|| {
        Capture::builder("right0").block_timeout(Duration::from_millis(5)).group(3, mode).open()
    })??;
    let frames: Vec<_> = (0..300).map(|port| frame(port, 80)).collect();
    Sender::new(&left, "left0")?.send(&frames)?;
    for (member, capture) in group.members_mut().iter_mut().enumerate() {
        let mut seen = Vec::new();
        while let Some(packet) = capture.next_packet(SHORT)? {
            seen.push(usize::from(u16::from_be_bytes([packet.data()[36], packet.data()[37]])));
        }
        assert_eq!(seen, (0..300).filter(|port| port % 3 == member).collect::<Vec<_>>());
    }
    let other = FanoutMode::Program(Arc::new(std::fs::File::open("/dev/null")?.into()));
    let refused = right.run(|| Capture::builder("right0").group(2, other).open())?;
    assert!(matches!(refused, Err(Error::System { .. })), "{refused:?}");
    Ok(())
}
