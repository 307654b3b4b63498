//! Receiving.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use live_harness::Result;
use netns::Namespace;
use ring_core::{
    Capture, CaptureBuilder, CaptureFilter, Direction, Error, Instruction, LinkType, Next,
    Outgoing, PacketBatch as _, PacketSource as _, RawFilter, RingGeometry, RingProfile, Timeout,
};

use crate::hosts::{SOON, Sender, frame, wire};

const SHORT: Timeout = Timeout::After(Duration::from_millis(300));

/// What a packet was: its bytes and direction.
type Seen = (Vec<u8>, Direction);

fn open(host: &Namespace, builder: CaptureBuilder) -> Result<Capture> {
    Ok(host.run(|| builder.block_timeout(Duration::from_millis(5)).open())??)
}

/// All packets until nothing comes for a while.
fn drain(capture: &mut Capture) -> Result<Vec<Seen>> {
    let mut seen = Vec::new();
    while let Some(block) = capture.next_block(SHORT)? {
        seen.extend(
            block.packets().map(|packet| (packet.data().to_vec(), packet.meta().direction)),
        );
    }
    Ok(seen)
}

fn count_with(seen: &[Seen], needle: &[u8]) -> usize {
    seen.iter()
        .filter(|(data, _)| data.windows(needle.len()).any(|window| window == needle))
        .count()
}

/// Keeps UDP datagrams to one port, in Ethernet and IPv4 without options.
fn to_port(port: u16) -> RawFilter {
    let program = vec![
        Instruction::statement(0x28, 36),
        Instruction::jump(0x15, u32::from(port), 0, 1),
        Instruction::statement(0x06, u32::MAX),
        Instruction::statement(0x06, 0),
    ];
    RawFilter::new(program).expect("a short program")
}

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

/// TCP over veth moves segments of up to 64 KiB as one packet: they must arrive whole, by default and with the smallest
/// profile.
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
        assert!(longest > 9000, "no large segment was seen: {longest}");
        assert_eq!(capture.statistics()?.drops, 0);
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

/// Sockets that are opened for all protocols and only then bound and filtered deliver other packets at first.
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

fn expression(text: &str) -> packet_filter::Filter {
    text.parse().expect("a filter expression")
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
    // Those of both before the change, of the new one after; one of the first three was among both.
    assert_eq!(ports, [0, 0, 599, 600, 600, 300, 300, 300, 0, 0]);
    capture.set_filter(CaptureFilter::everything())?;
    sender.send(&mixed[..10])?;
    assert_eq!(drain(&mut capture)?.len(), 10);
    Ok(())
}

fn is_promiscuous(host: &Namespace, interface: &str) -> Result<bool> {
    // `IFF_PROMISC` shows in the flags of netdevice(7) only where it was set by them: the count is in the link's data.
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

const FEW: RingGeometry =
    RingGeometry { block_size: 1 << 16, blocks: 4, timeout: Duration::from_millis(2) };

pub(crate) fn kept_blocks_exhaust_the_ring_and_come_back() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right, Capture::builder("right0").geometry(FEW))?;
    let sender = Sender::new(&left, "left0")?;
    let mut kept = Vec::new();
    for port in 1..=4 {
        sender.send(&[frame(port, 60)])?;
        kept.push(capture.next_block(Timeout::After(SOON))?.expect("a block").share());
    }
    assert_eq!((capture.statistics()?.blocks_on_loan, capture.free_blocks()), (4, 0));
    sender.send(&[frame(5, 60)])?;
    assert!(capture.next_block(SHORT)?.is_none(), "every block is kept");
    let statistics = capture.statistics()?;
    assert_eq!(statistics.ring_exhausted, 1);
    assert_eq!(statistics.drops, 1, "the kernel had no room");
    // Kept packets are as they were, and the wait ends when the block that comes next is given back elsewhere.
    let ports: Vec<_> = kept.iter().flat_map(|b| b.packets().map(|p| p.data().to_vec())).collect();
    assert_eq!(ports, (1..=4).map(|port| frame(port, 60)).collect::<Vec<_>>());
    let giver = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        drop(kept);
        let frames = [frame(6, 60)];
        sender.send(&frames).map(|()| sender)
    });
    let block = capture.next_block(Timeout::After(SOON))?.expect("packets again");
    let packet = block.packets().next().expect("a packet");
    assert_eq!(packet.data(), frame(6, 60));
    assert!(packet.meta().losing, "a packet was lost before this");
    drop(block);
    giver.join().expect("the other thread")?;
    let statistics = capture.statistics()?;
    assert_eq!((statistics.packets, statistics.drops, statistics.losing), (6, 1, 1));
    assert_eq!(statistics.blocks_on_loan, 0);
    Ok(())
}

fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid and writable.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

pub(crate) fn an_idle_link_with_its_newest_block_kept_costs_nothing() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    for blocks in [2, 8] {
        let geometry = RingGeometry { blocks, ..FEW };
        let mut capture = open(&right, Capture::builder("right0").geometry(geometry))?;
        // The newest block kept; then every block kept.
        for keep in [1, blocks] {
            let mut kept = Vec::new();
            for port in 0..keep {
                sender.send(&[frame(port as u16, 60)])?;
                kept.push(capture.next_block(Timeout::After(SOON))?.expect("a block").share());
            }
            let (idle, before) = (Duration::from_secs(1), thread_time());
            assert!(capture.next_block(Timeout::After(idle))?.is_none());
            let used = thread_time() - before;
            assert!(
                used < idle / 100,
                "{used:?} of processor time while {keep} of {blocks} blocks are kept"
            );
        }
    }
    Ok(())
}

pub(crate) fn an_interruption_ends_the_wait() -> Result {
    let host = Namespace::new()?;
    let mut capture = open(&host, Capture::builder("lo"))?;
    let interrupter = capture.interrupter();
    interrupter.interrupt();
    interrupter.interrupt();
    assert!(matches!(capture.next_batch(Timeout::Never)?, Next::Interrupted), "remembered");
    assert!(matches!(capture.next_batch(Timeout::Now)?, Next::TimedOut), "once");
    let other = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        interrupter.interrupt();
    });
    let started = Instant::now();
    assert!(matches!(capture.next_batch(Timeout::Never)?, Next::Interrupted));
    assert!(started.elapsed() >= Duration::from_millis(40));
    other.join().expect("the other thread");
    Ok(())
}

pub(crate) fn timeouts_are_kept() -> Result {
    let host = Namespace::new()?;
    let mut capture = open(&host, Capture::builder("lo"))?;
    for milliseconds in [0, 20, 200] {
        let (started, timeout) = (Instant::now(), Duration::from_millis(milliseconds));
        assert!(matches!(capture.next_batch(Timeout::After(timeout))?, Next::TimedOut));
        let took = started.elapsed();
        assert!(
            took >= timeout && took < timeout + Duration::from_millis(100),
            "{took:?} for {timeout:?}"
        );
    }
    Ok(())
}

pub(crate) fn drops_add_up() -> Result {
    const SENT: usize = 20_000;
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right, Capture::builder("right0").geometry(FEW))?;
    let frames: Vec<_> = (0..SENT).map(|at| frame(at as u16, 200)).collect();
    Sender::new(&left, "left0")?.send(&frames)?;
    let (mut delivered, mut marked) = (0, 0);
    while let Some(block) = capture.next_block(SHORT)? {
        delivered += block.packets().count() as u64;
        marked += block.packets().filter(|packet| packet.meta().losing).count() as u64;
    }
    Sender::new(&left, "left0")?.send(&frames[..10])?;
    while let Some(block) = capture.next_block(SHORT)? {
        delivered += block.packets().count() as u64;
        marked += block.packets().filter(|packet| packet.meta().losing).count() as u64;
    }
    let statistics = capture.statistics()?;
    assert_eq!(statistics.packets, SENT as u64 + 10);
    assert!(statistics.drops > 0, "four blocks of 64 KiB do not hold them");
    assert_eq!(delivered + statistics.drops, statistics.packets);
    assert_eq!(statistics.losing, marked);
    assert!(marked > 0 && statistics.freezes > 0, "{statistics:?}");
    assert_eq!(capture.statistics()?, statistics, "totals stay");
    Ok(())
}

pub(crate) fn an_interface_that_goes_down_comes_back() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (_l, r) = wire(&left, &right)?;
    let mut capture = open(&right, Capture::builder("right0"))?;
    r.down()?;
    let before = thread_time();
    assert!(capture.next_block(Timeout::After(Duration::from_millis(600)))?.is_none());
    assert!(thread_time() - before < Duration::from_millis(30), "it does not spin on the error");
    r.set_mtu(4000)?;
    r.up()?;
    r.wait_until_running(SOON)?;
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
            Err(Error::InterfaceGone { name }) => assert_eq!(name, "right0"),
            other => panic!("{other:?}"),
        }
    }
    Ok(())
}

pub(crate) fn a_dropped_capture_with_a_kept_block_stops_collecting() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let sender = Sender::new(&left, "left0")?;
    for locked in [false, true] {
        let mut capture =
            open(&right, Capture::builder("right0").geometry(FEW).lock_filter(locked))?;
        sender.send(&[frame(1, 60)])?;
        let block = capture.next_block(Timeout::After(SOON))?.expect("a block").share();
        drop(capture);
        let frames: Vec<_> = (0..5000).map(|at| frame(at, 60)).collect();
        sender.send(&frames)?;
        let data: Vec<_> = block.packets().map(|packet| packet.data().to_vec()).collect();
        assert_eq!(data, [frame(1, 60)], "it is still readable");
    }
    Ok(())
}

pub(crate) fn wrong_interfaces_and_geometries_are_typed_errors() -> Result {
    let host = Namespace::new()?;
    let refused = |builder: CaptureBuilder| host.run(|| builder.open().expect_err("refused"));
    assert!(
        matches!(refused(Capture::builder("nope0"))?, Error::NoInterface { name } if name == "nope0")
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

/// A capture thread hands blocks to workers over a bounded queue, and nothing is copied.
pub(crate) fn shared_blocks_go_to_workers() -> Result {
    const SENT: u16 = 30_000;
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    let mut capture = open(&right, Capture::builder("right0"))?;
    let (blocks, queue) = mpsc::sync_channel::<ring_core::SharedBlock>(8);
    let queue = std::sync::Arc::new(std::sync::Mutex::new(queue));
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let queue = queue.clone();
            thread::spawn(move || {
                let mut ports = Vec::new();
                loop {
                    let next = queue.lock().expect("no worker panics").recv();
                    let Ok(block) = next else { return ports };
                    let memory = block.retain().expect("a shared block is kept already");
                    for packet in &block {
                        let data = memory.slice_ref(packet.data());
                        assert_eq!(data.as_ptr(), packet.data().as_ptr());
                        ports.push(u16::from_be_bytes([data[36], data[37]]));
                    }
                }
            })
        })
        .collect();
    let sender = Sender::new(&left, "left0")?;
    let sending = thread::spawn(move || {
        sender.send(&(0..SENT).map(|port| frame(port, 100)).collect::<Vec<_>>())
    });
    while let Some(block) = capture.next_block(SHORT)? {
        blocks.send(block.share())?;
    }
    sending.join().expect("the sender")?;
    drop(blocks);
    let mut ports: Vec<_> =
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect();
    ports.sort_unstable();
    assert_eq!(capture.statistics()?.drops, 0);
    assert_eq!(ports, (0..SENT).collect::<Vec<_>>());
    assert_eq!(capture.statistics()?.blocks_on_loan, 0);
    Ok(())
}

/// A datagram to oneself, through the loopback interface.
fn talk_to_self(host: &Namespace, datagrams: &[&[u8]]) -> Result {
    let (to, from) = host.run(|| -> std::io::Result<_> {
        Ok((UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?))
    })??;
    for datagram in datagrams {
        from.send_to(datagram, to.local_addr()?)?;
    }
    Ok(())
}
