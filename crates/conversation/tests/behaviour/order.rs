//! Order between the two sides.

use conversation::{Chunk, FlowStreamExt as _};
use flow::FiveTuple;
use futures::StreamExt as _;

use super::support::{Connection, Live, interleave, pattern, source};
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
