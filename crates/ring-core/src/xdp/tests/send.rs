//! Sending.

use super::*;

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
    assert!(matches!(error, Error::PacketTooLong { len: 9019, limit: 9018 }));
    let (mut other, _other_kernel) = self::socket(&foreign, 0);
    let mut frame = other.frame().expect("no error").expect("a frame");
    frame.write(b"from elsewhere").expect("it fits");
    let rejected = socket.send(frame).expect_err("of another memory");
    assert!(matches!(rejected.reason, RejectReason::Refused(Error::ForeignFrame)));
    drop(rejected);
    let frame = socket.frame().expect("no error").expect("a frame");
    assert!(socket.send(frame).is_err(), "empty");
    let mut frame = socket.frame().expect("no error").expect("a frame");
    frame.write(b"x").expect("it fits");
    let request = SendRequest::new().timestamp();
    let rejected = socket.sender().expect("sends").send_with(frame, request).expect_err("no room");
    assert!(matches!(rejected.reason, RejectReason::Refused(Error::NoMetadata)));
    drop(rejected);
    drop((socket, other));
    assert_complete(&umem);
    assert_complete(&foreign);
}

#[test]
fn the_kernel_is_woken_only_where_it_asks() {
    let umem = umem(SIZE);
    let (mut socket, kernel) = socket(&umem, 0);
    for needed in [true, false] {
        // There is no kernel to wake; the test is that the call ends.
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

/// A packet that needs more frames than are free is put off, and does not keep frames from others.
#[test]
fn too_few_frames_for_a_packet_are_left_to_others() {
    let umem = umem(3);
    let (mut socket, kernel) = socket(&umem, 0);
    let sender = socket.sender().expect("sends");
    let kept = sender.frame().expect("no error").expect("a frame");
    assert!(!sender.send_bytes(&[1; 5000]).expect("no error"), "3 frames, of which 2 are there");
    assert_eq!(umem.free_frames(), 2);
    drop(kept);
    assert!(sender.send_bytes(&[1; 5000]).expect("no error"));
    sender.flush().expect("flushed");
    assert!(!sender.send_bytes(&[1; 2049]).expect("no error"));
    // Frames that the kernel has sent are found.
    assert_eq!(kernel.send().len(), 3);
    assert!(sender.send_bytes(&[1; 2049]).expect("no error"));
    drop(socket);
}

/// A packet with more pieces than the ring has entries is refused, not put off.
#[test]
fn a_packet_of_more_pieces_than_the_ring_has_entries_is_refused() {
    let umem = umem(16);
    let (mut socket, _kernel) = socket_with(&umem, 2, 0);
    assert!(socket.send_bytes(&[1; 4096]).expect("2 pieces"));
    let error = socket.send_bytes(&[1; 4097]).expect_err("3 pieces");
    assert!(matches!(error, Error::PacketTooLong { len: 4097, limit: 4096 }), "{error}");
    let sender = socket.sender().expect("sends");
    assert!(sender.can_send(4096, 2) && !sender.can_send(4096, 3));
}
