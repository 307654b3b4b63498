//! Segments that were captured in the middle of a stretch that the capture otherwise missed.

use flow::GapCause;

use crate::lab::*;

const FAR: u32 = 20_000_000;

/// The gaps of the client's stream: offset and length.
fn gaps(lab: &Lab) -> Vec<(u64, u64)> {
    lab.side(0, Initiator).gaps.iter().map(|gap| (gap.offset, gap.len)).collect()
}

fn assert_all_placed(lab: &Lab, text: &str, expected: &[(u64, u64)]) {
    let side = lab.side(0, Initiator);
    assert_eq!(String::from_utf8_lossy(&side.bytes), text);
    assert_eq!(gaps(lab), expected);
    assert!(side.unplaced.is_empty() && side.late.is_empty());
}

#[test]
fn one_before_a_fin_that_the_receiver_acknowledges_is_placed() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.acknowledge(3);
    lab.miss(5 * FAR);
    lab.client(3_000_000, "def");
    lab.miss(5 * FAR);
    lab.send(Client, C + 1 + 2 * FAR, S + 1, "FA", "");
    lab.send(Server, S + 1, C + 2 + 2 * FAR, "FA", "");
    lab.send(Client, C + 2 + 2 * FAR, S + 2, "A", "");
    let gaps = [(3, 2_999_997), (3_000_003, u64::from(2 * FAR) - 3_000_003)];
    assert_all_placed(&lab, "abcdef", &gaps);
}

#[test]
fn several_far_apart_are_placed_when_the_stream_goes_on() {
    for (count, answered) in [(1, false), (2, false), (3, false), (1, true), (3, true)] {
        let mut lab = Lab::open();
        lab.client(0, "abc");
        if answered {
            lab.acknowledge(3);
        }
        let mut text = "abc".to_owned();
        let mut expected = Vec::new();
        let mut end = 3;
        for place in 1..=count {
            lab.miss(5 * FAR);
            lab.client(place * FAR, "def");
            text += "def";
            expected.push((end, u64::from(place * FAR) - end));
            end = u64::from(place * FAR) + 3;
        }
        lab.miss(5 * FAR);
        lab.client(5 * FAR, "ghi");
        lab.acknowledge(5 * FAR + 3);
        expected.push((end, u64::from(5 * FAR) - end));
        assert_all_placed(&lab, &(text + "ghi"), &expected);
    }
}

#[test]
fn one_before_acknowledgements_that_go_on_is_placed() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.acknowledge(3);
    lab.miss(5 * FAR);
    lab.client(3_000_000, "def");
    lab.miss(5 * FAR);
    for turn in 0..6 {
        lab.acknowledge(2 * FAR + turn * 1000);
    }
    let gap = lab.side(0, Initiator).gaps[0];
    assert_eq!((gap.offset, gap.len, gap.cause), (3, 2_999_997, GapCause::Acknowledged));
    lab.client(2 * FAR + 5000, "ghi");
    lab.finish();
    let gaps = [(3, 2_999_997), (3_000_003, 37_002_997), (40_003_000, 2000)];
    assert_all_placed(&lab, "abcdefghi", &gaps);
}

#[test]
fn a_forged_one_is_not_placed() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.acknowledge(3);
    lab.client(3_000_000, "forged");
    lab.client(3, "def");
    lab.acknowledge(6);
    lab.miss(5 * FAR);
    lab.client(5 * FAR, "ghi");
    lab.acknowledge(5 * FAR + 3);
    lab.finish();
    assert_eq!(lab.side(0, Initiator).bytes, b"abcdefghi");
    assert_eq!(gaps(&lab), [(6, u64::from(5 * FAR) - 6)]);
}

/// A capture with segmentation offload has segments of 64 KiB.
#[test]
fn a_row_of_the_longest_segments_fits() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.acknowledge(3);
    lab.miss(FAR);
    let text = "x".repeat(65_495);
    for segment in 0..16 {
        lab.client(FAR + 65_495 * segment, &text);
    }
    assert_all_placed(&lab, &format!("abc{}", text.repeat(16)), &[(3, u64::from(FAR) - 3)]);
}

/// A packet of the direction that the capture takes later comes behind an acknowledgement from
/// within the outage. Nothing but such acknowledgements follows for a while.
#[test]
fn acknowledgements_between_old_segments_divide_no_stream() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.miss(FAR);
    lab.acknowledge(2 * FAR);
    lab.client(3, "def");
    for turn in 1..=18 {
        lab.acknowledge(2 * FAR + 1000 * turn);
    }
    lab.client(2 * FAR + 18_000, "ghi");
    lab.finish();
    let side = lab.side(0, Initiator);
    assert_eq!(side.bytes, b"abcdefghi");
    assert!(side.unplaced.is_empty());
    let missing: u64 = side.gaps.iter().map(|gap| gap.len).sum();
    assert_eq!(missing, u64::from(2 * FAR) + 18_000 - 6);
}

/// The receiver acknowledges what the capture misses before the stream goes on. Several outages of
/// one stream are near each other, and none makes the stream look like another sequence space.
#[test]
fn acknowledgements_before_each_of_several_outages_end_do_not_divide_the_stream() {
    let payload = "x".repeat(50_000);
    // Bytes between the acknowledgement that is captured and the next captured segment.
    for behind in [0, 400_000] {
        let mut lab = Lab::open();
        let (mut sent, mut gaps) = (0, Vec::new());
        for missed in [3_000_000, 4_000_000, 5_000_000, 2_000_000] {
            for _ in 0..20 {
                lab.client(sent, &payload);
                sent += 50_000;
                lab.acknowledge(sent);
            }
            gaps.push((u64::from(sent), u64::from(missed + behind)));
            sent += missed;
            lab.acknowledge(sent);
            sent += behind;
        }
        lab.client(sent, &payload);
        lab.acknowledge(sent + 50_000);
        lab.finish();
        let side = lab.side(0, Initiator);
        assert_eq!(side.unplaced.len(), 0, "{behind}");
        let found: Vec<_> = side.gaps.iter().map(|gap| (gap.offset, gap.len)).collect();
        assert_eq!(found, gaps, "{behind}");
    }
}
