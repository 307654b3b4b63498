//! Frames that end with their check sequence.

use flow::{
    Data, FiveTuple, FiveTupleKey, Flow, FlowHandler, FlowSide, FlowTable, LinkType, Packet,
    Parsed, Timestamp, parse,
};

#[test]
fn a_check_sequence_is_no_payload_of_a_packet_without_a_length() {
    let mut frame = vec![0; 14];
    frame[12] = 8;
    // Segmentation was left to the adapter: the IP header's length is 0.
    frame.extend([0x45, 0, 0, 0, 0, 1, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    frame.extend([0, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0x50, 0x10, 9, 9, 0, 0, 0, 0]);
    frame.extend(b"payload");
    let payload_len = |frame: &[u8], fcs_len| {
        let mut packet = Packet::new(frame, Timestamp::default(), LinkType::ETHERNET);
        packet.meta_mut().fcs_len = fcs_len;
        let Ok(Parsed::Transport(headers)) = parse(&packet) else { panic!("{frame:?}") };
        let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
        let mut seen = Payload(0);
        table.process([packet], &mut seen);
        table.finish(&mut seen);
        assert_eq!(u64::from(headers.payload_wire_len), seen.0, "the table is of another opinion");
        seen.0
    };
    assert_eq!(payload_len(&frame, 0), 7);
    frame.extend([0xff; 4]);
    assert_eq!((payload_len(&frame, 0), payload_len(&frame, 4)), (11, 7));
}

struct Payload(u64);

impl FlowHandler<FiveTupleKey> for Payload {
    fn on_data(&mut self, _: &Flow<'_, FiveTupleKey>, _: FlowSide, data: Data<'_>) {
        self.0 += data.bytes.len() as u64;
    }
}
