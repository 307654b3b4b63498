//! Captures of both sides of a device that rewrites sequence numbers, with a lost packet.
//!
//! Each packet appears twice on the same addresses and ports, in two sequence spaces. One of the
//! copies may be missing. The streams are known, so what the table delivers is compared with them.

use flow::{
    Conflict, Data, FiveTuple, FiveTupleKey, Flow, FlowHandler, FlowId, FlowRecord, FlowSide,
    FlowTable, Gap, LinkType, Packet, Timestamp, Unplaced,
};

use crate::segments::{Client, Host, Server, segment};

/// A capture to make.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The distances by which the device moves the client's and the server's numbers.
    pub shift: [u32; 2],
    /// The number of packets by which the second copies lag behind the first ones.
    pub lag: usize,
    /// `true` if a packet is captured on its sender's side first, `false` if always on the client's
    /// side first.
    pub sender_first: bool,
    /// `true` if the connection is closed.
    pub closes: bool,
    /// The index of the packet that is missing, and `true` for the copy on the server's side.
    pub lost: Option<(usize, bool)>,
}

/// Sender, and the number of payload bytes. `S`, `F` and `A` packets have none.
const PACKETS: &[(Host, &str, usize)] = &[
    (Client, "S", 0),
    (Server, "SA", 0),
    (Client, "A", 0),
    (Client, "PA", 70),
    (Server, "PA", 80),
    (Client, "PA", 50),
    (Server, "A", 0),
    (Server, "PA", 90),
    (Client, "A", 0),
    (Client, "PA", 30),
    (Server, "PA", 85),
    (Server, "PA", 15),
    (Client, "A", 0),
    (Client, "FA", 0),
    (Server, "FA", 0),
    (Client, "A", 0),
];

/// The first packets of a close.
const CLOSE: usize = 3;
const ISN: [u32; 2] = [0x2000_0000, 0xa000_0000];

/// The byte at a position of a stream.
fn byte(side: usize, position: usize) -> u8 {
    (position as u32).wrapping_mul(2_654_435_761).rotate_left(9) as u8 ^ (side as u8 * 0x5a)
}

/// A flow as the handler sees it.
#[derive(Default)]
struct Seen {
    id: Option<FlowId>,
    sides: [Vec<(u64, Piece)>; 2],
    /// Data, late, repeated, in conflict or unplaced.
    told: usize,
}

enum Piece {
    Data(Vec<u8>),
    Gap(u64),
}

#[derive(Default)]
struct Handler {
    flows: Vec<Seen>,
}

impl Case {
    /// The number of packets, without copies.
    pub const fn packets(&self) -> usize {
        PACKETS.len() - if self.closes { 0 } else { CLOSE }
    }

    /// Runs the case.
    ///
    /// # Errors
    /// A description of the bytes that the table delivered wrongly.
    pub fn check(&self) -> Result<(), String> {
        let mut handler = Handler::default();
        let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
        let (mut number, mut captured) = (0, 0);
        let mut lens = [0; 2];
        for (host, flags, len, place, far) in self.wire() {
            let side = host as usize;
            let lost = self.lost == Some((place.index, far));
            lens[side] = lens[side].max(place.at[side] + len);
            if lost {
                continue;
            }
            captured += len;
            number += 1;
            let number_of = |side: usize| {
                let shift = if far { self.shift[side] } else { 0 };
                let syn = u32::from(flags.contains('S') && side == host as usize);
                ISN[side].wrapping_add(shift + 1 - syn + place.number[side])
            };
            let payload: Vec<u8> =
                (place.at[side]..place.at[side] + len).map(|at| byte(side, at)).collect();
            let acknowledgement = if flags == "S" { 0 } else { number_of(1 - side) };
            let frame = segment(host, number_of(side), acknowledgement, flags, 60_000, &payload);
            let time = Timestamp::from_nanos(1_700_000_000_000_000_000 + number * 1_000_000);
            let mut packet = Packet::new(&frame, time, LinkType::IPV4);
            packet.meta_mut().number = number;
            table.process([packet], &mut handler);
        }
        table.finish(&mut handler);
        let told = handler.flows.iter().map(|flow| flow.told).sum::<usize>()
            + table.statistics().after_end_bytes as usize;
        if told != captured {
            return Err(format!("{told} of {captured} bytes told"));
        }
        let holes = self.holes();
        let mut whole = 0;
        for (which, flow) in handler.flows.iter().enumerate() {
            let mut complete = true;
            for (side, pieces) in flow.sides.iter().enumerate() {
                let end = check_stream(side, lens[side], pieces, &holes[side])
                    .map_err(|wrong| format!("flow {which}, side {side}: {wrong}"))?;
                complete &= end == lens[side];
            }
            whole += usize::from(complete);
        }
        match (whole, handler.flows.len()) {
            (1, 1) | (1 | 2, 2) => Ok(()),
            (whole, flows) => Err(format!("{flows} flows, {whole} of them whole")),
        }
    }

    /// The positions of a stream that one of the copies does not have, by side.
    fn holes(&self) -> [Vec<std::ops::Range<usize>>; 2] {
        let mut holes = [Vec::new(), Vec::new()];
        for (host, _, len, place, far) in self.wire() {
            if self.lost == Some((place.index, far)) {
                let at = place.at[host as usize];
                holes[host as usize].push(at..at + len);
            }
        }
        holes
    }

    /// The packets in the order of the capture: sender, flags, length, position, and `true` for the
    /// copy on the server's side.
    fn wire(&self) -> Vec<(Host, &'static str, usize, Place, bool)> {
        let packets = &PACKETS[..self.packets()];
        let mut places = Vec::new();
        let mut place = Place { index: 0, at: [0; 2], number: [0; 2] };
        for (index, (host, flags, len)) in packets.iter().enumerate() {
            place.index = index;
            places.push(place);
            let side = *host as usize;
            place.at[side] += len;
            place.number[side] += *len as u32 + u32::from(flags.contains('F'));
        }
        let mut wire = Vec::new();
        for at in 0..packets.len() + self.lag {
            for first in [true, false] {
                let index = if first { Some(at) } else { at.checked_sub(self.lag) };
                if let Some(index) = index.filter(|index| *index < packets.len()) {
                    let (host, flags, len) = packets[index];
                    let first_is_far = self.sender_first && host == Server;
                    wire.push((host, flags, len, places[index], first == first_is_far));
                }
            }
        }
        wire
    }
}

/// The position of a packet in both streams.
#[derive(Clone, Copy, Debug)]
struct Place {
    index: usize,
    at: [usize; 2],
    /// The same as a sequence number behind the SYN; a FIN counts.
    number: [u32; 2],
}

/// Compares a delivered stream with the true one. Returns its end.
fn check_stream(
    side: usize,
    len: usize,
    pieces: &[(u64, Piece)],
    holes: &[std::ops::Range<usize>],
) -> Result<usize, String> {
    let mut end = 0;
    for (offset, piece) in pieces {
        let from = *offset as usize;
        match piece {
            Piece::Data(bytes) => {
                end = from + bytes.len();
                if end > len || (from..).zip(bytes).any(|(at, seen)| byte(side, at) != *seen) {
                    return Err(format!("wrong bytes at {from}, {} of them", bytes.len()));
                }
            }
            Piece::Gap(gap) => {
                end = from + *gap as usize;
                if !(from..end).all(|at| holes.iter().any(|hole| hole.contains(&at))) {
                    return Err(format!("a gap of {gap} at {from}"));
                }
            }
        }
    }
    Ok(end)
}

impl Handler {
    fn flow(&mut self, flow: &Flow<'_, FiveTupleKey>) -> &mut Seen {
        let seen = self.flows.iter_mut().find(|seen| seen.id == Some(flow.id));
        seen.expect("an event of a flow that never started")
    }
}

impl FlowHandler<FiveTupleKey> for Handler {
    fn on_start(&mut self, flow: &Flow<'_, FiveTupleKey>) {
        self.flows.push(Seen { id: Some(flow.id), ..Seen::default() });
    }

    fn on_data(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        let seen = self.flow(flow);
        seen.told += data.bytes.len();
        seen.sides[side as usize].push((data.offset, Piece::Data(data.bytes.to_vec())));
    }

    fn on_gap(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, gap: Gap) {
        self.flow(flow).sides[side as usize].push((gap.offset, Piece::Gap(gap.len)));
    }

    fn on_late(&mut self, flow: &Flow<'_, FiveTupleKey>, _: FlowSide, data: Data<'_>) {
        self.flow(flow).told += data.bytes.len();
    }

    fn on_repeat(&mut self, flow: &Flow<'_, FiveTupleKey>, _: FlowSide, data: Data<'_>) {
        self.flow(flow).told += data.bytes.len();
    }

    fn on_conflict(&mut self, flow: &Flow<'_, FiveTupleKey>, _: FlowSide, conflict: Conflict<'_>) {
        self.flow(flow).told += conflict.discarded.len();
    }

    fn on_unplaced(&mut self, flow: &Flow<'_, FiveTupleKey>, _: FlowSide, unplaced: Unplaced<'_>) {
        self.flow(flow).told += unplaced.bytes.len();
    }

    fn on_end(&mut self, _: &Flow<'_, FiveTupleKey>, _: &FlowRecord<FiveTupleKey>) {}
}
