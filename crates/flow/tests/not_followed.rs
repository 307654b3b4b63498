//! Every packet that belongs to no flow is counted under its cause.

use flow::{
    Cause, Encapsulation, FiveTuple, FlowHandler, FlowTable, LinkType, NotFollowed, Packet,
    Timestamp, Unparsed, WirelessFrame,
};
use flow_testkit::frame;
use frame::Frame;

struct Nobody;

impl<K> FlowHandler<K> for Nobody {}

const ETHERNET: u16 = 1;

fn llc(header: &[u8]) -> (u16, Frame) {
    let frame = Frame::new(&[0; 40]).within(header);
    let len = frame.0.len() as u16;
    (ETHERNET, frame.ethernet(len))
}

fn wireless(control: [u8; 2]) -> (u16, Frame) {
    (105, Frame::new(&[0; 60]).within(&control))
}

/// A frame for each cause.
fn frames() -> Vec<((u16, Frame), Cause)> {
    let ether_type = |number| (ETHERNET, Frame::new(&[0; 40]).ethernet(number));
    let short = Frame(Frame::new(b"").tcp(&[], 0x10).ipv4(6).ethernet(0x0800).0[..20].to_vec());
    let mut malformed = Frame::new(b"").tcp(&[], 0x10).ipv4(6).ethernet(0x0800);
    malformed.0[14] = 0x42;
    let deep = (0..40).fold(Frame::new(b"").udp(1, 2).ipv4(17), |frame, _| frame.ipv4(4));
    let encapsulation = |frame, kind| ((ETHERNET, frame), Unparsed::Encapsulation(kind));
    let unparsed = [
        (ether_type(0x0806), Unparsed::EtherType(0x0806)),
        (ether_type(0x88cc), Unparsed::EtherType(0x88cc)),
        (ether_type(0xfff0), Unparsed::EtherType(0xfff0)),
        (llc(&[0x42, 0x42, 3]), Unparsed::Llc(0x42)),
        (
            llc(&[0xaa, 0xaa, 3, 0, 0, 12, 0x20, 0]),
            Unparsed::Snap { organisation: [0, 0, 12], protocol: 0x2000 },
        ),
        (llc(&[0xfe, 0xfe, 3, 0x83]), Unparsed::NetworkLayer(0x83)),
        ((9, Frame::new(&[0; 20]).within(&[0xc0, 0x21])), Unparsed::Ppp(0xc021)),
        ((147, Frame::new(&[0; 20])), Unparsed::UnsupportedLinkType(LinkType(147))),
        ((101, Frame::new(&[0; 20])), Unparsed::NotIp),
        (wireless([0x80, 0]), Unparsed::Wireless(WirelessFrame::Management)),
        (wireless([0xd4, 0]), Unparsed::Wireless(WirelessFrame::Control)),
        (wireless([0x48, 1]), Unparsed::Wireless(WirelessFrame::Null)),
        (wireless([0x88, 0x41]), Unparsed::Wireless(WirelessFrame::Encrypted)),
        ((ETHERNET, malformed), Unparsed::Malformed),
        ((101, deep), Unparsed::TooDeep),
        encapsulation(
            Frame::new(&[0; 60]).within(&[0x0c]).ethernet(0x88e5),
            Encapsulation::EncryptedMacsec,
        ),
        encapsulation(
            Frame::new(&[0x10; 60]).within(&[0, 0, 1, 64]).ethernet(0x8847),
            Encapsulation::MplsPayload,
        ),
        encapsulation(
            Frame::new(&[0x10; 60])
                .within(&[0x80, 1, 2, 3])
                .within(&[0, 0x3d])
                .within_with_len(&[0x11, 0, 0, 9], 0)
                .ethernet(0x8864),
            Encapsulation::MultilinkFragment,
        ),
    ];
    let mut all: Vec<_> =
        unparsed.into_iter().map(|(frame, reason)| (frame, Cause::Unparsed(reason))).collect();
    // Truncated by the capture: `feed` sets a greater length on the wire.
    all.push(((ETHERNET, short), Cause::Unparsed(Unparsed::Truncated)));
    all.push(((101, Frame::new(&[0; 16]).ipv4_with(6, &[], 7, 0x2000)), Cause::IncompleteDatagram));
    all
}

fn feed(table: &mut FlowTable<FiveTuple>, frames: &[(u16, Frame)]) {
    table.process(
        frames.iter().map(|(link_type, frame)| {
            let mut packet = Packet::new(&frame.0, Timestamp::default(), LinkType(*link_type));
            packet.meta_mut().wire_len = packet.wire_len().max(60);
            packet
        }),
        &mut Nobody,
    );
}

#[test]
fn each_cause_is_counted_by_name() {
    let mut all = NotFollowed::default();
    for (at, (frame, cause)) in frames().into_iter().enumerate() {
        let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
        feed(&mut table, &vec![frame; at + 1]);
        table.finish(&mut Nobody);
        let counts = table.not_followed();
        // Copies of a fragment are not counted again.
        let expected = if cause == Cause::IncompleteDatagram { 1 } else { at as u64 + 1 };
        assert_eq!(counts.iter().collect::<Vec<_>>(), [(cause, expected)], "{cause}");
        all += counts;
    }
    let expected = frames().len() as u64;
    assert_eq!(all.total(), expected * (expected - 1) / 2 + 1);
    assert_eq!(all.iter().count() as u64, expected);
    assert!(all.iter().all(|(cause, _)| !cause.to_string().is_empty()));
}

#[test]
fn packets_that_no_stream_holds_are_counted_by_protocol() {
    let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
    let raw = |frame: Frame| (101, frame);
    let udp = || raw(Frame::new(b"x").udp(1, 2).ipv4(17));
    let tcp = raw(Frame::new(b"x").tcp(&[], 0x10).ipv4(6));
    feed(&mut table, &[udp(), tcp, udp(), raw(Frame::new(&[0; 30]).ipv4(50)), udp()]);
    let statistics = table.statistics();
    let counts: Vec<_> = statistics.not_streams.iter().collect();
    assert_eq!(counts, [(Cause::Protocol(17), 3), (Cause::Protocol(50), 1)]);
    assert!(statistics.not_followed.is_empty());
    assert_eq!(statistics.packets, 5);
}
