//! Header fields in flow records.

use flow::{
    FiveTuple, FiveTupleKey, Flow, FlowHandler, FlowRecord, FlowTable, FlowTableBuilder,
    IcmpMessage, LinkType, MacAddress, Packet, TcpFlags, Timestamp,
};
use flow_testkit::frame::Frame;
use flow_testkit::segments::{self, Client, Host, Server};

#[derive(Default)]
struct Records(Vec<FlowRecord<FiveTupleKey>>);

impl FlowHandler<FiveTupleKey> for Records {
    fn on_end(&mut self, _: &Flow<'_, FiveTupleKey>, record: &FlowRecord<FiveTupleKey>) {
        self.0.push(record.clone());
    }
}

fn records(
    frames: &[Vec<u8>],
    set_up: impl FnOnce(FlowTableBuilder<FiveTuple>) -> FlowTableBuilder<FiveTuple>,
) -> Vec<FlowRecord<FiveTupleKey>> {
    let mut table = set_up(FlowTable::builder(FiveTuple::bidirectional())).build();
    let mut records = Records::default();
    let packets: Vec<_> = (0..)
        .zip(frames)
        .map(|(at, frame)| {
            let time = Timestamp::from_nanos(1_000_000_000 + at * 1_000_000);
            Packet::new(frame, time, LinkType::ETHERNET)
        })
        .collect();
    // Some in batches of their own, some together.
    let (first, rest) = packets.split_at(packets.len() / 2);
    for packet in first {
        table.process([*packet], &mut records);
    }
    table.process(rest.iter().copied(), &mut records);
    table.finish(&mut records);
    records.0
}

/// An Ethernet frame from the client or the server, padded to the shortest length.
fn frame(from: Host, ether_type: u16, packet: Vec<u8>) -> Vec<u8> {
    let mut frame = Frame(packet).ethernet(ether_type).0;
    if from == Server {
        let (client, server) = frame.split_at_mut(6);
        client.swap_with_slice(&mut server[..6]);
    }
    frame.resize(frame.len().max(60), 0);
    frame
}

/// A TCP segment with a traffic class and a hop limit.
fn segment(from: Host, numbers: [u32; 2], flags: u8, fields: [u8; 2], payload: &[u8]) -> Vec<u8> {
    let mut packet = segments::segment(from, numbers[0], numbers[1], "", 60_000, payload);
    (packet[1], packet[8], packet[33]) = (fields[0], fields[1], flags);
    frame(from, 0x0800, packet)
}

const MACS: [MacAddress; 2] = [MacAddress([2, 0, 0, 0, 0, 2]), MacAddress([2, 0, 0, 0, 0, 1])];

#[test]
fn a_connection_has_the_flags_of_all_and_the_fields_of_the_first_packets() {
    let frames = [
        segment(Client, [1000, 0], 0xc2, [0x20, 64], b""),
        segment(Server, [5000, 1001], 0x52, [0x48, 57], b""),
        segment(Client, [1001, 5001], 0x10, [0x22, 64], b""),
        segment(Client, [1001, 5001], 0x10, [0x22, 64], b"ab"),
        segment(Client, [1003, 5001], 0x18, [0x22, 64], b"c"),
        segment(Server, [5001, 1004], 0x10, [0x48, 57], &[7; 100]),
        segment(Server, [5101, 1004], 0x50, [0x48, 57], &[7; 100]),
        segment(Client, [1004, 5201], 0x10, [0x22, 64], b""),
        segment(Client, [1004, 5201], 0x11, [0x22, 64], b""),
        segment(Server, [5201, 1005], 0x11, [0x48, 57], b""),
        segment(Client, [1005, 5202], 0x10, [0x22, 64], b""),
    ];
    let records = records(&frames, |builder| builder);
    let [record] = &records[..] else { panic!("{records:?}") };
    let [client, server] = [record.initiator, record.responder];
    assert_eq!(client.tcp_flags, Some(TcpFlags(0xc2 | 0x10 | 0x18 | 0x11)));
    assert_eq!(server.tcp_flags, Some(TcpFlags(0x52 | 0x50 | 0x11)));
    assert_eq!((client.traffic_class, client.hop_limit), (Some(0x20), Some(64)));
    assert_eq!((server.traffic_class, server.hop_limit), (Some(0x48), Some(57)));
    assert_eq!([client.mac, server.mac], MACS.map(Some));
    assert_eq!((client.packets, client.ip_bytes, client.payload_bytes), (7, 7 * 40 + 3, 3));
    assert_eq!((server.packets, server.ip_bytes, server.payload_bytes), (4, 4 * 40 + 200, 200));
    assert_eq!(record.icmp, None);
}

#[test]
fn flags_of_the_common_path_are_those_of_its_own_side() {
    for (flag, expected) in [(0x08, 0x1a), (0x40, 0x52), (0x80, 0x92), (0, 0x12)] {
        let frames = [
            segment(Client, [1000, 0], 0x02, [0, 64], b""),
            segment(Server, [5000, 1001], 0x12, [0, 64], b""),
            segment(Client, [1001, 5001], 0x10, [0, 64], b""),
            segment(Client, [1001, 5001], 0x10 | flag, [0, 64], b"ab"),
            segment(Server, [5001, 1003], 0x10, [0, 64], b"c"),
            segment(Client, [1003, 5002], 0x10, [0, 64], b"de"),
            segment(Server, [5002, 1005], 0x10, [0, 64], b"f"),
        ];
        let records = records(&frames, |builder| builder);
        assert_eq!(records[0].initiator.tcp_flags, Some(TcpFlags(expected)));
        assert_eq!(records[0].responder.tcp_flags, Some(TcpFlags(0x12)));
    }
}

#[test]
fn a_syn_with_data_has_not_acknowledged_anything() {
    let records = records(&[segment(Client, [1000, 0], 0x02, [0, 64], b"early")], |it| it);
    assert_eq!(records[0].initiator.tcp_flags, Some(TcpFlags(0x02)));
    assert_eq!(records[0].responder.tcp_flags, Some(TcpFlags(0)));
    assert_eq!(records[0].responder.hop_limit, None);
}

#[test]
fn a_connection_that_reuses_ports_has_its_own_fields() {
    let mut frames = Vec::new();
    for (base, fields) in [(1000, [0x20, 64]), (900_000, [0x40, 63])] {
        frames.extend([
            segment(Client, [base, 0], 0x02, fields, b""),
            segment(Server, [5000, base + 1], 0x12, fields, b""),
            segment(Client, [base + 1, 5001], 0x18, fields, b"ab"),
            segment(Server, [5001, base + 3], 0x14, fields, b""),
        ]);
    }
    let records = records(&frames, |builder| builder);
    let fields = |at: usize| {
        let initiator: flow::SideCounters = records[at].initiator;
        (initiator.traffic_class, initiator.hop_limit, initiator.tcp_flags)
    };
    assert_eq!(records.len(), 2);
    assert_eq!(fields(0), (Some(0x20), Some(64), Some(TcpFlags(0x1a))));
    assert_eq!(fields(1), (Some(0x40), Some(63), Some(TcpFlags(0x1a))));
}

#[test]
fn datagrams_of_both_families_count_their_headers() {
    let v4 = Frame::new(b"query").udp(4000, 53).ipv4(17);
    let v6 = Frame::new(b"query").udp(4000, 53).ipv6(17);
    let fragmented = Frame::new(&[1; 16]).ipv4_with(17, &[1; 4], 7, 0x2000);
    for (ether_type, packet, len) in [(0x0800, v4, 20 + 8 + 5), (0x86dd, v6, 40 + 8 + 5)] {
        let packet = frame(Client, ether_type, packet.0);
        let records = records(&[packet.clone(), packet.clone(), packet], |builder| builder);
        let initiator = records[0].initiator;
        assert_eq!((initiator.packets, initiator.ip_bytes), (3, 3 * len));
        assert_eq!(initiator.hop_limit, Some(64));
        assert_eq!((initiator.tcp_flags, initiator.mac), (None, Some(MACS[0])));
    }
    let records = records(&[frame(Client, 0x0800, fragmented.0)], |builder| builder);
    assert!(records.is_empty(), "the rest of the datagram is missing");
}

#[test]
fn the_first_message_of_icmp_is_told() {
    let echo = |kind: u8| Frame::new(&[kind, 3, 0, 0, 0, 1, 0, 1, 9]).ipv4(1).0;
    let records =
        records(&[frame(Client, 0x0800, echo(8)), frame(Client, 0x0800, echo(5))], |it| it);
    assert_eq!(records[0].icmp, Some(IcmpMessage { message_type: 8, code: 3 }));
    assert_eq!(records[0].initiator.ip_bytes, records[0].initiator.packets * 29);
}

#[test]
fn without_header_fields_the_bytes_of_packets_are_counted() {
    let packet = frame(Client, 0x0800, Frame::new(b"query").udp(4000, 53).ipv4(17).0);
    let records = records(&[packet], |builder| builder.header_fields(false));
    let initiator = records[0].initiator;
    assert_eq!((initiator.ip_bytes, initiator.hop_limit, initiator.mac), (33, None, None));
}
