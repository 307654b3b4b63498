//! Receiving.

use std::time::Duration;

use super::*;

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

/// With 128 frames, the kernel always lacks fewer than four, and gets at least four at once.
#[test]
fn frames_go_back_in_portions() {
    let umem = umem(256);
    let (mut socket, kernel) = socket_with(&umem, 128, u32::MAX - 40);
    assert!(packets(&mut socket).is_empty());
    let (mut told, mut before) = (0, kernel.fill.producer());
    for n in 0..1000_u32 {
        kernel.receive(&umem, &n.to_ne_bytes(), 0).expect("a frame");
        assert_eq!(packets(&mut socket), [n.to_ne_bytes()]);
        let more = kernel.fill.producer().wrapping_sub(before);
        assert!(more == 0 || more >= 4, "told of {more}");
        told += u32::from(more > 0);
        before = before.wrapping_add(more);
        let filled = socket.receiver().expect("receives").fill().filled();
        assert!(filled > 124 && filled <= 128, "{filled}");
    }
    assert_eq!(told, 250);
    assert_eq!(umem.free_frames(), 128, "the pool is not drawn on");
    drop(socket);
    assert_complete(&umem);
}

#[test]
fn frames_that_were_kept_are_made_up_for_from_the_pool() {
    let umem = umem(256);
    let (mut socket, kernel) = socket_with(&umem, 128, 0);
    assert!(packets(&mut socket).is_empty());
    let mut kept = Vec::new();
    for n in 0..100_u8 {
        kernel.receive(&umem, &[n; 60], 0).expect("a frame");
        let Next::Batch(batch) = socket.next_batch(Timeout::Now).expect("no error") else {
            panic!("a packet")
        };
        kept.extend(batch.packets().filter_map(|packet| batch.retain_packet(&packet)));
    }
    assert!(packets(&mut socket).is_empty());
    assert_eq!(kept.len(), 100);
    assert!(socket.receiver().expect("receives").fill().filled() > 124);
    assert!(kept.iter().zip(0..).all(|(bytes, n)| bytes[..] == [n; 60]));
    drop((kept, socket));
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
    // The packet uses all frames. It is given up, and receiving continues.
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

    // With more frames, the maximum number of pieces ends the packet.
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
fn an_interruption_is_remembered() {
    let umem = umem(SIZE);
    let (mut socket, _kernel) = socket(&umem, 0);
    let interrupter = socket.interrupter().expect("it waits");
    interrupter.interrupt();
    assert!(matches!(socket.next_batch(Timeout::Never), Ok(Next::Interrupted)));
    let short = Timeout::After(Duration::from_millis(1));
    assert!(matches!(socket.next_batch(short), Ok(Next::TimedOut)));
}
