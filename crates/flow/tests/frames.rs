//! Fragmented link-layer frames.

use flow::{
    Cause, Data, FiveTuple, FiveTupleKey, Flow, FlowHandler, FlowSide, FlowTable, LinkType, Packet,
    Timestamp,
};
use flow_testkit::frame;
use frame::Frame;

/// All bytes of TCP streams.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl FlowHandler<FiveTupleKey> for Bytes {
    fn on_data(&mut self, _: &Flow<'_, FiveTupleKey>, _: FlowSide, data: Data<'_>) {
        self.0.extend_from_slice(data.bytes);
    }
}

/// A packet in LLC with `text` at this offset of a stream.
fn packet(place: u8, text: &[u8]) -> Vec<u8> {
    let mut tcp = Frame::new(text).tcp(&[], 0x18).0;
    tcp[7] = place;
    Frame(tcp).ipv4(6).within(&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0]).0
}

/// One 802.11 frame, with or without quality of service.
fn station(number: u8, more: bool, sequence: u16, traffic: Option<u8>, piece: &[u8]) -> Vec<u8> {
    let mut header = vec![if traffic.is_some() { 0x88 } else { 0x08 }, 1 | u8::from(more) << 2];
    header.extend([0, 0, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 3]);
    header.extend((sequence << 4 | u16::from(number)).to_le_bytes());
    header.extend(traffic.map(|traffic| [traffic, 0]).into_iter().flatten());
    [&header, piece].concat()
}

/// A packet split into 802.11 fragments.
fn pieces(packet: &[u8], len: usize, sequence: u16, traffic: Option<u8>) -> Vec<Vec<u8>> {
    let last = (packet.len() - 1) / len;
    let pieces = packet.chunks(len).enumerate();
    pieces.map(|(at, piece)| station(at as u8, at < last, sequence, traffic, piece)).collect()
}

fn table() -> FlowTable<FiveTuple> {
    FlowTable::builder(FiveTuple::bidirectional()).build()
}

/// The stream's bytes in these frames, which are a millisecond apart.
fn bytes(table: &mut FlowTable<FiveTuple>, link_type: u16, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Bytes::default();
    let times = (0..).map(|at| Timestamp::from_nanos(1_000_000_000 + at * 1_000_000));
    let packets = frames.iter().zip(times);
    table.process(
        packets.map(|(frame, time)| Packet::new(frame, time, LinkType(link_type))),
        &mut bytes,
    );
    table.finish(&mut bytes);
    bytes.0
}

#[test]
fn pieces_of_a_wireless_frame_are_joined() {
    let packet = packet(8, b"in several pieces");
    for traffic in [None, Some(3)] {
        for len in [5, 16, 40, 60] {
            let mut frames = pieces(&packet, len, 77, traffic);
            assert_eq!(bytes(&mut table(), 105, &frames), b"in several pieces");
            // Each frame is retransmitted.
            frames = frames.iter().flat_map(|frame| [frame.clone(), frame.clone()]).collect();
            assert_eq!(bytes(&mut table(), 105, &frames), b"in several pieces");
            frames.reverse();
            assert_eq!(bytes(&mut table(), 105, &frames), b"in several pieces");
            let radio = frames.iter().map(|frame| [&[0, 0, 8, 0, 0, 0, 0, 0], &frame[..]].concat());
            let radio: Vec<_> = radio.collect();
            assert_eq!(bytes(&mut table(), 127, &radio), b"in several pieces");
        }
    }
}

/// The CRC-32 of the standard, computed from its polynomial.
fn check_sequence(bytes: &[u8]) -> [u8; 4] {
    let mut remainder = u32::MAX;
    for bit in (0..bytes.len() * 8).map(|at| bytes[at / 8] >> (at % 8) & 1) {
        let carry = (remainder & 1) ^ u32::from(bit);
        remainder = (remainder >> 1) ^ (carry * 0xedb8_8320);
    }
    (!remainder).to_le_bytes()
}

#[test]
fn check_sequences_are_no_part_of_the_frame() {
    assert_eq!(check_sequence(b"123456789"), 0xcbf4_3926_u32.to_le_bytes());
    let frames: Vec<_> = pieces(&packet(8, b"with check sequences"), 24, 77, None)
        .into_iter()
        .map(|frame| [&frame[..], &check_sequence(&frame)].concat())
        .collect();
    assert_eq!(bytes(&mut table(), 105, &frames), b"with check sequences");
}

/// The rest of an incomplete frame must not become part of the next one with the same number.
/// Stations and traffic classes must not mix.
#[test]
fn pieces_of_several_frames_are_told_apart() {
    let [first, second] = [packet(8, b"first"), packet(13, b"other")];
    let old = pieces(&first, 30, 77, None);
    let new = pieces(&second, 30, 77, None);
    let frames = [vec![old[0].clone()], new].concat();
    assert_eq!(bytes(&mut table(), 105, &frames), b"other");
    let mut in_turn = pieces(&first, 30, 77, Some(1));
    for (at, frame) in pieces(&second, 30, 77, Some(2)).into_iter().enumerate() {
        in_turn.insert(2 * at, frame);
    }
    let mut table = table();
    let both = bytes(&mut table, 105, &in_turn);
    assert_eq!(both.len(), 10);
    assert_eq!(table.statistics().datagrams, 2);
}

#[test]
fn pieces_that_stay_alone_are_counted() {
    let mut table = table();
    let frames = pieces(&packet(8, b"incomplete"), 20, 77, None);
    assert_eq!(bytes(&mut table, 105, &frames[1..]), b"");
    let counts: Vec<_> = table.not_followed().iter().collect();
    assert_eq!(counts, [(Cause::IncompleteDatagram, frames.len() as u64 - 1)]);
    assert_eq!(table.statistics().packets, frames.len() as u64 - 1);
}

#[test]
fn pieces_without_end_take_a_bounded_amount_of_memory() {
    let mut defragmenter = flow::Defragmenter::default();
    let parser = flow::Parser::default();
    for sequence in 0..10_000_u32 {
        let mut frame = station(0, true, sequence as u16 & 0xfff, None, &[7; 1000]);
        frame[10..14].copy_from_slice(&sequence.to_be_bytes());
        let packet = Packet::new(&frame, Timestamp::default(), LinkType(105));
        let Ok(flow::Parsed::FrameFragment(piece)) = parser.parse(&packet) else { panic!("whole") };
        assert!(defragmenter.push_frame(&piece, &frame, packet.timestamp()).is_none());
        assert!(defragmenter.buffered_bytes() <= 4 << 20);
    }
    defragmenter.advance(Timestamp::from_nanos(2_000_000_000));
    assert_eq!(defragmenter.buffered_bytes(), 0);
    assert_eq!(defragmenter.statistics().abandoned, 10_000);
}

/// Access points fragment frames that exceed the MTU of the path to the controller.
#[test]
fn pieces_in_the_tunnel_to_a_controller_are_joined() {
    let ethernet = Frame(packet(8, b"through a tunnel")[8..].to_vec()).ethernet(0x0800).0;
    let wireless = station(0, false, 1, None, &packet(8, b"through a tunnel"));
    for (frame, native) in [(ethernet, [0x10, 0x00]), (wireless, [0x10, 0x03])] {
        let last = (frame.len() - 1) / 32;
        let mut frames: Vec<Vec<u8>> = frame
            .chunks(32)
            .enumerate()
            .map(|(at, piece)| {
                let flags = 0x80 | u8::from(at == last) << 6;
                let header = [0, native[0], native[1], flags, 0, 9, 0, 32 * at as u8];
                Frame::new(piece).within(&header).udp(5247, 40_000).ipv4(17).0
            })
            .collect();
        assert_eq!(bytes(&mut table(), 101, &frames), b"through a tunnel");
        frames.reverse();
        assert_eq!(bytes(&mut table(), 101, &frames), b"through a tunnel");
        let mut table = table();
        assert_eq!(bytes(&mut table, 101, &frames[1..]), b"");
        assert_eq!(table.not_followed().total(), last as u64);
    }
}
