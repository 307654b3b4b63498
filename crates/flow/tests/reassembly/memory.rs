//! The limit of the table's memory.

use flow::{EndReason, FiveTuple, FlowTableBuilder};
use packet::{LinkType, Packet};

use crate::lab::*;

const LIMIT: usize = 1 << 20;

/// A segment of one of many clients.
fn of_client(client: u32, sequence: u32, flags: &str, payload: &str) -> Vec<u8> {
    let mut frame = segment(Client, sequence, S + 1, flags, 60_000, payload.as_bytes());
    frame[12..16].copy_from_slice(&(10 << 24 | client).to_be_bytes());
    frame
}

fn limited(builder: FlowTableBuilder<FiveTuple>) -> FlowTableBuilder<FiveTuple> {
    builder.table_limit(LIMIT / 2).memory_limit(LIMIT).remember_delivered(64 << 10, LIMIT / 4)
}

#[test]
fn half_open_connections_make_room_for_each_other() {
    let mut lab = Lab::with(limited);
    for client in 0..20_000 {
        lab.frame(&of_client(client, C, "S", ""));
        assert!(lab.table.memory() <= LIMIT);
    }
    let statistics = lab.table.statistics();
    assert_eq!(statistics.ended_evicted, statistics.evicted_for_memory);
    assert_eq!(statistics.ended_evicted + lab.table.len() as u64, 20_000);
    assert!(lab.table.len() > LIMIT / 320, "{}", lab.table.len());
}

#[test]
fn streams_without_a_beginning_and_holes_give_way_before_flows_do() {
    for (flags, sequence) in [("A", C), ("S", C)] {
        let mut lab = Lab::with(limited);
        for client in 0..1000 {
            lab.frame(&of_client(client, sequence, flags, ""));
            lab.frame(&of_client(client, C + 100, "A", "behind"));
            assert!(lab.table.memory() <= LIMIT + (64 << 10), "{}", lab.table.memory());
        }
        assert_eq!(lab.table.statistics().ended_evicted, 0, "{flags}");
        lab.table.finish(&mut lab.seen);
        // Each is complete or has a gap.
        assert!((0..1000).all(|flow| lab.side(flow, Initiator).text.ends_with("behind")));
    }
}

#[test]
fn flows_are_ended_when_what_they_need_besides_grows() {
    let mut lab = Lab::with(limited);
    for client in 0..2000 {
        lab.frame(&of_client(client, C, "S", ""));
    }
    assert_eq!((lab.table.len(), lab.table.statistics().ended_evicted), (2000, 0));
    // The caller keeps more than the table does.
    lab.table.note_memory(1000, 0);
    for _ in 0..10 {
        lab.frame(&of_client(0, C + 1, "A", "x"));
    }
    assert!(lab.table.memory() <= LIMIT, "{}", lab.table.memory());
    assert_well_used_by(&lab, 1400);
    let ended = (0..2000).filter(|flow| lab.reason(*flow) == Some(EndReason::Evicted)).count();
    assert_eq!(ended as u64, lab.table.statistics().evicted_for_memory);
    // What waits for the caller's readers takes memory, too.
    let before = lab.table.len();
    lab.table.note_memory(1000, LIMIT / 2);
    for _ in 0..10 {
        lab.frame(&of_client(0, C + 2, "A", "x"));
    }
    let (flows, memory) = (lab.table.len(), lab.table.memory());
    assert!(flows < before && memory <= LIMIT / 2 + (96 << 10), "{before}, {flows}: {memory}");
}

/// In one batch more flows begin than a fixed number, all of them in free slots.
#[test]
fn a_large_batch_of_new_flows_does_not_exceed_the_limit() {
    const EACH: usize = 8000;
    let mut lab = Lab::with(limited);
    for client in 0..2000 {
        lab.frame(&of_client(client, C, "S", ""));
    }
    lab.table.note_memory(EACH, 0);
    for _ in 0..10 {
        lab.frame(&of_client(0, C + 1, "A", "x"));
    }
    let frames = (10_000..15_000).map(|client| of_client(client, C, "A", "midway"));
    let (frames, now): (Vec<_>, _) = (frames.collect(), lab.now());
    let packets = frames.iter().map(|frame| Packet::new(frame, now, LinkType::IPV4));
    lab.table.process(packets, &mut lab.seen);
    let memory = lab.table.memory();
    assert!(memory <= LIMIT, "{memory} bytes, {} flows", lab.table.len());
}

fn assert_well_used_by(lab: &Lab, bytes: usize) {
    assert!(lab.table.len() > LIMIT / 2 / bytes, "{}", lab.table.len());
}

#[test]
fn a_stream_that_was_picked_up_takes_no_more_than_another() {
    let memory = |flags: &str| {
        let mut lab =
            Lab::with(|builder| builder.pickup_grace(2, std::time::Duration::from_secs(1)));
        for client in 0..1000 {
            lab.frame(&of_client(client, C, flags, ""));
            for number in 0..4 {
                lab.frame(&of_client(client, C + 1 + number, "A", "x"));
            }
        }
        assert!((0..1000).all(|flow| lab.side(flow, Initiator).text == "xxxx"));
        lab.table.memory()
    };
    let (midway, whole) = (memory("P"), memory("S"));
    assert!(midway < whole + whole / 4, "{midway}, {whole}");
}
