//! A kernel that writes invalid descriptors and indexes.

use super::*;

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
            crate::Error::Xdp(Error::RingIndex { ring: "receive", ours: 100, theirs: 109, .. })
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
    assert!(matches!(error, crate::Error::Xdp(Error::RingIndex { ring: "fill", .. })), "{error}");
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
    assert!(matches!(socket.flush(), Err(Error::RingIndex { ring: "completion", .. })));
    drop(socket);
    assert_complete(&umem);
}

#[test]
fn a_packet_that_is_completed_before_it_was_handed_over_counts_for_none() {
    let umem = umem(16);
    let (mut socket, kernel) = socket(&umem, 0);
    assert!(socket.send_bytes(b"one").expect("taken"));
    socket.flush().expect("flushed");
    // The entry is in the ring, but the kernel was not woken.
    assert!(socket.send_bytes(b"two").expect("taken"));
    let first = kernel.tx.pop().expect("a packet").addr;
    let second = kernel.tx.peek_beyond();
    kernel.completion.push(first);
    kernel.completion.push(second.addr);
    let sender = socket.sender().expect("sends");
    assert_eq!(sender.next_timestamp().expect("no error"), None);
    let statistics = sender.sender_statistics().expect("counts");
    assert_eq!((statistics.completed, statistics.in_flight), (2, 0));
    drop(socket);
    assert_complete(&umem);
}

/// The kernel delivers frames that are still in the fill ring. The ring has no room for others, and
/// trying to add some must end.
#[test]
fn frames_that_were_not_taken_from_the_fill_ring_leave_no_room() {
    let umem = umem(32);
    let (mut socket, kernel) = socket(&umem, 7);
    assert!(packets(&mut socket).is_empty());
    for frame in 0..u64::from(SIZE) {
        kernel.rx.push(XdpDesc { addr: frame * 2048 + 256, len: 60, options: 0 });
    }
    assert_eq!(packets(&mut socket).len(), SIZE as usize);
    assert!(packets(&mut socket).is_empty());
    assert_eq!(socket.statistics().expect("counts").ring_exhausted, 1);
    drop(socket);
    assert_complete(&umem);
}
