//! Bridges, which send packets in the frames in which they arrived.

use super::*;
use crate::{Bridge, Verdict};

/// The addresses of the entries that the kernel should send.
fn sent(kernel: &Kernel) -> Vec<u64> {
    kernel.send().iter().map(|descriptor| descriptor.addr).collect()
}

#[test]
fn a_bridge_sends_packets_in_the_frames_in_which_they_arrived() {
    let umem = umem(64);
    let ((left, one), (right, other)) = (socket(&umem, 0), socket(&umem, 5));
    let mut bridge = Bridge::between(vec![left], vec![right]).expect("they fit");
    let forward = |_: &mut crate::Transit<'_>| Verdict::Forward;
    // The first call fills the kernel's fill ring.
    assert!(matches!(bridge.forward(Timeout::Now, forward), Ok(Next::TimedOut)));
    let came: Vec<u64> =
        (0..5).map(|n| one.receive(&umem, &[n; 60], 0).expect("a frame")).collect();
    let back = other.receive(&umem, b"back", 0).expect("a frame");
    assert!(matches!(bridge.forward(Timeout::Now, forward), Ok(Next::Batch(6))));
    assert_eq!(sent(&other), came);
    assert_eq!(sent(&one), [back]);
}

#[test]
fn a_bridge_copies_what_a_verdict_changes_and_nothing_else() {
    let umem = umem(64);
    let ((left, one), (right, other)) = (socket(&umem, u32::MAX), socket(&umem, 0));
    let mut bridge = Bridge::between(vec![left], vec![right]).expect("they fit");
    let change = |transit: &mut crate::Transit<'_>| match transit.data() {
        b"dropped" => Verdict::Drop,
        b"changed" => {
            transit.rewrite().extend_from_slice(b", longer");
            Verdict::Rewrite
        }
        _ => Verdict::Forward,
    };
    assert!(matches!(bridge.forward(Timeout::Now, change), Ok(Next::TimedOut)));
    let came = [&b"left alone"[..], b"dropped", b"changed"]
        .map(|data| one.receive(&umem, data, 0).expect("a frame"));
    assert!(matches!(bridge.forward(Timeout::Now, change), Ok(Next::Batch(3))));
    let frames = other.send();
    assert_eq!(frames.iter().map(|sent| sent.len).collect::<Vec<_>>(), [10, 15]);
    assert_eq!(frames[0].addr, came[0], "the frame that it came in");
    assert!(!came.contains(&frames[1].addr), "another frame");
    let totals = bridge.statistics().expect("counts").to_right;
    assert_eq!((totals.forwarded, totals.rewritten, totals.dropped, totals.sent), (2, 1, 1, 2));
    drop(bridge);
    assert_complete(&umem);
}

#[test]
fn a_bridge_waits_for_room_and_asks_once() {
    let umem = umem(128);
    let ((left, one), (right, other)) = (socket_with(&umem, 32, 0), socket(&umem, 0));
    let mut bridge = Bridge::between(vec![left], vec![right]).expect("they fit");
    let mut asked = Vec::new();
    let mut forward = |bridge: &mut Bridge| {
        let ask = |transit: &mut crate::Transit<'_>| {
            asked.push(transit.data()[0]);
            Verdict::Forward
        };
        bridge.forward(Timeout::Now, ask).expect("no error")
    };
    forward(&mut bridge);
    let came: Vec<u64> =
        (0..20).map(|n| one.receive(&umem, &[n; 60], 0).expect("a frame")).collect();
    // The ring has eight entries, and the kernel takes none of them.
    for _ in 0..3 {
        forward(&mut bridge);
    }
    let back = other.receive(&umem, b"back", 0).expect("a frame");
    forward(&mut bridge);
    assert_eq!(sent(&one), [back], "the other direction goes on");
    let mut seen = Vec::new();
    while seen.len() < came.len() {
        let more = sent(&other);
        assert!((1..=8).contains(&more.len()), "{more:?}");
        seen.extend(more);
        forward(&mut bridge);
    }
    assert_eq!(seen, came, "all of them, in order");
    asked.retain(|&first| first != b'b');
    assert_eq!(asked, (0..20).collect::<Vec<u8>>(), "each once");
    drop(bridge);
    assert_complete(&umem);
}
