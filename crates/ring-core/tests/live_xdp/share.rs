//! Several sockets on one queue, and all queues as one source.

use std::os::fd::AsFd as _;
use std::thread;

use live_harness::Result;
use netns::Namespace;
use ring_core::{Capture, Next, PacketBatch as _, PacketSource as _, Timeout, xdp};
use ring_sys::bpf::instruction::{HELPER_REDIRECT_MAP, LDX_W, MOV_K, Register};
use ring_sys::bpf::{Instruction, Map, MapKind, Program, ProgramKind};

use crate::hosts::{Sender, frame, wire};
use crate::setup::{
    MODES, SHORT, SOON, assert_same, assert_silent, collect, frames, need_root, open, opened, run,
};

/// A program that distributes packets to the sockets 4 and 5 of a map, by the last bit of the
/// destination port.
fn by_port(map: &Map) -> Result<Program> {
    use Register::{R0, R1, R2, R3, R4};
    const ADD_K: u8 = 0x07;
    const JGT_X: u8 = 0x2d;
    const LDX_B: u8 = 0x71;
    const AND_K: u8 = 0x57;
    let mut code = vec![
        Instruction::new(LDX_W, R2, R1, 0, 0),
        Instruction::new(LDX_W, R3, R1, 4, 0),
        Instruction::new(0xbf, R4, R2, 0, 0),
        Instruction::new(ADD_K, R4, R0, 0, 38),
        Instruction::new(JGT_X, R4, R3, 8, 0),
        Instruction::new(LDX_B, R2, R2, 37, 0),
        Instruction::new(AND_K, R2, R0, 0, 1),
        Instruction::new(ADD_K, R2, R0, 0, 4),
    ];
    code.extend(Instruction::load_map(R1, map.as_fd()));
    code.extend([
        Instruction::new(MOV_K, R3, R0, 0, 2),
        Instruction::call(HELPER_REDIRECT_MAP),
        Instruction::exit(),
        Instruction::new(MOV_K, R0, R0, 0, 2),
        Instruction::exit(),
    ]);
    Ok(Program::load(ProgramKind::Xdp { fragments: true }, &code, "by_port")?)
}

pub(crate) fn sockets_share_a_queue() -> Result {
    need_root()?;
    for mode in MODES {
        let (left, right) = (Namespace::new()?, Namespace::new()?);
        let _links = wire(&left, &right)?;
        let map = Map::new(MapKind::XskMap, 4, 8, "by_port")?;
        let program = by_port(&map)?;
        let given = right.run(|| -> Result<xdp::Program> {
            let (program, map) =
                (program.as_fd().try_clone_to_owned()?, map.as_fd().try_clone_to_owned()?);
            Ok(xdp::Program::attach("right0", program, map, mode)?)
        })??;
        let umem = xdp::UmemConfig::new().frames(1024).allocate()?;
        let builder = xdp::Socket::builder("right0")
            .umem(&umem)
            .ring_size(256)
            .fill_target(128)
            .multi_buffer(xdp::MultiBuffer::Off)
            .program(&given);
        let mut even = open(&right, &builder.clone().key(4))?;
        let error = opened(&right, &builder.clone().key(4))?.expect_err("it is taken");
        assert!(matches!(error, xdp::Error::QueueBusy { .. }), "{error}");
        let error = opened(&right, &builder.clone().key(8))?.expect_err("the map has eight");
        assert!(matches!(error, xdp::Error::KeyOutOfRange { key: 8 }), "{error}");
        let mut odd = open(&right, &builder.clone().key(5))?;
        let sending = builder.clone().direction(xdp::Direction::Send);
        let mut only_sends = open(&right, &sending)?;

        // Both receive at the same time, each on a thread of its own, each its own packets in
        // order.
        let sender = Sender::new(&left, "left0")?;
        let sent: Vec<_> = (0..2000).map(|n| frame(2000 + n, 60 + usize::from(n) % 700)).collect();
        let (mut part, mut rest) = (Vec::new(), Vec::new());
        for burst in sent.chunks(100) {
            sender.send(burst)?;
            let other = thread::scope(|scope| -> Result<_> {
                let other = scope.spawn(|| collect(&mut odd, 50));
                part.extend(collect(&mut even, 50)?);
                other.join().expect("the other")
            })?;
            rest.extend(other);
        }
        let of =
            |bit| -> Vec<_> { sent.iter().filter(|frame| frame[37] & 1 == bit).cloned().collect() };
        assert!(part == of(0) && rest == of(1), "{} and {} packets", part.len(), rest.len());

        // All three send, and frames of one are sent by another.
        let builder = Capture::builder("left0").block_timeout(SHORT / 20);
        let mut peer = left.run(|| builder.open())??;
        let out = frames(300, 200);
        for (n, packet) in out.iter().enumerate() {
            let socket = [&mut even, &mut odd, &mut only_sends][n % 3].sender()?;
            while !socket.send_bytes(packet)? {
                assert!(socket.wait_for_room(Timeout::After(SOON))?, "room");
            }
        }
        for socket in [&mut even, &mut odd, &mut only_sends] {
            assert!(socket.sender()?.drain(Timeout::After(SOON))?);
        }
        assert_same(&collect(&mut peer, out.len())?, &out);
        let counted = odd.sender()?.sender_statistics()?;
        assert_eq!((counted.sent, counted.completed, counted.malformed), (100, 300, 0));

        // The rings were created for the first socket, but stay while any is left.
        drop(even);
        sender.send(&sent[..100])?;
        assert_eq!(collect(&mut odd, 50)?, of(1)[..50]);
        assert_silent(&mut odd)?;
        drop(odd);
        assert!(only_sends.send_bytes(&out[0])?);
        assert!(only_sends.sender()?.drain(Timeout::After(SOON))?);
        drop(only_sends);
        assert_eq!(umem.free_frames(), 1024);
    }
    Ok(())
}

pub(crate) fn our_own_program_knows_one_receiver_a_queue() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let umem = xdp::UmemConfig::new().frames(512).allocate()?;
    let builder = xdp::Socket::builder("right0").umem(&umem).ring_size(128);
    let mut first = open(&right, &builder)?;
    let error = opened(&right, &builder)?.expect_err("its packets would be taken away");
    assert!(matches!(error, xdp::Error::QueueBusy { queue: 0, .. }), "{error}");
    let mut second = open(&right, &builder.direction(xdp::Direction::Send))?;
    let sender = Sender::new(&left, "left0")?;
    let sent = frames(100, 200);
    sender.send(&sent)?;
    assert_eq!(collect(&mut first, 100)?, sent);
    // Frames received by one are sent by the other, on another thread.
    sender.send(&sent)?;
    let mut frames = Vec::new();
    while frames.len() < 100 {
        let Next::Batch(batch) = first.next_batch(Timeout::After(SOON))? else { panic!("packets") };
        frames.extend(batch.into_frames().map(|(frame, _)| frame));
    }
    let builder = Capture::builder("left0").block_timeout(SHORT / 20);
    let mut peer = left.run(|| builder.open())??;
    let sending = thread::spawn(move || -> Result<xdp::Socket> {
        for frame in frames {
            second.send(frame)?;
        }
        second.flush()?;
        Ok(second)
    });
    assert_same(&collect(&mut peer, 100)?, &sent);
    drop(sending.join().expect("the sender")?);
    assert_silent(&mut first)?;
    drop(first);
    assert_eq!(umem.free_frames(), 512);
    Ok(())
}

pub(crate) fn a_group_is_a_source() -> Result {
    need_root()?;
    for mode in MODES {
        let (left, right) = (Namespace::new()?, Namespace::new()?);
        let _links = wire(&left, &right)?;
        for (host, name) in [(&left, "left0"), (&right, "right0")] {
            run(host, "ethtool", &["-L", name, "rx", "2", "tx", "2"])?;
        }
        let builder = xdp::Socket::builder("right0").attach(mode).promiscuous(true);
        let mut group = right.run(|| builder.group().open())??;
        assert!(is_promiscuous(&right)?);
        assert_eq!((group.spread_over(), group.is_symmetric()), (None, None), "veth has no hash");
        let sender = Sender::new(&left, "left0")?;
        let sent = frames(2000, 200);
        let (mut seen, mut numbers) = (Vec::new(), Vec::new());
        for (part, so_far) in sent.chunks(100).zip((100..).step_by(100)) {
            sender.send(part)?;
            while seen.len() < so_far {
                let Next::Batch(batch) = group.next_batch(Timeout::After(SOON))? else {
                    panic!("{} packets", seen.len())
                };
                numbers.extend(batch.packets().map(|packet| packet.number()));
                seen.extend(batch.packets().map(|packet| packet.data().to_vec()));
            }
        }
        assert_same(&seen, &sent);
        assert!(numbers.iter().copied().eq(1..=2000), "numbered through");
        assert_eq!(group.statistics()?.drops, 0);
        for member in group.members_mut() {
            println!("{mode:?}: queue {} got {:?}", member.queue(), member.statistics()?.packets);
        }
        assert!(matches!(group.next_batch(Timeout::After(SHORT))?, Next::TimedOut));
        group.interrupter().expect("it waits").interrupt();
        assert!(matches!(group.next_batch(Timeout::Never)?, Next::Interrupted));
        drop(group);
        assert!(!is_promiscuous(&right)?);
    }
    Ok(())
}

/// As reported by ip(8).
fn is_promiscuous(host: &Namespace) -> Result<bool> {
    Ok(!run(host, "ip", &["-details", "link", "show", "right0"])?.contains("promiscuity 0"))
}
