//! Sending, judged at the peer: the injector's reports are compared with what arrived.

#[path = "live/hosts.rs"]
mod hosts;

use std::net::UdpSocket;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use live_harness::{Result, none_dropped, program};
use netns::{Link, Namespace};
use ring_core::{
    Capture, Error, Injector, InjectorBuilder, LinkType, Packet, PacketMeta, PacketSink as _,
    RingGeometry, SendPath, Timeout, Timestamp, VlanTag,
};

use hosts::{Sender, frame, wire};

live_harness::main!(
    every_frame_arrives_as_it_was,
    a_frame_stays_as_it_was_sent,
    slots_that_are_dropped_send_nothing,
    wrong_lengths_are_refused,
    tagged_frames_may_be_longer,
    refused_frames_are_counted_and_the_others_arrive,
    a_lowered_mtu_does_not_hold_a_copying_ring_up,
    a_frame_that_is_never_taken_is_given_up,
    a_full_queue_holds_the_sender_back,
    a_full_send_buffer_holds_the_sender_back,
    an_interface_that_is_down_keeps_the_frames,
    a_deleted_interface_is_an_error,
    time_stamps_have_numbers,
    packets_of_a_source_go_out_with_their_tags,
    an_injector_receives_nothing,
);

const PATHS: [SendPath; 2] = [SendPath::Messages, SendPath::Ring];
const QUIET: Timeout = Timeout::After(Duration::from_millis(300));
const LARGE: RingGeometry =
    RingGeometry { block_size: 1 << 20, blocks: 32, timeout: Duration::from_millis(100) };

fn open(
    host: &Namespace,
    set_up: impl Fn(InjectorBuilder) -> InjectorBuilder + Sync,
) -> Result<Injector> {
    Ok(host.run(|| set_up(Injector::builder("left0")).open())??)
}

fn peer(host: &Namespace) -> Result<Capture> {
    Ok(host.run(|| Capture::builder("right0").geometry(LARGE).open())??)
}

/// Collects frames with their tags until none arrive for a while.
fn arrived(capture: &mut Capture) -> Result<Vec<(Vec<u8>, Option<VlanTag>)>> {
    let mut seen = Vec::new();
    while let Some(block) = capture.next_block(QUIET)? {
        seen.extend(block.packets().map(|packet| (packet.data().to_vec(), packet.vlan())));
    }
    none_dropped(capture.statistics()?.drops)?;
    Ok(seen)
}

fn frames_of(seen: Vec<(Vec<u8>, Option<VlanTag>)>) -> Vec<Vec<u8>> {
    seen.into_iter().map(|(data, _)| data).collect()
}

/// Frames of different lengths, each filled with its number.
fn numbered(count: u16) -> Vec<Vec<u8>> {
    let frame = |number: u16| {
        let mut frame = frame(number, 60 + usize::from(number) * 37 % 1455);
        for pair in frame[42..].chunks_exact_mut(2) {
            pair.copy_from_slice(&number.to_be_bytes());
        }
        frame
    };
    (0..count).map(frame).collect()
}

fn every_frame_arrives_as_it_was() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    for path in PATHS {
        for (bypass, zero_copy, loss, slots) in [
            (false, false, false, 256),
            (true, false, false, 32),
            (false, true, false, 100),
            (true, false, true, 7),
            (false, true, true, 1),
        ] {
            let mut injector = open(&left, |builder| {
                let builder = builder.path(path).slots(slots).zero_copy(zero_copy).loss(loss);
                builder.qdisc_bypass(bypass)
            })?;
            let mut capture = peer(&right)?;
            let frames = numbered(3000);
            for frame in &frames {
                let mut slot = injector.reserve(frame.len())?;
                slot.copy_from_slice(frame);
                assert_eq!(slot[..], frame[..]);
                slot.commit()?;
            }
            injector.flush()?;
            assert_eq!(injector.pending(), 0);
            let statistics = injector.statistics();
            let case = format!("{path:?} {bypass} {zero_copy} {loss} {slots}: {statistics:?}");
            assert_eq!((statistics.packets, statistics.rejected), (3000, 0), "{case}");
            assert_eq!(statistics.bytes, frames.iter().map(|f| f.len() as u64).sum(), "{case}");
            let seen = frames_of(arrived(&mut capture)?);
            assert_eq!(seen.len(), 3000, "{case}");
            assert!(seen == frames, "others, or in another order: {case}");
        }
    }
    Ok(())
}

/// A receiver on the same host may keep a frame for any time. It must not change when its slot in
/// the ring is used again.
fn a_frame_stays_as_it_was_sent() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (_, r) = wire(&left, &right)?;
    let mac = r.mac()?;
    for path in PATHS {
        let socket = right.run(|| UdpSocket::bind("10.9.0.2:7"))??;
        socket.set_read_timeout(Some(Duration::from_millis(300)))?;
        let mut injector = open(&left, |builder| builder.path(path).slots(4))?;
        let sent = 60_u8;
        for number in 0..sent {
            let mut datagram = frame(7, 1042);
            datagram[..6].copy_from_slice(&mac);
            datagram[26..34].copy_from_slice(&[10, 9, 0, 1, 10, 9, 0, 2]);
            let mut sum: u32 = datagram[14..34]
                .chunks_exact(2)
                .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
                .sum();
            sum = (sum & 0xffff) + (sum >> 16);
            datagram[24..26].copy_from_slice(&(!(sum as u16)).to_be_bytes());
            datagram[42..].fill(number);
            injector.send_frame(&datagram)?;
        }
        injector.flush()?;
        // All frames are in the socket's queue before the first is read.
        thread::sleep(Duration::from_millis(100));
        let mut payload = [0; 2000];
        for number in 0..sent {
            let len = socket.recv(&mut payload)?;
            assert_eq!(payload[..len], [number; 1000], "{path:?}");
        }
    }
    Ok(())
}

fn slots_that_are_dropped_send_nothing() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    for path in PATHS {
        let mut injector = open(&left, |builder| builder.path(path))?;
        let mut capture = peer(&right)?;
        injector.reserve(100)?.fill(1);
        let mut slot = injector.reserve(100)?;
        slot.copy_from_slice(&frame(1, 100));
        slot.truncate(61);
        slot.commit()?;
        assert_eq!(injector.pending(), 1);
        assert!(injector.try_flush()?);
        let seen = frames_of(arrived(&mut capture)?);
        assert_eq!(seen, [&frame(1, 100)[..61]], "{path:?}");

        injector.send_frame(&frame(2, 100))?;
        assert_eq!(injector.discard(), 1);
        injector.send_frame(&frame(3, 100))?;
        drop(injector);
        assert_eq!(frames_of(arrived(&mut capture)?), [frame(3, 100)], "{path:?}");
    }
    Ok(())
}

fn wrong_lengths_are_refused() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    for path in PATHS {
        let mut injector = open(&left, |builder| builder.path(path))?;
        let mut capture = peer(&right)?;
        assert_eq!(injector.longest_frame(), 1514);
        for len in [0, 13, 1515, 1518, 1519, 70_000] {
            let refused = injector.send_frame(&vec![0; len]);
            let Err(Error::FrameLength { len: told, least, limit, .. }) = refused else {
                panic!("{len}: {refused:?}");
            };
            assert_eq!((told, least, limit), (len, 14, 1514));
        }
        assert_eq!(injector.pending(), 0);
        for len in [14, 1514] {
            let mut exact = vec![0; len];
            exact[12] = 0x88;
            injector.send_frame(&exact)?;
        }
        injector.flush()?;
        let lens: Vec<_> = arrived(&mut capture)?.iter().map(|(data, _)| data.len()).collect();
        assert_eq!(lens, [14, 1514], "{path:?}");
    }
    let name = left.run(|| Injector::open("no-such"))?;
    assert!(matches!(name, Err(Error::NoInterface { .. })));
    Ok(())
}

fn tagged_frames_may_be_longer() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    for path in PATHS {
        let mut injector = open(&left, |builder| builder.path(path))?;
        let mut capture = peer(&right)?;
        let mut tagged = vec![2; 1518];
        tagged[12..18].copy_from_slice(&[0x81, 0, 0x60, 0x2a, 0x88, 0xb5]);
        injector.send_frame(&tagged)?;
        injector.flush()?;
        let seen = arrived(&mut capture)?;
        assert_eq!(seen.len(), 1, "{path:?}");
        assert_eq!(seen[0].1, Some(VlanTag { tpid: 0x8100, tci: 0x602a }), "{path:?}");
        assert_eq!(seen[0].0.len(), 1514, "{path:?}");
    }
    Ok(())
}

/// Lengths are checked against the MTU at opening, but here the kernel decides.
fn refused_frames_are_counted_and_the_others_arrive() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (l, _) = wire(&left, &right)?;
    for (path, loss) in
        [(SendPath::Messages, false), (SendPath::Ring, false), (SendPath::Ring, true)]
    {
        l.set_mtu(1500)?;
        let mut injector =
            open(&left, |builder| builder.path(path).zero_copy(true).loss(loss).batch(64))?;
        let mut capture = peer(&right)?;
        l.set_mtu(1000)?;
        let mut frames = numbered(400);
        for frame in &frames {
            injector.send_frame(frame)?;
        }
        injector.flush()?;
        let all = frames.len();
        frames.retain(|frame| frame.len() <= 1014);
        let statistics = injector.statistics();
        let case = format!("{path:?} {loss} {statistics:?}");
        assert!(all - frames.len() > 50);
        assert_eq!(statistics.rejected, (all - frames.len()) as u64, "{case}");
        assert_eq!(statistics.packets, frames.len() as u64, "{case}");
        assert!(frames_of(arrived(&mut capture)?) == frames, "{case}");
        if !loss {
            let rejection = injector.rejection().expect("there were some");
            let last = numbered(400).iter().rposition(|frame| frame.len() > 1014).expect("one");
            assert_eq!(rejection.number, last as u64 + 1, "{case}");
            assert_eq!(rejection.errno, ring_sys::errno::EMSGSIZE, "{case}");
        }
    }
    Ok(())
}

/// With virtio-net headers the kernel leaves checking the lengths of frames in a ring to the
/// interface, which reports a full queue.
fn a_lowered_mtu_does_not_hold_a_copying_ring_up() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (l, r) = wire(&left, &right)?;
    let mut injector = open(&left, |builder| builder.path(SendPath::Ring))?;
    let mut capture = peer(&right)?;
    l.set_mtu(1000)?;
    r.set_mtu(1000)?;
    let mut frames = numbered(400);
    for frame in &frames {
        injector.send_frame(frame)?;
    }
    injector.flush()?;
    // The interface allows for a VLAN tag.
    frames.retain(|frame| frame.len() <= 1018);
    let statistics = injector.statistics();
    let (taken, refused) = (frames.len() as u64, 400 - frames.len() as u64);
    assert_eq!((statistics.packets, statistics.rejected), (taken, refused));
    assert_eq!(injector.rejection().expect("some").errno, ring_sys::errno::EMSGSIZE);
    assert!(frames_of(arrived(&mut capture)?) == frames);
    Ok(())
}

/// A frame that the other end never accepts, without any reported reason, is given up.
fn a_frame_that_is_never_taken_is_given_up() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (_, r) = wire(&left, &right)?;
    r.set_mtu(1000)?;
    for path in PATHS {
        let patience = Duration::from_millis(100);
        let mut injector = open(&left, |builder| builder.path(path).patience(patience))?;
        let mut capture = peer(&right)?;
        let started = Instant::now();
        for (number, len) in [(1, 100), (2, 1400), (3, 100)] {
            injector.send_frame(&frame(number, len))?;
        }
        injector.flush()?;
        let seen = frames_of(arrived(&mut capture)?);
        assert_eq!(seen, [frame(1, 100), frame(3, 100)], "{path:?}");
        // It depends on the driver if it reports drops.
        if injector.statistics().rejected > 0 {
            assert!(started.elapsed() >= patience);
            let rejection = injector.rejection().expect("one");
            assert_eq!((rejection.number, rejection.errno), (2, ring_sys::errno::ENOBUFS));
        }
    }
    Ok(())
}

fn limit_rate(host: &Namespace, limit: &str) -> Result {
    // A delayed frame is sent on the processor whose timer releases it. With only one processor, no
    // other frame can overtake it before it reaches the peer.
    ring_sys::processor::pin(ring_sys::processor::allowed()?[0])?;
    let mut tc = Command::new(program("tc", "iproute2")?);
    tc.args(["qdisc", "replace", "dev", "left0", "root", "tbf", "rate", "40mbit"]);
    tc.args(["burst", "5kb", "limit", limit]);
    let output = host.run(|| tc.output())??;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn held_back(limit: &str, buffer: Option<u32>) -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    limit_rate(&left, limit)?;
    for path in PATHS {
        let mut injector = open(&left, |builder| {
            let builder = builder.path(path).slots(64);
            buffer.map_or(builder.clone(), |bytes| builder.send_buffer(bytes))
        })?;
        let mut capture = peer(&right)?;
        // At 10 Mbit/s this takes at least a fifth of a second, during which no slot is free.
        let frames: Vec<_> = (0..1250).map(|number| frame(number, 1000)).collect();
        let started = Instant::now();
        let mut full = false;
        for frame in &frames {
            full |= injector.try_reserve(frame.len())?.is_none();
            injector.send_frame(frame)?;
        }
        assert!(!injector.flush_within(Timeout::Now)?, "{path:?}: some are still in line");
        assert!(injector.pending() > 0);
        injector.flush()?;
        assert!(full, "{path:?}: it was never full");
        assert!(started.elapsed() > Duration::from_millis(150), "{path:?}: nothing held it back");
        assert_eq!(injector.statistics().packets, 1250, "{path:?}");
        assert!(frames_of(arrived(&mut capture)?) == frames, "{path:?}: each once, in order");
    }
    Ok(())
}

fn a_full_queue_holds_the_sender_back() -> Result {
    held_back("8kb", None)
}

fn a_full_send_buffer_holds_the_sender_back() -> Result {
    held_back("10mb", Some(20_000))
}

fn with_down(test: impl Fn(SendPath, &Link<'_>, &mut Injector, &mut Capture) -> Result) -> Result {
    for path in PATHS {
        let (left, right) = (Namespace::new()?, Namespace::new()?);
        let (l, _) = wire(&left, &right)?;
        let mut injector = open(&left, |builder| builder.path(path))?;
        let mut capture = peer(&right)?;
        injector.send_frame(&frame(1, 100))?;
        test(path, &l, &mut injector, &mut capture)?;
    }
    Ok(())
}

fn an_interface_that_is_down_keeps_the_frames() -> Result {
    with_down(|path, link, injector, capture| {
        link.down()?;
        for _ in 0..2 {
            let down = injector.flush();
            assert!(matches!(down, Err(Error::System { .. })), "{path:?}: {down:?}");
            assert_eq!(injector.pending(), 1);
        }
        link.up()?;
        link.wait_until_running(hosts::SOON)?;
        injector.flush()?;
        assert_eq!(frames_of(arrived(capture)?), [frame(1, 100)], "{path:?}");
        Ok(())
    })
}

fn a_deleted_interface_is_an_error() -> Result {
    with_down(|path, link, injector, _| {
        link.clone().delete()?;
        let gone = injector.flush();
        assert!(matches!(gone, Err(Error::InterfaceGone { .. })), "{path:?}: {gone:?}");
        assert_eq!(injector.discard(), 1);
        Ok(())
    })
}

fn time_stamps_have_numbers() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    limit_rate(&left, "8kb")?;
    for path in PATHS {
        let mut injector = open(&left, |builder| builder.path(path).slots(8).timestamps(true))?;
        assert_eq!(injector.take_timestamp()?, None);
        let start = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos() as u64;
        let mut taken = Vec::new();
        for number in 0..100 {
            injector.send_frame(&frame(number, 1000))?;
            while let Some(timestamp) = injector.take_timestamp()? {
                taken.push(timestamp);
            }
        }
        injector.flush()?;
        // The error queue is emptied concurrently.
        thread::sleep(Duration::from_millis(100));
        while let Some(timestamp) = injector.take_timestamp()? {
            taken.push(timestamp);
        }
        let numbers: Vec<u64> = taken.iter().map(|taken| taken.number).collect();
        assert_eq!(numbers, (1..=100).collect::<Vec<_>>(), "{path:?}");
        assert!(taken.is_sorted_by_key(|taken| taken.timestamp), "{path:?}");
        let first = taken[0].timestamp.as_nanos();
        assert!(first.abs_diff(start) < 5_000_000_000, "{path:?}: {first}, not {start}");
    }
    Ok(())
}

fn packets_of_a_source_go_out_with_their_tags() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    for path in PATHS {
        let mut injector = open(&left, |builder| builder.path(path))?;
        let mut capture = peer(&right)?;
        let mut meta = PacketMeta::new(1, Timestamp::default(), LinkType::ETHERNET);
        injector.send(&Packet::with_meta(&frame(1, 100), meta))?;
        meta.vlan = Some(VlanTag { tpid: 0x88a8, tci: 9 });
        injector.send(&Packet::with_meta(&frame(2, 100), meta))?;
        meta.link_type = LinkType::RAW;
        let other = injector.send(&Packet::with_meta(&frame(3, 100), meta));
        assert!(matches!(other, Err(Error::SinkLinkType { .. })));
        injector.flush()?;
        let expected = [(frame(1, 100), None), (frame(2, 100), meta.vlan)];
        assert_eq!(arrived(&mut capture)?, expected, "{path:?}");
    }
    Ok(())
}

/// A socket that receives packets without reading them costs the whole host.
fn an_injector_receives_nothing() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    for path in PATHS {
        let _injector = open(&left, |builder| builder.path(path))?;
        let sender = Sender::new(&right, "right0")?;
        sender.send(&[frame(1, 100)])?;
        let sockets = left.run(|| std::fs::read_to_string("/proc/thread-self/net/packet"))??;
        // The seventh column is the memory of received packets.
        for line in sockets.lines().skip(1) {
            assert_eq!(line.split_whitespace().nth(6), Some("0"), "{path:?}: {line}");
        }
        assert_eq!(sockets.lines().count(), 2, "a heading and the injector's: {sockets}");
    }
    Ok(())
}
