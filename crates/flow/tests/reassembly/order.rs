//! Bytes in order, once.

use crate::lab::*;

#[test]
fn in_order_segments_are_slices_of_their_packets() {
    let mut lab = Lab::open();
    lab.client(0, "GET ");
    lab.client(4, "/ HTTP/1.1");
    assert_eq!(lab.text(), "GET / HTTP/1.1");
    assert_eq!(lab.side(0, Initiator).numbers, [4, 5]);
}

#[test]
fn reordered_segments_keep_their_packet_numbers() {
    let mut lab = Lab::open();
    lab.client(8, "ij");
    lab.client(4, "efgh");
    assert_eq!(lab.text(), "");
    lab.client(0, "abcd");
    assert_eq!(lab.text(), "abcdefghij");
    assert_eq!(lab.side(0, Initiator).numbers, [6, 5, 4]);
    lab.finish();
    assert_eq!(lab.seen.flows[0].end.as_ref().unwrap().initiator.reordered, 2);
}

#[test]
fn duplicates_are_delivered_once() {
    let mut lab = Lab::open();
    lab.client(0, "abcd");
    lab.client(0, "abcd");
    lab.client(8, "ijkl");
    lab.client(8, "ijkl");
    lab.client(4, "efgh");
    lab.client(4, "efgh");
    assert_eq!(lab.text(), "abcdefghijkl");
    lab.finish();
    assert_eq!(lab.seen.flows[0].end.as_ref().unwrap().initiator.retransmitted, 2);
}

#[test]
fn a_retransmission_with_a_new_tail_brings_its_tail() {
    let mut lab = Lab::open();
    lab.client(0, "abcd");
    lab.client(2, "cdefgh");
    assert_eq!(lab.text(), "abcdefgh");
}

#[test]
fn a_retransmission_may_overlap_what_is_pending_on_both_sides() {
    let mut lab = Lab::open();
    lab.client(4, "efgh");
    lab.client(2, "cdefghij");
    lab.client(0, "abcd");
    assert_eq!(lab.text(), "abcdefghij");
    assert!(lab.side(0, Initiator).conflicts.is_empty());
}

#[test]
fn sequence_numbers_wrap_around_also_among_pending_segments() {
    let mut lab = Lab::new();
    let first = u32::MAX - 3;
    lab.handshake(first, S);
    let base = first.wrapping_add(1);
    lab.send(Client, base.wrapping_add(6), S + 1, "A", "ghi");
    lab.send(Client, base.wrapping_add(2), S + 1, "A", "cdef");
    lab.send(Client, base, S + 1, "A", "ab");
    assert_eq!(lab.text(), "abcdefghi");
}

#[test]
fn data_on_a_syn_begins_the_stream() {
    let mut lab = Lab::new();
    lab.send(Client, C, 0, "S", "early");
    lab.send(Server, S, C + 6, "SA", "reply");
    lab.send(Client, C + 6, S + 6, "A", "more");
    assert_eq!(lab.text(), "earlymore");
    assert_eq!(lab.side(0, Responder).text, "reply");
}

#[test]
fn data_on_a_syn_that_was_not_taken_is_sent_again() {
    let mut lab = Lab::new();
    lab.send(Client, C, 0, "S", "early");
    lab.send(Server, S, C + 1, "SA", "");
    lab.send(Client, C + 1, S + 1, "A", "early");
    assert_eq!(lab.text(), "early");
}

#[test]
fn keep_alives_and_window_probes_bring_no_byte() {
    let mut lab = Lab::open();
    lab.client(0, "abcd");
    lab.acknowledge(4);
    // One byte of junk before what comes next, and none.
    lab.client(3, "\0");
    lab.client(3, "");
    lab.acknowledge(4);
    lab.client(4, "efgh");
    assert_eq!(lab.text(), "abcdefgh");
    assert!(lab.side(0, Initiator).late.is_empty());
}

#[test]
fn a_keep_alive_before_any_data_brings_no_byte() {
    let mut lab = Lab::open();
    lab.send(Client, C, S + 1, "A", "\0");
    lab.acknowledge(0);
    lab.client(0, "abcd");
    assert_eq!(lab.text(), "abcd");
    assert!(lab.side(0, Initiator).late.is_empty());
}

#[test]
fn a_zero_window_probe_brings_the_next_byte_once() {
    let mut lab = Lab::open();
    lab.client(0, "abcd");
    lab.window = 0;
    lab.acknowledge(4);
    lab.window = 60_000;
    lab.client(4, "e");
    lab.acknowledge(4);
    lab.client(4, "efgh");
    assert_eq!(lab.text(), "abcdefgh");
    lab.finish();
    assert_eq!(lab.seen.flows[0].end.as_ref().unwrap().responder.zero_windows, 1);
}

#[test]
fn segments_far_outside_the_window_are_ignored_and_counted() {
    let mut lab = Lab::open();
    lab.client(0, "abcd");
    lab.client(500_000_000, "forged");
    lab.acknowledge(900_000_000);
    lab.client(4, "efgh");
    lab.finish();
    assert_eq!(lab.text(), "abcdefgh");
    assert_eq!(lab.table.statistics().out_of_window, 2);
}

#[test]
fn checksums_are_verified_on_request() {
    let checksum = |frame: &mut Vec<u8>, right: bool| {
        let pseudo = [&frame[12..20], &[0, 6], &((frame.len() - 20) as u16).to_be_bytes()].concat();
        let words = [&pseudo[..], &frame[20..]].concat();
        let sum = words.chunks(2).fold(0_u32, |sum, word| {
            sum + (u32::from(word[0]) << 8) + u32::from(*word.get(1).unwrap_or(&0))
        });
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        let sum = if right { sum } else { sum ^ 0x5555 };
        frame[36..38].copy_from_slice(&sum.to_be_bytes());
    };
    let mut lab = Lab::with(|builder| builder.verify_checksums(true));
    for (text, right) in [("bad!", false), ("good", true)] {
        let mut frame = segment(Client, C + 1, S + 1, "A", 60_000, text.as_bytes());
        checksum(&mut frame, right);
        lab.frame(&frame);
    }
    lab.finish();
    assert_eq!(lab.text(), "good");
    assert_eq!(lab.table.statistics().bad_checksums, 1);
}
