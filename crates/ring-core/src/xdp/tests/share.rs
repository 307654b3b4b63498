//! Several sockets on one queue, and frames left behind while a device is still active.

use super::*;

/// Two sockets on one queue, the kernel's side of the first, and that of the second one's own
/// rings.
fn two(umem: &Umem) -> ([Socket; 2], Kernel, [KernelRing<XdpDesc>; 2]) {
    let (first, kernel) = socket(umem, u32::MAX - 1);
    let rings = first.endpoint().rings.clone();
    let (second, rx, tx) = socket_on(&rings, umem, SIZE, 5);
    ([first, second], kernel, [rx, tx])
}

#[test]
fn both_fill_one_ring_and_each_gets_its_own_packets() {
    let umem = umem(32);
    let ([mut first, mut second], kernel, [rx, _tx]) = two(&umem);
    for round in 0..20_u8 {
        assert!(packets(&mut first).is_empty() && packets(&mut second).is_empty());
        kernel.receive(&umem, &[round, 1], 0).expect("a frame");
        let addr = kernel.fill.pop().expect("another") + 256;
        rx.push(XdpDesc { addr, len: 7, options: 0 });
        assert_eq!(packets(&mut second)[0].len(), 7);
        assert_eq!(packets(&mut first), [[round, 1]]);
    }
    // Frames of a dropped socket are not reclaimed while the other one uses the queue.
    drop(first);
    assert!(packets(&mut second).is_empty());
    let addr = kernel.fill.pop().expect("a frame");
    rx.push(XdpDesc { addr: addr + 256, len: 9, options: 0 });
    assert_eq!(packets(&mut second)[0].len(), 9);
    assert_eq!(malformed(&mut second), 0);
    drop(second);
    assert_complete(&umem);
}

#[test]
fn both_send_and_either_takes_back() {
    let umem = UmemConfig::new().frames(64).frame_size(2048).metadata(true).allocate();
    let umem = umem.expect("memory");
    let ([mut first, mut second], kernel, [_rx, tx]) = two(&umem);
    let request = SendRequest::new().timestamp();
    let send = |socket: &mut Socket, data: &[u8]| {
        let mut frame = socket.frame().expect("no error").expect("a frame");
        frame.write(data).expect("it fits");
        let sender = socket.sender().expect("sends");
        assert_eq!(sender.send_with(frame, request).expect("room"), 1);
        sender.flush().expect("flushed");
    };
    send(&mut first, b"from the first");
    send(&mut second, b"from the second");
    for ring in [&kernel.tx, &tx] {
        kernel.completion.push(ring.pop().expect("a packet").addr);
    }
    let stamp = |socket: &mut Socket| {
        let stamp = socket.sender().expect("sends").next_timestamp().expect("no error");
        stamp.map(|stamp| stamp.number)
    };
    assert_eq!(stamp(&mut second), Some(1), "its own");
    assert_eq!((stamp(&mut second), stamp(&mut first), stamp(&mut first)), (None, Some(1), None));
    for socket in [&mut first, &mut second] {
        let counted = socket.sender().expect("sends").sender_statistics().expect("counts");
        assert_eq!((counted.completed, counted.in_flight, counted.malformed), (2, 0, 0));
    }
    drop((first, second));
    assert_complete(&umem);
}

#[test]
fn frames_that_a_device_may_still_write_to_are_not_given_out_again() {
    let umem = umem(16);
    let (mut socket, kernel) = socket(&umem, 0);
    // As after binding in zero-copy mode.
    socket.endpoint().rings.set_zero_copy();
    assert!(packets(&mut socket).is_empty());
    kernel.receive(&umem, b"received", 0).expect("a frame");
    assert_eq!(packets(&mut socket), [b"received"]);
    assert!(socket.send_bytes(b"sent").expect("taken"));
    socket.flush().expect("flushed");
    drop(socket);
    assert_eq!(umem.free_frames(), 16 - SIZE as usize - 1, "the device has them, for all we know");
    assert_eq!(umem.held_frames(), 0);
}

#[test]
fn a_frame_that_is_named_to_two_sockets_at_once_goes_to_one() {
    let umem = umem(32);
    let ([first, second], kernel, [rx, _tx]) = two(&umem);
    let (mut first, mut second) = (first, second);
    let mut got = 0;
    for _ in 0..200 {
        assert!(packets(&mut first).is_empty() && packets(&mut second).is_empty());
        let addr = kernel.fill.pop().expect("a frame") + 256;
        for ring in [&kernel.rx, &rx] {
            ring.push(XdpDesc { addr, len: 60, options: 0 });
        }
        let barrier = std::sync::Barrier::new(2);
        let taken = std::thread::scope(|scope| {
            let sockets = [&mut first, &mut second];
            let threads = sockets.map(|socket| {
                scope.spawn(|| {
                    barrier.wait();
                    match socket.next_batch(Timeout::Now).expect("no error") {
                        Next::Batch(batch) => batch.into_frames().map(|(frame, _)| frame).collect(),
                        _ => Vec::new(),
                    }
                })
            });
            threads.map(|thread| thread.join().expect("no panic"))
        });
        // Both sockets still have the frames that they received.
        assert_eq!(taken[0].len() + taken[1].len(), 1);
        got += 1;
    }
    assert_eq!(malformed(&mut first) + malformed(&mut second), got);
    drop((first, second));
    assert_complete(&umem);
}
