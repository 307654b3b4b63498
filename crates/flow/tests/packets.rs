//! The packets of flows, as handlers take them.

use std::collections::{BTreeMap, BTreeSet};

use flow::{
    FirstPacket, FiveTuple, FiveTupleKey, Flow, FlowHandler, FlowId, FlowPacket, FlowTable,
    LinkType, Packet, PacketMeta, Timestamp,
};
use flow_testkit::frame::Frame;

const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 0x10;
const FIN: u8 = 0x11;
const PSH: u8 = 0x18;

/// Notes the numbers of each flow's packets.
#[derive(Default)]
struct Packets {
    flows: Vec<FlowId>,
    /// By number: the flows of the packet, in order.
    of: BTreeMap<u64, Vec<usize>>,
    pending: BTreeSet<u64>,
    unclaimed: Vec<u64>,
    refuses: bool,
}

impl FlowHandler<FiveTupleKey> for Packets {
    fn admits(&mut self, _: &Flow<'_, FiveTupleKey>, _: &FirstPacket<'_>) -> bool {
        !self.refuses
    }

    fn on_start(&mut self, flow: &Flow<'_, FiveTupleKey>) {
        self.flows.push(flow.id);
    }

    fn wants_packets(&self) -> bool {
        true
    }

    fn on_packet(&mut self, flow: &Flow<'_, FiveTupleKey>, packet: FlowPacket<'_>) {
        let number = packet.number;
        if let Some(packet) = packet.packet {
            assert_eq!(packet.number(), number);
            assert!(!self.pending.contains(&number), "{number} is pending");
        } else {
            let known = self.pending.remove(&number) || self.of.contains_key(&number);
            assert!(known, "{number} was never pending");
        }
        let at = self.flows.iter().position(|id| *id == flow.id).expect("the flow has begun");
        self.of.entry(number).or_default().push(at);
    }

    fn on_packet_pending(&mut self, packet: &Packet<'_>) {
        assert!(self.pending.insert(packet.number()));
    }

    fn on_packet_unclaimed(&mut self, number: u64) {
        assert!(self.pending.remove(&number), "{number} was never pending");
        self.unclaimed.push(number);
    }
}

impl Packets {
    /// Processes IP packets, a millisecond apart and numbered from 1, in one call or in one each.
    fn take(frames: &[Vec<u8>], at_once: bool, refuses: bool) -> Self {
        let mut packets = Self { refuses, ..Self::default() };
        let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
        let all = (1..).zip(frames).map(|(number, frame)| {
            let time = Timestamp::from_nanos(1_000_000_000 + number * 1_000_000);
            Packet::with_meta(frame, PacketMeta::new(number, time, LinkType::RAW))
        });
        if at_once {
            table.process(all, &mut packets);
        } else {
            all.for_each(|packet| table.process([packet], &mut packets));
        }
        table.finish(&mut packets);
        assert!(packets.pending.is_empty(), "{:?} stay pending", packets.pending);
        packets
    }

    /// The flow of each packet; `None` for none, and for several.
    fn flows(frames: &[Vec<u8>]) -> Vec<Option<usize>> {
        let flows = [true, false].map(|at_once| {
            let packets = Self::take(frames, at_once, false);
            let of = |number| match packets.of.get(&number).map(Vec::as_slice) {
                Some(&[flow]) => Some(flow),
                _ => None,
            };
            (1..=frames.len() as u64).map(of).collect::<Vec<_>>()
        });
        assert_eq!(flows[0], flows[1]);
        flows[0].clone()
    }
}

/// A segment from 10.0.0.1, port 40000, to 10.0.0.2, port 80, or the other way.
fn segment(back: bool, sequence: u32, ack: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut tcp = Frame::new(payload).tcp(&[], flags).0;
    tcp[4..8].copy_from_slice(&sequence.to_be_bytes());
    tcp[8..12].copy_from_slice(&ack.to_be_bytes());
    if back {
        let [a, b, c, d] = [tcp[0], tcp[1], tcp[2], tcp[3]];
        tcp[..4].copy_from_slice(&[c, d, a, b]);
    }
    let mut frame = Frame(tcp).ipv4(6).0;
    if back {
        (frame[15], frame[19]) = (2, 1);
    }
    frame
}

/// A datagram in fragments of this many bytes.
fn fragments(datagram: &[u8], protocol: u8, id: u16, len: usize) -> Vec<Vec<u8>> {
    let pieces = datagram.chunks(len).enumerate();
    let word = |at: usize| (at * len / 8) as u16 | u16::from((at + 1) * len < datagram.len()) << 13;
    pieces.map(|(at, piece)| Frame::new(piece).ipv4_with(protocol, &[], id, word(at)).0).collect()
}

fn handshake(client: u32, server: u32) -> [Vec<u8>; 3] {
    [
        segment(false, client, 0, SYN, b""),
        segment(true, server, client + 1, SYN | ACK, b""),
        segment(false, client + 1, server + 1, ACK, b""),
    ]
}

#[test]
fn packets_that_bring_nothing_are_of_their_flow_and_icmp_errors_are_not() {
    let mut frames = handshake(99, 499).to_vec();
    let request = segment(false, 100, 500, PSH, b"request");
    let about = Frame::new(&[&[3, 3, 0, 0, 0, 0, 0, 0], &request[..28]].concat()).ipv4(1).0;
    frames.extend([
        request.clone(),
        request, // a retransmission
        segment(true, 500, 107, ACK, b""),
        segment(false, 106, 500, ACK, b"t"), // a keep-alive
        about,
        segment(true, 500, 107, PSH, b"answer"),
        segment(false, 107, 506, FIN, b""),
        segment(true, 506, 108, FIN, b""),
        segment(false, 108, 507, ACK, b""),
        segment(true, 506, 108, FIN, b""), // after the end
        segment(false, 108, 0, RST, b""),
    ]);
    let flows = Packets::flows(&frames);
    let expected = |at| if at == 7 { Some(1) } else { Some(0) };
    assert_eq!(flows, (0..frames.len()).map(expected).collect::<Vec<_>>());
}

#[test]
fn all_fragments_are_of_the_flow_of_their_datagram() {
    let one = fragments(&Frame::new(&[1; 40]).udp(5, 6).0, 17, 1, 16);
    let two = fragments(&Frame::new(&[2; 40]).udp(7, 8).0, 17, 2, 16);
    let whole = Frame::new(b"whole").udp(7, 8).ipv4(17).0;
    // Interleaved, the first fragments last, and a copy of one.
    let frames = [&one[2], &two[1], &whole, &two[2], &one[1], &one[1], &two[0], &one[0]];
    let flows = Packets::flows(&frames.map(Clone::clone));
    assert_eq!(flows, [1, 0, 0, 0, 1, 1, 0, 1].map(Some));
}

#[test]
fn fragments_without_the_rest_of_their_datagram_are_of_no_flow() {
    let parts = fragments(&Frame::new(&[1; 40]).udp(5, 6).0, 17, 1, 16);
    let mut frames = vec![parts[0].clone(), parts[1].clone()];
    let packets = Packets::take(&frames, true, false);
    assert_eq!((packets.of.len(), packets.unclaimed), (0, vec![1, 2]));
    // A late copy would be the beginning of another datagram.
    frames.extend([parts[2].clone(), parts[2].clone()]);
    assert_eq!(Packets::flows(&frames), [Some(0), Some(0), Some(0), None]);
}

#[test]
fn of_a_tunnel_the_outer_packets_are_the_flows() {
    let inner = segment(false, 100, 500, PSH, &[7; 100]);
    // Fragments of the outer packet, which carry fragments of the inner one.
    let parts = fragments(&inner[20..], 6, 3, 64);
    let mut frames: Vec<_> =
        (10..).zip(&parts).flat_map(|(id, part)| fragments(part, 4, id, 48)).collect();
    frames.push(Frame(inner).ipv4(4).0);
    assert_eq!(frames.len(), 5);
    assert_eq!(Packets::flows(&frames), vec![Some(0); 5]);
}

#[test]
fn the_handshake_that_reuses_ports_is_of_the_new_flow() {
    let mut frames = handshake(99, 499).to_vec();
    frames.push(segment(false, 100, 500, PSH, b"old"));
    frames.extend(handshake(5_000_000, 9_000_000));
    frames.push(segment(false, 5_000_001, 9_000_001, PSH, b"new"));
    let flows = Packets::flows(&frames);
    assert_eq!(flows, [0, 0, 0, 0, 1, 1, 1, 1].map(Some));
}

#[test]
fn a_syn_that_nothing_confirms_stays_with_its_flow() {
    let mut frames = handshake(99, 499).to_vec();
    frames.push(segment(false, 7_000_000, 0, SYN, b""));
    frames.push(segment(true, 500, 100, PSH, b"goes on"));
    frames.push(segment(false, 100, 507, PSH, b"as before"));
    assert_eq!(Packets::flows(&frames), vec![Some(0); 6]);
}

#[test]
fn packets_of_refused_flows_are_of_none() {
    let mut frames = handshake(99, 499).to_vec();
    frames.extend(fragments(&Frame::new(&[1; 40]).udp(5, 6).0, 17, 1, 16));
    let packets = Packets::take(&frames, true, true);
    assert_eq!((packets.of.len(), packets.unclaimed), (0, vec![4, 5, 6]));
}

/// A handler that takes no packets.
struct Plain(u64);

impl FlowHandler<FiveTupleKey> for Plain {
    fn on_start(&mut self, _: &Flow<'_, FiveTupleKey>) {
        self.0 += 1;
    }

    fn on_packet(&mut self, _: &Flow<'_, FiveTupleKey>, _: FlowPacket<'_>) {
        unreachable!("not wanted");
    }

    fn on_packet_pending(&mut self, _: &Packet<'_>) {
        unreachable!("not wanted");
    }

    fn on_packet_unclaimed(&mut self, _: u64) {
        unreachable!("not wanted");
    }
}

#[test]
fn a_handler_that_takes_no_packets_gets_none() {
    let mut frames = handshake(99, 499).to_vec();
    frames.push(segment(false, 7_000_000, 0, SYN, b""));
    frames.extend(fragments(&Frame::new(&[1; 40]).udp(5, 6).0, 17, 1, 16));
    frames.extend(fragments(&Frame::new(&[1; 40]).udp(5, 6).0, 17, 2, 16).into_iter().skip(1));
    for remembers in [false, true] {
        let mut table = FlowTable::builder(FiveTuple::bidirectional());
        if remembers {
            table = table.remember_delivered(1 << 10, 1 << 20);
        }
        let (mut table, mut plain) = (table.build(), Plain(0));
        let time = Timestamp::from_nanos(1_000_000_000);
        table.process(
            frames.iter().map(|frame| Packet::new(frame, time, LinkType::RAW)),
            &mut plain,
        );
        table.finish(&mut plain);
        assert_eq!(plain.0, 2);
    }
}
