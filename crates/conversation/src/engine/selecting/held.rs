//! The events of a flow that is undecided.

use std::ops::Range;

use flow::{
    Conflict, Data, Datagram, FirstPacket, Flow, FlowRecord, FlowSide, Gap, TcpFlags, Timestamp,
    Unplaced, UnplacedCause,
};
use flow_filter::Evaluation;

use super::event::Event;
use crate::engine::Sink;

pub(super) struct Held<K> {
    pub(super) evaluations: Box<[Evaluation]>,
    first: First,
    events: Vec<Kept<K>>,
    /// The bytes of all events.
    bytes: Vec<u8>,
    /// Bytes that the sink does not want.
    skipped: u64,
    /// The memory of all this.
    pub(super) cost: usize,
    /// The memory of the parsers that conditions need.
    pub(super) parsers: usize,
}

/// The first packet.
struct First {
    side: FlowSide,
    payload: Box<[u8]>,
    flags: TcpFlags,
    timestamp: Timestamp,
    packet_number: u64,
}

/// An event; its bytes are a range of those of all.
enum Kept<K> {
    Data { side: FlowSide, bytes: Bytes, offset: u64, depends_on: u64 },
    Late { side: FlowSide, bytes: Bytes, offset: u64 },
    Datagram { side: FlowSide, bytes: Bytes, wire_len: u32 },
    Unplaced { side: FlowSide, bytes: Bytes, sequence: u32, cause: UnplacedCause },
    Gap(FlowSide, Gap),
    Awaited(FlowSide, u64),
    Fin(FlowSide, u64),
    Conflict(FlowSide, Box<TwoVersions>),
    Record(Box<FlowRecord<K>>),
}

#[derive(Clone, Copy)]
struct Bytes {
    start: usize,
    len: usize,
    timestamp: Timestamp,
    packet_number: u64,
}

struct TwoVersions {
    kept: Bytes,
    discarded: Bytes,
    offset: u64,
    timestamp: Timestamp,
    packet_number: u64,
}

impl<K: Clone> Held<K> {
    pub(super) fn new(evaluations: Box<[Evaluation]>, first: &FirstPacket<'_>) -> Self {
        let FirstPacket { side, flags, timestamp, packet_number, .. } = *first;
        let payload: Box<[u8]> = first.payload.into();
        let cost = size_of::<Self>() + payload.len() + size_of_val(&*evaluations);
        let first = First { side, payload, flags, timestamp, packet_number };
        let (events, bytes) = Default::default();
        let mut held = Self { evaluations, first, events, bytes, skipped: 0, cost, parsers: 0 };
        held.note_parsers();
        held
    }

    /// Notes the memory of the parsers, and returns it.
    pub(super) fn note_parsers(&mut self) -> usize {
        self.parsers = self.evaluations.iter().map(Evaluation::memory).sum();
        self.parsers
    }

    /// Keeps an event. Returns the memory that it takes.
    pub(super) fn push(&mut self, event: &Event<'_, K>, with_bytes: bool) -> usize {
        let kept = match *event {
            Event::Data(_, Data { bytes, .. }) | Event::Datagram(_, Datagram { bytes, .. })
                if !with_bytes =>
            {
                self.skipped += bytes.len() as u64;
                return 0;
            }
            Event::Data(side, data) => {
                let bytes = self.keep(data.bytes, data.timestamp, data.packet_number);
                Kept::Data { side, bytes, offset: data.offset, depends_on: data.depends_on }
            }
            Event::Late(side, data) => {
                let bytes = self.keep(data.bytes, data.timestamp, data.packet_number);
                Kept::Late { side, bytes, offset: data.offset }
            }
            Event::Datagram(side, datagram) => {
                let Datagram { bytes, wire_len, timestamp, packet_number, .. } = datagram;
                let bytes = self.keep(bytes, timestamp, packet_number);
                Kept::Datagram { side, bytes, wire_len }
            }
            Event::Unplaced(side, unplaced) => {
                let Unplaced { bytes, sequence, cause, timestamp, packet_number, .. } = unplaced;
                let bytes = self.keep(bytes, timestamp, packet_number);
                Kept::Unplaced { side, bytes, sequence, cause }
            }
            Event::Conflict(side, conflict) => {
                let Conflict { offset, timestamp, packet_number, .. } = conflict;
                let kept = self.keep(conflict.kept, timestamp, conflict.kept_packet_number);
                let discarded =
                    self.keep(conflict.discarded, timestamp, conflict.discarded_packet_number);
                let versions = TwoVersions { kept, discarded, offset, timestamp, packet_number };
                Kept::Conflict(side, Box::new(versions))
            }
            Event::Gap(side, gap) => Kept::Gap(side, gap),
            Event::Awaited(side, offset) => Kept::Awaited(side, offset),
            Event::Fin(side, offset) => Kept::Fin(side, offset),
            Event::Record(record) => Kept::Record(Box::new(record.clone())),
        };
        self.events.push(kept);
        let cost = event.cost(with_bytes);
        self.cost += cost;
        cost
    }

    fn keep(&mut self, bytes: &[u8], timestamp: Timestamp, packet_number: u64) -> Bytes {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Bytes { start, len: bytes.len(), timestamp, packet_number }
    }

    /// Calls the sink with everything. Returns `false` if it does not admit the flow.
    pub(super) fn replay<H: Sink<K>>(&self, flow: &Flow<'_, K>, sink: &mut H) -> bool {
        let First { side, payload, flags, timestamp, packet_number } = &self.first;
        let first = FirstPacket::new(*side, payload, *flags, *timestamp, *packet_number);
        if !sink.admits(flow, &first) {
            return false;
        }
        sink.on_start(flow);
        sink.skip_bytes(self.skipped);
        for event in &self.events {
            self.pass(event, flow, sink);
        }
        true
    }

    fn pass<H: Sink<K>>(&self, event: &Kept<K>, flow: &Flow<'_, K>, sink: &mut H) {
        let data = |bytes: &Bytes, offset| {
            Data::new(self.range(bytes), offset, bytes.timestamp, bytes.packet_number)
        };
        match event {
            Kept::Data { side, bytes, offset, depends_on } => {
                let mut data = data(bytes, *offset);
                data.depends_on = *depends_on;
                sink.on_data(flow, *side, data);
            }
            Kept::Late { side, bytes, offset } => sink.on_late(flow, *side, data(bytes, *offset)),
            Kept::Datagram { side, bytes, wire_len } => {
                let Bytes { timestamp, packet_number, .. } = *bytes;
                let datagram =
                    Datagram::new(self.range(bytes), *wire_len, timestamp, packet_number);
                sink.on_datagram(flow, *side, datagram);
            }
            Kept::Unplaced { side, bytes, sequence, cause } => {
                let Bytes { timestamp, packet_number, .. } = *bytes;
                let unplaced =
                    Unplaced::new(self.range(bytes), *sequence, *cause, timestamp, packet_number);
                sink.on_unplaced(flow, *side, unplaced);
            }
            Kept::Conflict(side, versions) => {
                let version = |bytes| (self.range(bytes), bytes.packet_number);
                let TwoVersions { kept, discarded, offset, timestamp, packet_number } = &**versions;
                let conflict = Conflict::new(
                    *offset,
                    version(kept),
                    version(discarded),
                    *timestamp,
                    *packet_number,
                );
                sink.on_conflict(flow, *side, conflict);
            }
            Kept::Gap(side, gap) => sink.on_gap(flow, *side, *gap),
            Kept::Awaited(side, offset) => sink.on_ack_ahead(flow, *side, *offset),
            Kept::Fin(side, offset) => sink.on_fin(flow, *side, *offset),
            Kept::Record(record) => sink.on_record(flow, record),
        }
    }

    fn range(&self, bytes: &Bytes) -> &[u8] {
        let range: Range<usize> = bytes.start..bytes.start + bytes.len;
        &self.bytes[range]
    }
}
