//! Frames that outlive their batch.

use std::thread;

use super::*;

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
    // Frames circulate, but retained ones must not be overwritten.
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
    let (to, from) = std::sync::mpsc::channel::<Frame>();
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
    // The last received packets may still be in the ring.
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
fn a_batch_that_is_forgotten_is_not_lent_again() {
    let umem = umem(16);
    let (mut socket, kernel) = socket(&umem, 0);
    assert!(packets(&mut socket).is_empty());
    kernel.receive(&umem, b"kept", 0).expect("a frame");
    kernel.receive(&umem, b"not kept", 0).expect("a frame");
    let Next::Batch(batch) = socket.next_batch(Timeout::Now).expect("no error") else {
        panic!("packets")
    };
    let first = batch.packets().next().expect("two");
    let kept = batch.retain_packet(&first).expect("there are frames enough");
    std::mem::forget(batch);
    kernel.receive(&umem, b"the next", 0).expect("a frame");
    let Next::Batch(batch) = socket.next_batch(Timeout::Now).expect("no error") else {
        panic!("packets")
    };
    // A frame of the first batch would be writable here while it is being read.
    let frames: Vec<_> = batch.into_frames().map(|(frame, _)| frame).collect();
    assert_eq!(frames.iter().map(Frame::data).collect::<Vec<_>>(), [b"the next"]);
    assert_eq!(kept[..], *b"kept");
    drop((frames, kept, socket));
    assert_eq!(umem.free_frames(), 14, "memory that is forgotten is lost, and no other");
}
