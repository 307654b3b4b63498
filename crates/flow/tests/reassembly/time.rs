//! Time stamps of packets and callers.

use std::time::Duration;

use flow::{EndReason, LinkType, Packet, Timestamp};

use crate::lab::*;

#[test]
fn silent_flows_end_by_class() {
    let mut lab = Lab::new();
    lab.send(Client, C, 0, "S", "");
    lab.wait(Duration::from_secs(29));
    assert_eq!(lab.reason(0), None);
    lab.wait(Duration::from_secs(2));
    assert_eq!(lab.reason(0), Some(EndReason::IdleTimeout));

    let mut lab = Lab::open();
    lab.wait(Duration::from_secs(3000));
    assert_eq!(lab.reason(0), None);
    lab.client(0, "abc");
    lab.wait(Duration::from_secs(3000));
    assert_eq!(lab.reason(0), None);
    lab.wait(Duration::from_secs(700));
    assert_eq!(lab.reason(0), Some(EndReason::IdleTimeout));
}

#[test]
fn in_files_silence_costs_nothing() {
    let mut lab = Lab::with(|builder| builder.idle_expiry(false));
    lab.handshake(C, S);
    lab.wait(Duration::from_secs(1_000_000));
    lab.client(0, "abc");
    lab.finish();
    assert_eq!(lab.text(), "abc");
    assert_eq!(lab.reason(0), Some(EndReason::CaptureEnded));
}

#[test]
fn the_next_deadline_is_never_late() {
    let mut lab = Lab::open();
    lab.client(3, "def");
    lab.acknowledge(6);
    let mut steps = 0;
    while let Some(deadline) = lab.table.next_deadline() {
        assert!(deadline.as_nanos() <= (lab.clock + 3_700_000) * 1_000_000);
        lab.table.advance(deadline, &mut lab.seen);
        steps += 1;
        assert!(steps < 100, "deadlines without an end");
    }
    assert_eq!(lab.reason(0), Some(EndReason::IdleTimeout));
    assert_eq!(lab.text(), "[3 acknowledged]def");
}

#[test]
fn time_steps_back_are_counted_and_do_no_harm() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.clock -= 5_000;
    lab.client(3, "def");
    assert_eq!(lab.text(), "abcdef");
    lab.finish();
    assert_eq!(lab.table.statistics().time_steps_back, 1);
    let record = lab.seen.flows[0].end.as_ref().unwrap();
    assert!(record.ended >= record.started);
}

#[test]
fn records_are_handed_out_while_a_flow_goes_on() {
    let mut lab = Lab::with(|builder| builder.active_timeout(Some(Duration::from_secs(10))));
    lab.handshake(C, S);
    for second in 0..25 {
        lab.wait(Duration::from_secs(1));
        lab.client(second, "x");
    }
    let interim = &lab.seen.flows[0].interim;
    assert_eq!(interim.len(), 2);
    assert_eq!(interim[0].reason, EndReason::ActiveTimeout);
    assert_eq!(interim[0].initiator.delivered_bytes, 9);
    assert_eq!(lab.reason(0), None);
}

#[test]
fn datagrams_end_after_a_minute() {
    let mut udp = vec![0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    udp.extend([0x30, 0x39, 0, 53, 0, 9, 0, 0, b'?']);
    let mut lab = Lab::new();
    lab.table.process([Packet::new(&udp, lab.now(), LinkType::IPV4)], &mut lab.seen);
    assert_eq!((lab.seen.datagrams, lab.table.len()), (1, 1));
    lab.wait(Duration::from_secs(61));
    assert_eq!(lab.reason(0), Some(EndReason::IdleTimeout));
    assert_eq!(lab.seen.flows[0].end.as_ref().unwrap().initiator.payload_bytes, 1);
    assert_eq!(lab.table.next_deadline(), None::<Timestamp>);
}

#[test]
fn batches_of_any_size_tell_the_same() {
    let frames: Vec<Vec<u8>> = (0..500_u32)
        .map(|number| {
            let text = format!("{number:04}");
            segment(Client, C + 1 + number * 4, S + 1, "A", 60_000, text.as_bytes())
        })
        .collect();
    let texts: Vec<String> = [1, 7, 64, 65, 500]
        .map(|size| {
            let mut lab = Lab::open();
            for chunk in frames.chunks(size) {
                let now = lab.now();
                let packets = chunk.iter().map(|frame| Packet::new(frame, now, LinkType::IPV4));
                lab.table.process(packets, &mut lab.seen);
            }
            lab.text().to_owned()
        })
        .into();
    assert_eq!(texts[0].len(), 2000);
    assert!(texts.iter().all(|text| *text == texts[0]));
}
