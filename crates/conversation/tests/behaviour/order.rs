//! Order between the two sides.

use std::time::Duration;

use conversation::{Chunk, Conversations, FlowStreamExt as _};
use flow::FiveTuple;
use futures::StreamExt as _;
use source_testkit::{ACK, Connection, Fake, interleave, pattern, source};

use crate::Begin as _;

#[tokio::test]
async fn a_request_comes_before_its_response_though_the_capture_swapped_them() {
    for causal in [true, false] {
        let mut connection = Connection::open(1);
        for round in 0..20 {
            connection.send(0, &pattern(round, 300));
            connection.send(1, &pattern(round + 100, 5000));
        }
        connection.fin(0);
        connection.fin(1);
        // The handshake, then of each round: request, its acknowledgement, response, its
        // acknowledgement.
        for round in 0..20 {
            connection.packets.swap(3 + 4 * round, 3 + 4 * round + 2);
        }
        let mut connections = [connection];
        let mut conversation = interleave(&mut connections)
            .flow_stream(FiveTuple::bidirectional())
            .causal_order(causal)
            .begin()
            .next()
            .await
            .unwrap()
            .unwrap();
        let (mut heard, mut early) = ([0_u64; 2], 0);
        while let Some(chunk) = conversation.next_chunk().await {
            match chunk {
                Chunk::Initiator(data) => heard[0] += data.len() as u64,
                Chunk::Responder(data) => {
                    heard[1] += data.len() as u64;
                    // Bytes of the n-th response are said by one who has n requests.
                    early += u64::from(heard[0] < heard[1].div_ceil(5000) * 300);
                }
                Chunk::Gap { .. } => panic!("{chunk:?}"),
                _ => {}
            }
        }
        assert_eq!(heard, [6000, 100_000]);
        assert_eq!(early == 0, causal, "{early} responses came early");
    }
}

/// The sender of a packet of a connection, and the number of the other's bytes that it knows.
fn knowledge(packet: &[u8]) -> (usize, u64) {
    let side = usize::from(packet[34..36] == [0, 80]);
    let acknowledgement = u32::from_be_bytes(packet[42..46].try_into().unwrap());
    let first = [8, u32::MAX - 9][side];
    (side, if packet[47] & ACK == 0 { 0 } else { acknowledgement.wrapping_sub(first).into() })
}

/// A packet of a connection that carries bytes, as the model knows it.
struct Said {
    side: usize,
    /// Its place in its side's stream.
    offset: u64,
    len: u64,
    /// The number of the other side's bytes that its sender had.
    known: u64,
}

fn said(packet: &[u8]) -> Said {
    let (side, known) = knowledge(packet);
    let sequence = u32::from_be_bytes(packet[38..42].try_into().unwrap());
    let offset = sequence.wrapping_sub([u32::MAX - 9, 8][side]).into();
    Said { side, offset, len: packet.len() as u64 - 54, known }
}

/// Reads a conversation in causal order and compares each packet of it, not only the first of a
/// chunk, with what was handed out before. Returns how far each side was handed out.
async fn read_in_order(conversations: Conversations, said: &[Said], case: &str) -> [u64; 2] {
    let mut conversations = conversations;
    let mut conversation = conversations.next().await.unwrap().unwrap();
    let mut heard = [0; 2];
    while let Some(chunk) = conversation.next_chunk().await {
        let (side, offset, len) = match &chunk {
            Chunk::Initiator(data) => (0, data.offset(), data.len() as u64),
            Chunk::Responder(data) => (1, data.offset(), data.len() as u64),
            Chunk::Gap { side, offset, len, .. } => (*side as usize, *offset, *len),
            _ => continue,
        };
        assert_eq!(offset, heard[side], "{case}: {chunk:?}");
        let within = |said: &&Said| {
            said.side == side && said.offset < offset + len && said.offset + said.len > offset
        };
        if !matches!(chunk, Chunk::Gap { .. }) {
            for Said { known, offset, .. } in said.iter().filter(within) {
                // A single byte is not waited for.
                assert!(*known <= heard[1 - side] + 1, "{case}: {offset} of {side}, {heard:?}");
            }
        }
        heard[side] += len;
    }
    heard
}

#[tokio::test]
async fn no_byte_comes_before_what_its_sender_knew_whatever_was_swapped_or_lost() {
    for seed in 1..600_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        let mut connection = Connection::open(1);
        let (mut sent, mut turn) = ([0; 2], 0);
        for round in 0..30 {
            // Requests and responses, in turn or not.
            turn = if seed % 3 == 0 { 1 - turn } else { random(2) as usize };
            let len = [2, 10, 100, 700, 1400][random(5) as usize];
            sent[turn] += len as u64;
            connection.send(turn, &pattern(round, len));
            match random(20) {
                // The bytes, and nothing, or all, that acknowledges them.
                0 if seed % 2 == 0 => {
                    connection.packets.truncate(connection.packets.len() - 2);
                }
                1 if seed % 2 == 0 => drop(connection.packets.remove(connection.packets.len() - 2)),
                // The acknowledgement.
                2..9 => drop(connection.packets.pop_back()),
                _ => {}
            }
        }
        connection.fin(0);
        connection.fin(1);
        let mut packets: Vec<_> = connection.packets.drain(..).collect();
        for _ in 0..[0, 20][random(2) as usize] {
            let at = 3 + random(packets.len() as u64 - 9) as usize;
            packets.swap(at, at + 1 + random(2) as usize);
        }
        let model: Vec<_> = packets.iter().map(|packet| said(packet)).collect();
        // A connection may have its directions in VLANs of their own.
        let vlans = [[None; 2], [Some(7); 2], [None, Some(5)], [Some(3), Some(4)]];
        let vlans = vlans[random(4) as usize];
        for (packet, Said { side, .. }) in packets.iter_mut().zip(&model) {
            if let Some(vlan) = vlans[*side] {
                packet.splice(12..12, [0x81, 0, 0, vlan]);
            }
        }
        let (live, grace) = (random(2) == 0, [8, 64, 4096][random(3) as usize]);
        let case = format!("seed {seed}, live {live}, grace {grace}, {vlans:?}");
        let heard = if live {
            let conversations = Fake::live(source(packets))
                .flow_stream(FiveTuple::bidirectional())
                .table(move |table| table.grace(grace, Duration::from_secs(60)))
                .causal_order(true)
                .begin();
            read_in_order(conversations, &model, &case).await
        } else {
            let conversations = source(packets)
                .flow_stream(FiveTuple::bidirectional())
                .table(move |table| table.grace(grace, Duration::from_secs(60)))
                .causal_order(true)
                .begin();
            read_in_order(conversations, &model, &case).await
        };
        assert_eq!(heard, sent, "{case}");
    }
}

#[tokio::test]
async fn causal_order_waits_for_no_direction_that_is_missing() {
    // All requests are lost; then the whole direction; then everything but the responder's own
    // bytes.
    for lost in 0..3 {
        let mut connection = Connection::open(1);
        for round in 0..100 {
            if lost == 0 {
                connection.lose(0, 300);
            } else {
                connection.send(0, &pattern(round, 300));
            }
            connection.send(1, &pattern(round + 100, 5000));
        }
        connection.fin(0);
        connection.fin(1);
        let one_sided: Vec<_> = connection
            .packets
            .drain(..)
            .enumerate()
            .filter(|(i, packet)| {
                let responder = packet[26..30] == [10, 0, 0, 2];
                lost == 0 || (responder && (lost == 1 || *i > 3))
            })
            .map(|(_, packet)| packet)
            .collect();
        let mut conversation = Fake::live(source(one_sided))
            .flow_stream(FiveTuple::bidirectional())
            .causal_order(true)
            .begin()
            .next()
            .await
            .unwrap()
            .unwrap();
        let (mut bytes, mut last) = (0, 0);
        while let Some(chunk) = conversation.next_chunk().await {
            if let Chunk::Responder(data) | Chunk::Initiator(data) = chunk
                && data.len() >= 1000
            {
                bytes += data.len();
                last = last.max(data.packet_number());
            }
        }
        assert_eq!(bytes, 500_000, "case {lost}");
    }
}

/// Whole messages of both sides, in the order in which a reader gets them.
async fn messages(conversations: Conversations) -> String {
    let mut conversation = { conversations }.next().await.unwrap().unwrap();
    let mut heard = String::new();
    while let Some(chunk) = conversation.next_chunk().await {
        match chunk {
            Chunk::Initiator(data) | Chunk::Responder(data) => {
                heard += str::from_utf8(&data).unwrap();
            }
            Chunk::Gap { len, .. } => heard += &format!("{len} missing "),
            _ => {}
        }
    }
    heard
}

#[tokio::test]
async fn a_request_comes_before_its_response_in_a_conversation_picked_up_midway() {
    for (lost, expected) in [
        (None, "one ONE two TWO three THREE four FOUR "),
        // The stream begins with the first byte that was captured.
        (Some(0), "ONE two TWO three THREE four FOUR "),
        (Some(1), "one two TWO three THREE four FOUR "),
        (Some(2), "one ONE 4 missing TWO three THREE four FOUR "),
        (Some(5), "one ONE two TWO three 6 missing four FOUR "),
    ] {
        for acknowledged in [true, false] {
            let mut connection = Connection::open(1);
            connection.packets.clear();
            for (at, text) in ["one ", "ONE ", "two ", "TWO ", "three ", "THREE ", "four ", "FOUR "]
                .into_iter()
                .enumerate()
            {
                connection.send(at % 2, text.as_bytes());
                let acknowledgement = connection.packets.pop_back().unwrap();
                if lost == Some(at) {
                    connection.packets.pop_back();
                }
                if acknowledged {
                    connection.packets.push_back(acknowledgement);
                }
            }
            connection.fin(0);
            connection.fin(1);
            let packets: Vec<_> = connection.packets.drain(..).collect();
            let key = FiveTuple::bidirectional();
            let file = source(packets.clone()).flow_stream(key).causal_order(true);
            let heard = messages(file.begin()).await;
            assert_eq!(heard, expected, "{lost:?} {acknowledged}, a file");
            let wire = Fake::live(source(packets)).flow_stream(key).causal_order(true);
            let heard = messages(wire.begin()).await;
            assert_eq!(heard, expected, "{lost:?} {acknowledged}, a wire");
        }
    }
}
