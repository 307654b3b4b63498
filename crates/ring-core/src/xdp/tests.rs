//! Sockets whose kernel is played by the test, which may write whatever it likes.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use ring_sys::xdp::abi::{XDP_PKT_CONTD, XdpDesc};

use super::completions::Completions;
use super::cursor::Side;
use super::endpoint::Endpoint;
use super::memory::Holder;
use super::ring::fake::{self, KernelRing};
use super::*;
use crate::{Interrupter, LinkType, Next, PacketBatch as _, PacketSource as _, Timeout};

/// What the kernel has of a socket.
struct Kernel {
    rx: KernelRing<XdpDesc>,
    fill: KernelRing<u64>,
    tx: KernelRing<XdpDesc>,
    completion: KernelRing<u64>,
}

const SIZE: u32 = 8;

fn socket(umem: &Umem, start: u32) -> (XdpSocket, Kernel) {
    let (rx, rx_kernel) = fake::ring(Side::Consumer, SIZE, start);
    let (fill, fill_kernel) = fake::ring(Side::Producer, SIZE, start);
    let (tx, tx_kernel) = fake::ring(Side::Producer, SIZE, start);
    let (completion, completion_kernel) = fake::ring(Side::Consumer, SIZE, start);
    let number = umem.shared.number().expect("a number");
    let endpoint = Arc::new(Endpoint {
        entry: None,
        socket: None,
        umem: umem.shared.clone(),
        completions: Arc::new(Completions::new(completion, Holder::Send(number))),
        number,
        interface: "test".into(),
        index: 7,
        queue: 0,
        link_type: LinkType::ETHERNET,
        longest: 9018,
        zero_copy: false,
        multi_buffer: true,
        busy_poll: false,
    });
    umem.shared.adopt(&endpoint.completions);
    let waiter = umem.shared.memory.returns.join().expect("an event");
    let interrupter = Interrupter::new().expect("an event");
    let rings = (rx, fill);
    let wait = XdpWait::Sleep;
    let receiver = XdpReceiver::new(rings, (SIZE, 0), wait, endpoint.clone(), waiter, interrupter);
    let sender = XdpSender::new(tx, endpoint);
    let socket = XdpSocket { receiver: Some(receiver), sender: Some(sender) };
    let kernel =
        Kernel { rx: rx_kernel, fill: fill_kernel, tx: tx_kernel, completion: completion_kernel };
    (socket, kernel)
}

fn umem(frames: u32) -> Umem {
    UmemConfig::new().frames(frames).frame_size(2048).allocate().expect("memory")
}

impl Kernel {
    /// Receives a packet as the kernel does: into a frame of the fill ring.
    fn receive(&self, umem: &Umem, data: &[u8], options: u32) -> Option<u64> {
        let addr = self.fill.pop()? + 256;
        let memory = &umem.shared.memory;
        let place = memory.mapping().pointer(addr as usize, data.len(), 1).expect("within");
        // SAFETY: the place is within the mapping, and the frame is the kernel's, which is this test.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), place.as_ptr(), data.len()) };
        self.rx.push(XdpDesc { addr, len: data.len() as u32, options });
        Some(addr)
    }

    /// Sends everything.
    fn send(&self) -> Vec<XdpDesc> {
        let sent: Vec<XdpDesc> = std::iter::from_fn(|| self.tx.pop()).collect();
        sent.iter().for_each(|descriptor| self.completion.push(descriptor.addr));
        sent
    }
}

fn packets(socket: &mut XdpSocket) -> Vec<Vec<u8>> {
    match socket.next_batch(Timeout::Now).expect("no error") {
        Next::Batch(batch) => batch.packets().map(|packet| packet.data().to_vec()).collect(),
        _ => Vec::new(),
    }
}

fn malformed(socket: &mut XdpSocket) -> u64 {
    socket.statistics().expect("counts").malformed
}

/// All frames of a memory, wherever they are, once nobody has any.
fn assert_complete(umem: &Umem) {
    assert_eq!(umem.held_frames(), 0);
    assert_eq!(umem.free_frames(), umem.frames() as usize);
}

#[test]
fn packets_come_and_frames_go_round() {
    let umem = umem(16);
    let (mut socket, kernel) = socket(&umem, u32::MAX - 3);
    assert!(packets(&mut socket).is_empty());
    for round in 0..10_u8 {
        for n in 0..5 {
            kernel.receive(&umem, &[round, n], 0).expect("a frame");
        }
        let expected: Vec<_> = (0..5).map(|n| vec![round, n]).collect();
        assert_eq!(packets(&mut socket), expected);
    }
    let statistics = socket.statistics().expect("counts");
    assert_eq!((statistics.packets, statistics.malformed), (50, 0));
    drop(socket);
    assert_complete(&umem);
}

#[test]
fn numbers_go_on_from_batch_to_batch() {
    let umem = umem(16);
    let (mut socket, kernel) = socket(&umem, 0);
    socket.receiver().expect("receives").set_batch_size(2);
    assert!(packets(&mut socket).is_empty());
    for n in 0..3 {
        kernel.receive(&umem, &[n; 60], 0).expect("a frame");
    }
    let mut numbers = Vec::new();
    while let Next::Batch(batch) = socket.next_batch(Timeout::Now).expect("no error") {
        assert!(batch.len() <= 2);
        numbers.extend(batch.packets().map(|packet| packet.number()));
        assert!(batch.packets().all(|packet| packet.meta().interface == 7));
    }
    assert_eq!(numbers, [1, 2, 3]);
}

#[test]
fn descriptors_that_cannot_be_are_refused() {
    let umem = umem(16);
    let (mut socket, kernel) = socket(&umem, 0);
    assert!(packets(&mut socket).is_empty());
    let good = kernel.receive(&umem, b"good", 0).expect("a frame");
    let other = kernel.fill.pop().expect("a frame");
    let bad = [
        (good, 4),            // a second time
        (16 * 2048, 60),      // outside of the memory
        (u64::MAX, u32::MAX), // far outside
        (other + 256, 1793),  // longer than what is left of the frame
        (9 * 2048, 60),       // a frame that it was never given
    ];
    for (addr, len) in bad {
        kernel.rx.push(XdpDesc { addr, len, options: 0 });
    }
    assert_eq!(packets(&mut socket), [b"good"]);
    assert_eq!(malformed(&mut socket), 5);
    kernel.rx.push(XdpDesc { addr: other + 256, len: 1792, options: 0 });
    assert_eq!(packets(&mut socket)[0].len(), 1792, "the same frame as it should be");
    drop(socket);
    assert_complete(&umem);
}

#[test]
fn an_index_that_jumps_ends_the_ring() {
    let umem = umem(16);
    let (mut socket, kernel) = socket(&umem, 100);
    assert!(packets(&mut socket).is_empty());
    kernel.rx.set_producer(100 + SIZE + 1);
    for _ in 0..2 {
        let error = socket.next_batch(Timeout::Never).expect_err("not believed");
        assert!(matches!(
            error,
            crate::Error::Xdp(XdpError::RingIndex { ring: "receive", ours: 100, theirs: 109, .. })
        ));
    }
    assert_eq!(malformed(&mut socket), 1);
}

#[test]
fn a_fill_index_that_jumps_is_an_error_and_loses_no_frame() {
    let umem = umem(16);
    let (mut socket, kernel) = socket(&umem, 0);
    assert!(packets(&mut socket).is_empty());
    kernel.receive(&umem, b"one", 0).expect("a frame");
    let Next::Batch(batch) = socket.next_batch(Timeout::Now).expect("no error") else {
        panic!("a packet")
    };
    kernel.fill.set_consumer(77);
    drop(batch);
    let error = socket.next_batch(Timeout::Now).expect_err("not believed");
    assert!(
        matches!(error, crate::Error::Xdp(XdpError::RingIndex { ring: "fill", .. })),
        "{error}"
    );
    drop(socket);
    assert_complete(&umem);
}

#[test]
fn completions_that_cannot_be_are_refused() {
    let umem = umem(16);
    let (mut socket, kernel) = socket(&umem, 0);
    assert!(socket.send_bytes(b"a packet").expect("taken"));
    socket.flush().expect("flushed");
    kernel.completion.push(15 * 2048);
    kernel.completion.push(u64::MAX);
    let [sent] = kernel.send()[..] else { panic!("one packet") };
    kernel.completion.push(sent.addr);
    socket.flush().expect("flushed");
    let statistics = socket.sender().expect("sends").sender_statistics().expect("counts");
    assert_eq!((statistics.malformed, statistics.completed, statistics.in_flight), (3, 1, 0));
    kernel.completion.set_producer(kernel.completion.producer().wrapping_add(9));
    assert!(socket.send_bytes(b"another").expect("taken"));
    assert!(matches!(socket.flush(), Err(XdpError::RingIndex { ring: "completion", .. })));
    drop(socket);
    assert_complete(&umem);
}

#[test]
fn a_full_ring_gives_the_frame_back() {
    let umem = umem(32);
    let (mut socket, kernel) = socket(&umem, u32::MAX);
    for n in 0..SIZE {
        assert!(socket.send_bytes(&[n as u8; 60]).expect("taken"), "{n}");
    }
    assert!(!socket.send_bytes(b"too many").expect("no error"));
    let mut frame = socket.frame().expect("no error").expect("a frame");
    frame.write(b"too many").expect("it fits");
    let rejected = socket.send(frame).expect_err("full");
    assert!(matches!(rejected.reason, RejectReason::Full));
    socket.flush().expect("flushed");
    assert_eq!(kernel.send().len(), SIZE as usize);
    socket.send(rejected.frame).expect("there is room");
    socket.flush().expect("flushed");
    assert_eq!(kernel.send().len(), 1);
    drop(socket);
    assert_complete(&umem);
}

#[test]
fn what_cannot_be_sent_is_refused_with_the_limit() {
    let (umem, foreign) = (umem(16), umem(16));
    let (mut socket, _kernel) = socket(&umem, 0);
    let error = socket.send_bytes(&[0; 9019]).expect_err("longer than the interface sends");
    assert!(matches!(error, XdpError::PacketTooLong { len: 9019, limit: 9018 }));
    let (mut other, _other_kernel) = self::socket(&foreign, 0);
    let mut frame = other.frame().expect("no error").expect("a frame");
    frame.write(b"from elsewhere").expect("it fits");
    let rejected = socket.send(frame).expect_err("of another memory");
    assert!(matches!(rejected.reason, RejectReason::Refused(XdpError::ForeignFrame)));
    drop(rejected);
    let frame = socket.frame().expect("no error").expect("a frame");
    assert!(socket.send(frame).is_err(), "empty");
    let mut frame = socket.frame().expect("no error").expect("a frame");
    frame.write(b"x").expect("it fits");
    let request = SendRequest { timestamp: true, ..SendRequest::default() };
    let rejected = socket.sender().expect("sends").send_with(frame, request).expect_err("no room");
    assert!(matches!(rejected.reason, RejectReason::Refused(XdpError::NoMetadata)));
    drop(rejected);
    drop((socket, other));
    assert_complete(&umem);
    assert_complete(&foreign);
}

#[test]
fn long_packets_are_split_and_joined() {
    let umem = umem(16);
    let (mut socket, kernel) = socket(&umem, 0);
    assert!(packets(&mut socket).is_empty());
    kernel.receive(&umem, b"before", 0).expect("a frame");
    kernel.receive(&umem, &[1; 1792], XDP_PKT_CONTD).expect("a frame");
    kernel.receive(&umem, &[2; 1792], XDP_PKT_CONTD).expect("a frame");
    assert_eq!(packets(&mut socket), [b"before"], "the last piece has not come");
    assert!(packets(&mut socket).is_empty());
    kernel.receive(&umem, &[3; 10], 0).expect("a frame");
    kernel.receive(&umem, b"after", 0).expect("a frame");
    let expected = [&[1; 1792][..], &[2; 1792], &[3; 10]].concat();
    assert_eq!(packets(&mut socket), [expected, b"after".to_vec()]);

    kernel.receive(&umem, &[4; 1792], XDP_PKT_CONTD).expect("a frame");
    kernel.receive(&umem, &[5; 9], 0).expect("a frame");
    let Next::Batch(batch) = socket.next_batch(Timeout::Now).expect("no error") else {
        panic!("a packet")
    };
    let frames: Vec<_> = batch.into_frames().map(|(frame, _)| frame).collect();
    let lens: Vec<_> = frames.iter().map(|frame| (frame.len(), frame.continues())).collect();
    assert_eq!(lens, [(1792, true), (9, false)]);
    frames.into_iter().for_each(|frame| socket.send(frame).expect("sent on"));
    socket.flush().expect("flushed");
    let sent: Vec<_> = kernel.send().iter().map(|d| (d.len, d.options)).collect();
    assert_eq!(sent, [(1792, XDP_PKT_CONTD), (9, 0)]);
    drop(socket);
    assert_complete(&umem);
}

#[test]
fn a_packet_of_endless_pieces_is_refused() {
    let umem = umem(16);
    let (mut socket, kernel) = socket(&umem, 0);
    assert!(packets(&mut socket).is_empty());
    // The packet takes all frames that there are: it is given up, and things go on.
    let mut given = 0;
    while malformed(&mut socket) == 0 {
        given += u32::from(kernel.receive(&umem, &[0; 10], XDP_PKT_CONTD).is_some());
        assert!(packets(&mut socket).is_empty());
        assert!(given <= 16, "frames come from nowhere");
    }
    assert_eq!(given, 16);
    kernel.receive(&umem, b"its end", 0).expect("a frame");
    kernel.receive(&umem, b"the next", 0).expect("a frame");
    assert_eq!(packets(&mut socket), [b"the next"]);
    drop(socket);
    assert_complete(&umem);

    // With more frames than that, it is its number of pieces that ends it.
    let umem = self::umem(128);
    let (mut socket, kernel) = self::socket(&umem, 0);
    for _ in 0..100 {
        assert!(packets(&mut socket).is_empty());
        kernel.receive(&umem, &[0; 10], XDP_PKT_CONTD).expect("a frame");
    }
    assert!(packets(&mut socket).is_empty());
    kernel.receive(&umem, b"its end", 0).expect("a frame");
    kernel.receive(&umem, b"the next", 0).expect("a frame");
    assert_eq!(packets(&mut socket), [b"the next"]);
    assert_eq!(malformed(&mut socket), 1);
    drop(socket);
    assert_complete(&umem);
}

#[test]
fn kept_packets_outlive_their_batch() {
    let umem = umem(32);
    let (mut socket, kernel) = socket(&umem, 0);
    assert!(packets(&mut socket).is_empty());
    for n in 0..4 {
        kernel.receive(&umem, &[n; 100], 0).expect("a frame");
    }
    let Next::Batch(batch) = socket.next_batch(Timeout::Now).expect("no error") else {
        panic!("packets")
    };
    assert!(batch.retain().is_none(), "no piece of memory holds them all");
    let kept: Vec<_> = batch
        .packets()
        .filter(|packet| packet.data()[0] % 2 == 1)
        .map(|packet| {
            let first = batch.retain_packet(&packet).expect("there are frames enough");
            let again = batch.retain_packet(&packet).expect("the same");
            assert!(std::ptr::eq(&first[..], &again[..]));
            first
        })
        .collect();
    drop(batch);
    assert_eq!(umem.held_frames(), 2);
    // Frames go round; those that are kept are not written.
    for round in 0..20 {
        assert!(packets(&mut socket).is_empty());
        for _ in 0..4 {
            kernel.receive(&umem, &[100 + round; 1000], 0).expect("a frame");
        }
        assert_eq!(packets(&mut socket).len(), 4);
    }
    assert_eq!(
        kept.iter().map(|bytes| bytes[..] == [bytes[0]; 100]).collect::<Vec<_>>(),
        [true; 2]
    );
    drop(socket);
    let slices: Vec<_> = kept.iter().map(|bytes| bytes.slice(10..20)).collect();
    drop(kept);
    assert_eq!(umem.held_frames(), 2);
    assert_eq!(slices[1][..], [3; 10]);
    drop(slices);
    assert_complete(&umem);
}

#[test]
fn taken_frames_leave_kept_ones_alone() {
    let umem = umem(32);
    let (mut socket, kernel) = socket(&umem, 0);
    assert!(packets(&mut socket).is_empty());
    for n in 0..4 {
        kernel.receive(&umem, &[n; 100], 0).expect("a frame");
    }
    let Next::Batch(batch) = socket.next_batch(Timeout::Now).expect("no error") else {
        panic!("packets")
    };
    let second = batch.packets().nth(1).expect("four");
    let kept = batch.retain_packet(&second).expect("there are frames enough");
    let taken: Vec<_> = batch.into_frames().take(2).collect();
    assert_eq!(taken.iter().map(|(frame, _)| frame.data()[0]).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(taken.iter().map(|(_, meta)| meta.number).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(kept[..], [1; 100]);
    drop((taken, kept, socket));
    assert_complete(&umem);
}

#[test]
fn keeping_stops_before_the_kernel_starves() {
    let umem = umem(SIZE);
    let (mut socket, kernel) = socket(&umem, 0);
    let mut kept = Vec::new();
    for _ in 0..20 {
        assert!(packets(&mut socket).is_empty());
        kernel.receive(&umem, b"packet", 0).expect("the kernel has frames left");
        let Next::Batch(batch) = socket.next_batch(Timeout::Now).expect("no error") else {
            panic!("a packet")
        };
        kept.extend(batch.packets().filter_map(|packet| batch.retain_packet(&packet)));
    }
    assert!(!kept.is_empty() && kept.len() <= SIZE as usize / 2 + 1, "{}", kept.len());
    assert_eq!(socket.statistics().expect("counts").ring_exhausted, 0);
}

#[test]
fn frames_come_back_from_other_threads() {
    let umem = umem(SIZE);
    let (mut socket, kernel) = socket(&umem, 0);
    assert!(packets(&mut socket).is_empty());
    let (to, from) = std::sync::mpsc::channel::<XdpFrame>();
    let worker = thread::spawn(move || {
        from.into_iter().map(|frame| u64::from(frame.data()[0])).sum::<u64>()
    });
    let (mut sent, mut expected) = (0, 0);
    while sent < 10_000_u64 {
        if kernel.receive(&umem, &[sent as u8; 64], 0).is_some() {
            expected += u64::from(sent as u8);
            sent += 1;
        }
        if let Next::Batch(batch) = socket.next_batch(Timeout::Now).expect("no error") {
            batch.into_frames().for_each(|(frame, _)| to.send(frame).expect("the worker lives"));
        }
    }
    drop(to);
    // What was received last may be in the ring still.
    let got = worker.join().expect("the worker");
    let rest: u64 = packets(&mut socket).iter().map(|packet| u64::from(packet[0])).sum();
    assert_eq!(got + rest, expected);
    assert_eq!(malformed(&mut socket), 0);
    drop(socket);
    assert_complete(&umem);
}

#[test]
fn one_who_starves_takes_back_what_another_socket_sent() {
    let umem = umem(SIZE);
    let (mut receiving, kernel) = socket(&umem, 0);
    let (mut sending, other) = socket(&umem, 0);
    assert!(packets(&mut receiving).is_empty());
    while kernel.receive(&umem, b"to be sent on", 0).is_some() {}
    let Next::Batch(batch) = receiving.next_batch(Timeout::Now).expect("no error") else {
        panic!("packets")
    };
    batch.into_frames().for_each(|(frame, _)| sending.send(frame).expect("there is room"));
    sending.flush().expect("flushed");
    assert!(packets(&mut receiving).is_empty());
    assert!(kernel.fill.pop().is_none(), "all are being sent");
    assert_eq!(receiving.statistics().expect("counts").ring_exhausted, 1);
    assert_eq!(other.send().len(), SIZE as usize);
    // The sending socket is not called again.
    assert!(packets(&mut receiving).is_empty());
    assert!(kernel.receive(&umem, b"goes on", 0).is_some());
    assert_eq!(packets(&mut receiving), [b"goes on"]);
    drop((receiving, sending));
    assert_complete(&umem);
}

#[test]
fn an_interruption_is_remembered() {
    let umem = umem(SIZE);
    let (mut socket, _kernel) = socket(&umem, 0);
    let interrupter = socket.interrupter().expect("it waits");
    interrupter.interrupt();
    assert!(matches!(socket.next_batch(Timeout::Never), Ok(Next::Interrupted)));
    let short = Timeout::After(Duration::from_millis(1));
    assert!(matches!(socket.next_batch(short), Ok(Next::TimedOut)));
}

#[test]
fn the_kernel_is_woken_only_where_it_asks() {
    let umem = umem(SIZE);
    let (mut socket, kernel) = socket(&umem, 0);
    for needed in [true, false] {
        // Without a kernel there is nobody to wake: that it ends is what is tested.
        kernel.tx.set_needs_wakeup(needed);
        assert!(socket.send_bytes(b"packet").expect("taken"));
        socket.flush().expect("flushed");
    }
    assert_eq!(kernel.send().len(), 2);
}

#[test]
fn headers_are_put_before_and_taken_away() {
    let umem =
        UmemConfig::new().frames(4).frame_size(2048).headroom(64).allocate().expect("memory");
    let (mut socket, kernel) = socket(&umem, 0);
    let mut frame = socket.frame().expect("no error").expect("a frame");
    frame.write(b"payload").expect("it fits");
    frame.extend_front(4).expect("there is headroom");
    frame.data_mut()[..4].copy_from_slice(b"HEAD");
    assert_eq!(frame.data(), b"HEADpayload");
    assert!(frame.extend_front(61).is_err());
    frame.trim_front(2);
    assert_eq!(frame.data(), b"ADpayload");
    assert!(frame.set_len(4000).is_err());
    frame.trim_front(100);
    assert!(frame.is_empty());
    frame.write(b"whole").expect("it fits");
    let data = frame.data().to_vec();
    socket.send(frame).expect("sent");
    socket.flush().expect("flushed");
    assert_eq!((kernel.send()[0].len as usize, data), (5, b"whole".to_vec()));
}

/// What the kernel does next.
#[derive(Clone, Debug)]
enum Act {
    Receive(u8, bool),
    Garbage(u64, u32, u32),
    Producer(u32),
    FillConsumer(u32),
    Complete,
    GarbageCompletion(u64),
    Poll { keep: bool, forward: bool },
    Send(usize),
    DropKept,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (any::<u8>(), any::<bool>()).prop_map(|(value, more)| Act::Receive(value, more)),
        2 => (any::<u64>(), any::<u32>(), 0..3_u32).prop_map(|(a, l, o)| Act::Garbage(a, l, o)),
        2 => (0..20_u64, 0..3000_u32, 0..2_u32)
            .prop_map(|(frame, len, o)| Act::Garbage(frame * 2048 + 256, len, o)),
        1 => (0..40_u32).prop_map(Act::Producer),
        1 => (0..40_u32).prop_map(Act::FillConsumer),
        4 => Just(Act::Complete),
        1 => (0..40_960_u64).prop_map(Act::GarbageCompletion),
        8 => (any::<bool>(), any::<bool>()).prop_map(|(keep, forward)| Act::Poll { keep, forward }),
        4 => (0..1600_usize).prop_map(Act::Send),
        2 => Just(Act::DropKept),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the kernel does, nothing panics or hangs, no frame is in two places, and each comes back in the end.
    #[test]
    fn no_frame_is_lost_or_doubled(
        start: u32,
        acts in proptest::collection::vec(act(), 1..120),
    ) {
        let umem = umem(16);
        let (mut socket, kernel) = socket(&umem, start);
        let mut kept = Vec::new();
        for act in acts {
            match act {
                Act::Receive(value, more) => {
                    let options = if more { XDP_PKT_CONTD } else { 0 };
                    kernel.receive(&umem, &[value; 64], options);
                }
                Act::Garbage(addr, len, options) => kernel.rx.push(XdpDesc { addr, len, options }),
                Act::Producer(by) => {
                    kernel.rx.set_producer(kernel.rx.producer().wrapping_add(by).wrapping_sub(20));
                }
                Act::FillConsumer(by) => {
                    let index = kernel.fill.consumer().wrapping_add(by).wrapping_sub(20);
                    kernel.fill.set_consumer(index);
                }
                Act::Complete => drop(kernel.send()),
                Act::GarbageCompletion(addr) => kernel.completion.push(addr),
                Act::Poll { keep, forward } => {
                    let (receiver, sender) = socket.halves().expect("both");
                    if let Ok(Next::Batch(batch)) = receiver.next_batch(Timeout::Now) {
                        if keep {
                            for packet in batch.packets() {
                                if let Some(bytes) = batch.retain_packet(&packet) {
                                    prop_assert_eq!(&bytes[..], packet.data());
                                    kept.push(bytes);
                                }
                            }
                        }
                        if forward {
                            for (frame, _) in batch.into_frames() {
                                let _ = sender.send(frame);
                            }
                        }
                    }
                }
                Act::Send(len) => {
                    let _ = socket.send_bytes(&vec![0; len]);
                    let _ = socket.flush();
                }
                Act::DropKept => kept.clear(),
            }
        }
        drop((socket, kept));
        assert_complete(&umem);
    }
}
