//! Bytes are delivered in order and once.

use flow::{LinkType, Packet};

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
    let seen = lab.side(0, Initiator);
    assert_eq!(seen.numbers, [6, 5, 4]);
    // The lab's segments are a millisecond apart.
    assert_eq!(seen.times, [lab.clock, lab.clock - 1, lab.clock - 2]);
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
fn pieces_of_an_overlapping_segment_keep_its_packet_number() {
    let mut lab = Lab::open();
    lab.client(4, "efgh");
    lab.client(2, "cdefghij");
    lab.client(0, "abcd");
    assert_eq!(lab.text(), "abcdefghij");
    // a and b of packet 6, then the bytes of packet 5 around those of packet 4.
    assert_eq!(lab.side(0, Initiator).numbers, [6, 5, 4, 5]);
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
    // One byte of junk before the next byte, and none.
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
fn the_scale_of_a_window_counts_where_both_sides_offer_it() {
    let scaled = |from, sequence, acknowledgement, flags, shift: Option<u8>| {
        let mut frame = segment(from, sequence, acknowledgement, flags, 60_000, b"");
        let Some(shift) = shift else { return frame };
        frame.extend([3, 3, shift, 0]);
        frame[3] += 4;
        frame[32] = 0x60;
        frame
    };
    for (client, server, within) in [(Some(0), Some(10), true), (Some(0), None, false)] {
        let mut lab = Lab::new();
        lab.frame(&scaled(Client, C, 0, "S", client));
        lab.frame(&scaled(Server, S, C + 1, "SA", server));
        lab.send(Client, C + 1, S + 1, "A", "");
        lab.acknowledge(0);
        lab.client(50_000_000, "far");
        lab.finish();
        assert_eq!(lab.text() == "[50000000 end]far", within, "{}", lab.text());
        assert_eq!(lab.table.statistics().out_of_window, u64::from(!within));
    }
}

#[test]
fn checksums_that_cannot_be_right_are_not_verified() {
    let mut lab = Lab::with(|builder| builder.verify_checksums(true));
    let wrong = |sequence, payload: &[u8]| segment(Client, sequence, S + 1, "A", 60_000, payload);
    // The adapter computes it later.
    let frame = wrong(C + 1, b"abc");
    let mut packet = Packet::new(&frame, lab.now(), LinkType::IPV4);
    packet.meta_mut().checksum = flow::ChecksumStatus::Partial;
    lab.table.process([packet], &mut lab.seen);
    // The capture has truncated the segment.
    lab.snaplen = 42;
    lab.frame(&wrong(C + 4, b"defg"));
    lab.finish();
    assert_eq!(lab.text(), "abcde[2 truncated]");
    assert_eq!(lab.table.statistics().bad_checksums, 0);
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

/// Wireless stations send several packets in one frame (A-MSDU), each padded to a multiple of four
/// bytes.
#[test]
fn every_packet_of_an_aggregate_is_taken() {
    for (parts, checksum) in [(1, 0), (2, 0), (3, 4), (40, 4)] {
        let mut lab = Lab::open();
        let mut frame = vec![0x88, 0x02];
        frame.resize(24, 0);
        frame.extend([0x80, 0]);
        let mut sent = String::new();
        for number in 0..parts {
            let text = format!("<{number}>");
            let packet =
                segment(Client, C + 1 + sent.len() as u32, S + 1, "A", 60_000, text.as_bytes());
            sent.push_str(&text);
            frame.resize((frame.len() + 2).next_multiple_of(4) - 2, 0);
            frame.extend([2; 12]);
            frame.extend((packet.len() as u16 + 8).to_be_bytes());
            frame.extend([0xaa, 0xaa, 3, 0, 0, 0, 8, 0]);
            frame.extend(packet);
        }
        frame.resize(frame.len() + checksum, 0xee);
        let before = lab.table.statistics();
        let packet = Packet::new(&frame, lab.now(), LinkType::IEEE802_11);
        // A packet after the aggregate is processed after all of its parts.
        let next = segment(Client, C + 1 + sent.len() as u32, S + 1, "A", 60_000, b"!");
        let next = Packet::new(&next, lab.now(), LinkType::IPV4);
        lab.table.process([packet, next], &mut lab.seen);
        assert_eq!(lab.text(), sent + "!");
        let after = lab.table.statistics();
        assert_eq!((after.packets - before.packets, after.unparsed), (2, 0));
    }
}

/// The aggregate contains no IP, so it is a packet of the tunnel's flow, and counts once for any
/// number of parts.
#[test]
fn an_aggregate_without_ip_is_one_packet_of_its_tunnel() {
    let mut inner = vec![0x88, 0x02];
    inner.resize(24, 0);
    inner.extend([0x80, 0]);
    for _ in 0..3 {
        inner.extend([2; 12]);
        inner.extend([0, 18]);
        inner.extend([0xaa, 0xaa, 3, 0, 0, 0, 0x88, 0xb5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    let mut frame = vec![0x45, 0, 0, 24 + inner.len() as u8, 0, 0, 0, 0, 64, 47, 0, 0];
    frame.extend([192, 0, 2, 1, 192, 0, 2, 2]);
    frame.extend([0, 0, 0x90, 0]);
    frame.extend(inner);
    let mut lab = Lab::new();
    lab.frame(&frame);
    lab.finish();
    let record = lab.seen.flows[0].end.as_ref().expect("a flow");
    assert_eq!((lab.seen.flows.len(), record.initiator.packets), (1, 1));
}
