//! The events of a table, by side.

use flow::{Conflict, Data, FiveTupleKey, Flow, FlowHandler, FlowRecord, FlowSide, Gap, Unplaced};

#[derive(Default)]
pub(super) struct Seen {
    pub(super) sides: [SideSeen; 2],
    pub(super) ended: Option<FlowRecord<FiveTupleKey>>,
    pub(super) flows: usize,
}

#[derive(Default)]
pub(super) struct SideSeen {
    pub(super) events: Vec<Event>,
    pub(super) next: u64,
}

pub(super) enum Event {
    /// Offset, bytes, packet number and time.
    Data(u64, Vec<u8>, u64, u64),
    Gap(Gap),
    Late(i64, Vec<u8>),
    Repeat(u64, Vec<u8>),
    Conflict(Vec<u8>, Vec<u8>),
    Unplaced(Vec<u8>),
    Fin(u64),
}

impl FlowHandler<FiveTupleKey> for Seen {
    fn on_start(&mut self, _: &Flow<'_, FiveTupleKey>) {
        self.flows += 1;
    }

    fn on_data(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        let seen = &mut self.sides[side as usize];
        assert_eq!(data.offset, seen.next, "data does not follow what came before");
        assert!(!data.bytes.is_empty());
        seen.next += data.bytes.len() as u64;
        let time = data.timestamp.as_nanos();
        seen.events.push(Event::Data(data.offset, data.bytes.to_vec(), data.packet_number, time));
    }

    fn on_gap(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, gap: Gap) {
        let seen = &mut self.sides[side as usize];
        assert_eq!(gap.offset, seen.next, "a gap does not follow what came before");
        assert!(gap.len > 0);
        seen.next += gap.len;
        seen.events.push(Event::Gap(gap));
    }

    fn on_late(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        let event = Event::Late(data.offset.cast_signed(), data.bytes.to_vec());
        self.sides[side as usize].events.push(event);
    }

    fn on_repeat(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        let event = Event::Repeat(data.offset, data.bytes.to_vec());
        self.sides[side as usize].events.push(event);
    }

    fn on_conflict(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, conflict: Conflict<'_>) {
        let event = Event::Conflict(conflict.kept.to_vec(), conflict.discarded.to_vec());
        self.sides[side as usize].events.push(event);
    }

    fn on_unplaced(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, unplaced: Unplaced<'_>) {
        let event = Event::Unplaced(unplaced.bytes.to_vec());
        self.sides[side as usize].events.push(event);
    }

    fn on_fin(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, offset: u64) {
        let seen = &mut self.sides[side as usize];
        assert_eq!(offset, seen.next);
        seen.events.push(Event::Fin(offset));
    }

    fn on_end(&mut self, _: &Flow<'_, FiveTupleKey>, record: &FlowRecord<FiveTupleKey>) {
        for (seen, side) in self.sides.iter().zip([FlowSide::Initiator, FlowSide::Responder]) {
            let bytes = |event: &Event| match event {
                Event::Data(_, bytes, ..) => bytes.len() as u64,
                _ => 0,
            };
            let bytes: u64 = seen.events.iter().map(bytes).sum();
            assert_eq!(record.side(side).delivered_bytes, bytes);
        }
        assert!(self.ended.replace(record.clone()).is_none(), "ended twice");
    }
}
