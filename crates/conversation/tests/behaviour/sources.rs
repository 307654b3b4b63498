//! Several sources.

use conversation::{FlowGroupExt, FlowStreamExt as _};
use flow::{EndReason, FiveTuple};
use futures::StreamExt as _;
use ring_core::{LinkType, MemorySource, Timestamp};
use source_testkit::{Connection, Fake, interleave, pattern, source};

use super::{exchange, hear};
use crate::Begin as _;

#[tokio::test]
async fn several_sources_are_one_stream() {
    let mut connections: Vec<_> = (1..=40).map(|i| exchange(i, 1000, 30_000)).collect();
    let sources: Vec<_> = connections.chunks_mut(10).map(interleave).collect();
    let mut conversations = FlowGroupExt::flow_stream(sources, FiveTuple::bidirectional())
        .conversation_limit(10_000)
        .total_limit(50_000)
        .begin();
    let handle = conversations.handle();
    let mut count = 0;
    while let Some(conversation) = conversations.next().await {
        let mut conversation = conversation.unwrap();
        let port = conversation.initiator().port;
        let heard = hear(&mut conversation).await;
        assert_eq!(heard.bytes, connections[usize::from(port - 1)].sent);
        assert_eq!(heard.reason, Some(EndReason::Fin));
        count += 1;
    }
    assert_eq!(count, 40);
    assert_eq!(handle.statistics().conversations, 40);
    let members = handle.member_statistics();
    assert_eq!(members.iter().map(|member| member.conversations).collect::<Vec<_>>(), [10; 4]);
    handle.finished().await;
    let (sum, members) = (handle.statistics().table, handle.member_statistics());
    assert_eq!(members.iter().map(|member| member.table.ended_fin).collect::<Vec<_>>(), [10; 4]);
    assert_eq!((sum.ended_fin, sum.delivered_bytes), (40, 40 * 31_000));
}

#[tokio::test]
async fn where_one_source_fails_the_others_are_drained_and_the_error_comes_last() {
    let mut connections: Vec<_> = (1..=4).map(|i| exchange(i, 1000, 30_000)).collect();
    let sources = connections
        .chunks_mut(2)
        .enumerate()
        .map(|(i, connections)| Fake::file(interleave(connections)).failing(i == 1))
        .collect::<Vec<_>>();
    let conversations = FlowGroupExt::flow_stream(sources, FiveTuple::bidirectional()).begin();
    let all: Vec<_> = conversations.collect().await;
    assert_eq!(all.len(), 5);
    assert!(matches!(all[4], Err(conversation::Error::Source(_))));
    for conversation in all.into_iter().take(4) {
        let mut conversation = conversation.unwrap();
        let port = conversation.initiator().port;
        let heard = hear(&mut conversation).await;
        assert_eq!(heard.bytes, connections[usize::from(port - 1)].sent);
    }
}

#[tokio::test]
async fn a_file_may_have_the_directions_one_after_the_other() {
    for first in 0..2 {
        let mut connection = exchange(1, 100_000, 200_000);
        let mut packets: Vec<_> = connection.packets.drain(..).collect();
        packets.sort_by_key(|packet| usize::from(packet[26..30] == [10, 0, 0, 2]) != first);
        let mut conversations = source(packets).flow_stream(FiveTuple::bidirectional()).begin();
        let heard = hear(&mut conversations.next().await.unwrap().unwrap()).await;
        assert_eq!((heard.bytes, heard.gaps), (connection.sent, vec![]));
        assert_eq!(heard.reason, Some(EndReason::Fin));
    }
}

#[tokio::test]
async fn a_reset_in_a_file_leaves_time_for_the_direction_that_comes_later() {
    let mut connection = Connection::open(1);
    connection.send(0, &pattern(1, 500));
    connection.send(1, &pattern(2, 1000));
    connection.rst(1);
    let mut source = MemorySource::new(LinkType::ETHERNET);
    for side in [1, 0] {
        for packet in &connection.packets {
            if usize::from(packet[26..30] == [10, 0, 0, 2]) == side {
                let seconds = if side == 1 { 1_000 } else { 1_010 };
                source.push(Timestamp::from_nanos(seconds * 1_000_000_000), packet);
            }
        }
    }
    let mut conversations = source.flow_stream(FiveTuple::bidirectional()).begin();
    let heard = hear(&mut conversations.next().await.unwrap().unwrap()).await;
    assert_eq!((heard.bytes, heard.gaps), (connection.sent, vec![]));
    assert_eq!(heard.reason, Some(EndReason::Rst));
}
