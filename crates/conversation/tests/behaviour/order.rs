//! Order between the two sides.

use conversation::{Chunk, FlowStreamExt as _};
use flow::{FiveTuple, FlowSide};
use futures::StreamExt as _;

use super::support::{ACK, Connection, Live, interleave, pattern, source};
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
        // The handshake, then of each round: request, its acknowledgement, response, its acknowledgement.
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

/// Who sent a packet of a connection, and how many of the other's bytes it knows.
fn knowledge(packet: &[u8]) -> (usize, u64) {
    let side = usize::from(packet[34..36] == [0, 80]);
    let acknowledgement = u32::from_be_bytes(packet[42..46].try_into().unwrap());
    let first = [8, u32::MAX - 9][side];
    (side, if packet[47] & ACK == 0 { 0 } else { acknowledgement.wrapping_sub(first).into() })
}

#[tokio::test]
async fn no_chunk_comes_before_what_its_sender_knew_whatever_was_swapped_or_lost() {
    for seed in 1..400_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        let mut connection = Connection::open(1);
        for round in 0..30 {
            let side = random(2) as usize;
            connection.send(side, &pattern(round, [1, 10, 100, 700, 1400][random(5) as usize]));
            match random(20) {
                0 if seed % 2 == 0 => connection.lose(side, 300),
                // Its acknowledgement.
                1..8 => drop(connection.packets.pop_back()),
                _ => {}
            }
        }
        let mut packets: Vec<_> = connection.packets.drain(..).collect();
        for _ in 0..20 {
            let at = 3 + random(packets.len() as u64 - 5) as usize;
            packets.swap(at, at + 1 + random(2) as usize);
        }
        let known: Vec<_> = packets.iter().map(|packet| knowledge(packet)).collect();
        let mut conversations =
            source(packets).flow_stream(FiveTuple::bidirectional()).causal_order(true).begin();
        let mut conversation = conversations.next().await.unwrap().unwrap();
        let mut heard = [0; 2];
        while let Some(chunk) = conversation.next_chunk().await {
            match chunk {
                Chunk::Initiator(data) | Chunk::Responder(data) => {
                    let (side, known) = known[data.packet_number() as usize - 1];
                    // A single byte is not waited for.
                    assert!(known <= heard[1 - side] + 1, "seed {seed}: {known} of {heard:?}");
                    heard[side] += data.len() as u64;
                }
                Chunk::Gap { side, len, .. } => {
                    heard[usize::from(side == FlowSide::Responder)] += len;
                }
                _ => {}
            }
        }
        assert!(heard[0] >= connection.sent[0].len() as u64, "{heard:?}");
        assert!(heard[1] >= connection.sent[1].len() as u64, "{heard:?}");
    }
}

#[tokio::test]
async fn causal_order_waits_for_no_direction_that_is_missing() {
    // All requests are lost; then the whole direction; then everything but the responder's own bytes.
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
        let mut conversation = Live(source(one_sided))
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
