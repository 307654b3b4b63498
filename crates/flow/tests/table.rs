//! Keys, scopes and fragments in the table.

use std::net::IpAddr;

use flow::{
    Data, Datagram, DefragmentOptions, EndReason, FiveTuple, Flow, FlowExtractor, FlowHandler,
    FlowRecord, FlowSide, FlowTable, FragmentOverlap, Headers, IpPair, LinkType, MacAddress,
    MacPair, Orientation, OverlapPolicy, Packet, Timestamp,
};
use flow_testkit::{frame, gallery};

use frame::Frame;

/// All events, as text.
#[derive(Default)]
struct Seen {
    flows: Vec<String>,
    datagrams: Vec<(FlowSide, Vec<u8>)>,
    bytes: Vec<(FlowSide, Vec<u8>)>,
    ends: Vec<(EndReason, u64, u64)>,
}

impl<K: std::fmt::Debug> FlowHandler<K> for Seen {
    fn on_start(&mut self, flow: &Flow<'_, K>) {
        self.flows.push(format!("{:?}", flow.key));
    }

    fn on_data(&mut self, _: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        self.bytes.push((side, data.bytes.to_vec()));
    }

    fn on_datagram(&mut self, _: &Flow<'_, K>, side: FlowSide, datagram: Datagram<'_>) {
        self.datagrams.push((side, datagram.bytes.to_vec()));
    }

    fn on_end(&mut self, _: &Flow<'_, K>, record: &FlowRecord<K>) {
        let (ours, theirs) = (record.initiator.packets, record.responder.packets);
        self.ends.push((record.reason, ours, theirs));
    }
}

/// Feeds frames, a millisecond apart.
fn feed<E: FlowExtractor>(table: &mut FlowTable<E>, frames: &[(LinkType, Vec<u8>)]) -> Seen {
    let mut seen = Seen::default();
    let packets = frames.iter().enumerate().map(|(at, (link_type, frame))| {
        Packet::new(frame, Timestamp::from_nanos((at as u64 + 1) * 1_000_000), *link_type)
    });
    table.process(packets, &mut seen);
    seen
}

fn ethernet(frames: impl IntoIterator<Item = Frame>) -> Vec<(LinkType, Vec<u8>)> {
    frames.into_iter().map(|frame| (LinkType::ETHERNET, frame.0)).collect()
}

/// A segment from 10.0.0.1 to 10.0.0.2, or in the opposite direction.
fn segment(back: bool, ports: [u16; 2], flags: u8, payload: &[u8]) -> Frame {
    let mut frame = Frame::new(payload).tcp(&[], flags);
    frame.0[..2].copy_from_slice(&ports[0].to_be_bytes());
    frame.0[2..4].copy_from_slice(&ports[1].to_be_bytes());
    let mut frame = frame.ipv4(6);
    if back {
        (frame.0[15], frame.0[19]) = (2, 1);
    }
    let mut frame = frame.ethernet(0x0800);
    if back {
        (frame.0[5], frame.0[11]) = (frame.0[11], frame.0[5]);
    }
    frame
}

/// Two connections and a datagram between the same two hosts, and the end of a connection.
fn between_two_hosts() -> Vec<(LinkType, Vec<u8>)> {
    let udp = Frame::new(b"query").udp(5000, 53).ipv4(17).ethernet(0x0800);
    ethernet([
        segment(false, [1000, 80], 0x02, b""),
        segment(true, [80, 1000], 0x12, b""),
        segment(false, [1000, 80], 0x18, b"first"),
        segment(false, [2000, 80], 0x18, b"second"),
        udp,
        segment(true, [80, 2000], 0x18, b"reply"),
        segment(true, [80, 1000], 0x04, b""),
        segment(false, [1000, 80], 0x11, b""),
    ])
}

#[test]
fn an_ip_pair_is_one_flow_whatever_it_carries() {
    let mut table = FlowTable::builder(IpPair::bidirectional()).build();
    let mut seen = feed(&mut table, &between_two_hosts());
    assert_eq!(seen.flows.len(), 1);
    assert!(seen.flows[0].contains("10.0.0.1"), "{}", seen.flows[0]);
    assert!(seen.bytes.is_empty(), "nothing is put together");
    let texts: Vec<_> = seen.datagrams.iter().map(|(_, bytes)| &bytes[..]).collect();
    assert_eq!(texts, [b"", b"", &b"first"[..], b"second", b"query", b"reply", b"", b""]);
    assert_eq!(seen.datagrams[5].0, FlowSide::Responder);
    table.finish(&mut seen);
    assert_eq!(seen.ends, [(EndReason::CaptureEnded, 5, 3)]);
}

#[test]
fn a_mac_pair_is_one_flow_whatever_it_carries() {
    let mut table = FlowTable::builder(MacPair::bidirectional()).build();
    let mut frames = between_two_hosts();
    // Another IP address of the same station.
    let mut routed = segment(false, [1000, 80], 0x18, b"routed");
    routed.0[29] = 77;
    frames.push((LinkType::ETHERNET, routed.0));
    // No Ethernet header, no key.
    frames.push((LinkType::RAW, Frame::new(b"x").udp(1, 2).ipv4(17).0));
    let mut seen = feed(&mut table, &frames);
    assert_eq!(seen.flows.len(), 1);
    assert_eq!(table.statistics().unparsed, 1);
    table.finish(&mut seen);
    assert_eq!(seen.ends, [(EndReason::CaptureEnded, 6, 3)]);
    assert_eq!(MacAddress([2, 0, 0, 0, 0, 0x1f]).to_string(), "02:00:00:00:00:1f");
}

/// A joined datagram has no link-layer header, but the key needs one.
#[test]
fn joined_fragments_keep_their_mac_addresses() {
    let udp = Frame::new(&[7; 24]).udp(1, 2).0;
    let frames = ethernet([
        Frame::new(&udp[..16]).ipv4_with(17, &[], 9, 0x2000).ethernet(0x0800),
        Frame::new(&udp[16..]).ipv4_with(17, &[], 9, 2).ethernet(0x0800),
    ]);
    let mut table = FlowTable::builder(MacPair::bidirectional()).build();
    let seen = feed(&mut table, &frames);
    assert_eq!(seen.datagrams, [(FlowSide::Initiator, vec![7; 24])]);
    assert_eq!(table.statistics().unparsed, 0);
}

/// All traffic of a service. Other traffic has no key.
struct Service(u16);

impl FlowExtractor for Service {
    type Key = IpAddr;

    fn extract(&self, _: &Packet<'_>, headers: &Headers) -> Option<(IpAddr, Orientation)> {
        if headers.destination_port == self.0 {
            Some((headers.destination, Orientation::Forward))
        } else if headers.source_port == self.0 {
            Some((headers.source, Orientation::Reverse))
        } else {
            None
        }
    }

    fn is_connection(&self) -> bool {
        false
    }
}

#[test]
fn a_key_of_ones_own() {
    let mut table = FlowTable::builder(Service(80)).build();
    let mut seen = feed(&mut table, &between_two_hosts());
    assert_eq!(seen.flows, ["10.0.0.2"]);
    assert_eq!(table.statistics().unparsed, 1);
    table.finish(&mut seen);
    assert_eq!(seen.ends, [(EndReason::CaptureEnded, 4, 3)]);
}

/// A key that omits the protocol although it claims to cover one connection. Nothing may mix.
struct Careless;

impl FlowExtractor for Careless {
    type Key = u8;

    fn extract(&self, _: &Packet<'_>, headers: &Headers) -> Option<(u8, Orientation)> {
        let forward = headers.source < headers.destination;
        Some((0, if forward { Orientation::Forward } else { Orientation::Reverse }))
    }
}

#[test]
fn protocols_that_share_a_key_do_no_harm() {
    let udp = || Frame::new(b"datagram").udp(5000, 53).ipv4(17).ethernet(0x0800);
    let stream = || segment(false, [1000, 80], 0x18, b"stream");
    for frames in [[udp(), stream(), udp(), stream()], [stream(), udp(), stream(), udp()]] {
        let mut table = FlowTable::builder(Careless).build();
        let mut seen = feed(&mut table, &ethernet(frames));
        assert_eq!(seen.flows.len(), 1);
        table.finish(&mut seen);
        assert_eq!((seen.ends.len(), seen.ends[0].1), (1, 4));
    }
}

#[test]
fn the_same_addresses_in_two_tunnels_are_two_flows_unless_asked_otherwise() {
    let bare = |frame: Frame| (LinkType::RAW, frame.0);
    let tcp = || Frame::new(b"hello").tcp(&[], 0x18);
    for exhibit in gallery::gallery() {
        let frames = [
            bare(tcp().ipv4(6)),
            bare(tcp().ipv6(6)),
            (LinkType(exhibit.link_type), exhibit.frame.0.clone()),
        ];
        let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
        feed(&mut table, &frames);
        assert_eq!(table.len(), 2 + usize::from(exhibit.scoped), "{}", exhibit.name);
        let mut table = FlowTable::builder(FiveTuple::bidirectional().ignoring_scope()).build();
        feed(&mut table, &frames);
        assert_eq!(table.len(), 2, "{}", exhibit.name);
    }
}

#[test]
fn vlans_are_kept_apart_and_their_directions_together() {
    let tagged = |vlan: u8, back: bool| {
        let ports = if back { [80, 1000] } else { [1000, 80] };
        let mut frame = segment(back, ports, 0x10, b"");
        frame.0.splice(12..12, [0x81, 0, 0, vlan]);
        frame
    };
    let frames = ethernet([tagged(5, false), tagged(6, false), tagged(5, true), tagged(6, true)]);
    let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
    let mut seen = feed(&mut table, &frames);
    assert_eq!(seen.flows.len(), 2);
    table.finish(&mut seen);
    assert_eq!(seen.ends, [(EndReason::CaptureEnded, 1, 1); 2]);
}

#[test]
fn nesting_is_bounded() {
    let nest = |depth: usize| {
        (0..depth).fold(Frame::new(b"deep").udp(1, 2).ipv4(17), |frame, _| frame.ipv4(4))
    };
    let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
    let frames: Vec<_> = [10, 40, 3000].map(|depth| (LinkType::RAW, nest(depth).0)).into();
    let seen = feed(&mut table, &frames);
    assert_eq!(seen.datagrams.len(), 1);
    assert_eq!(table.statistics().unparsed, 2);
}

/// A stream with every segment fragmented, in IPv4 and IPv6, in any order and within a tunnel.
#[test]
fn overlapping_fragments_are_resolved_as_their_receiver_does() {
    // The length is that of the whole datagram.
    let mut first = Frame::new(b"AAAAAAAA").udp(1, 2).0;
    first[5] = 24;
    let frames = [
        (LinkType::RAW, Frame::new(&first).ipv4_with(17, &[], 7, 1 << 13).0),
        (LinkType::RAW, Frame::new(b"BBBBBBBBBBBBBBBB").ipv4_with(17, &[], 7, 1).0),
    ];
    let bytes = |networks: &[(&str, OverlapPolicy)]| {
        let mut builder = FlowTable::builder(FiveTuple::bidirectional());
        for (network, policy) in networks {
            builder = builder.overlap_policy_for(network.parse().unwrap(), *policy);
        }
        let mut table = builder.build();
        let seen = feed(&mut table, &frames);
        String::from_utf8(seen.datagrams[0].1.clone()).unwrap()
    };
    let (first, last) = ("AAAAAAAABBBBBBBB", "BBBBBBBBBBBBBBBB");
    assert_eq!(bytes(&[]), first);
    assert_eq!(bytes(&[("10.0.0.2", OverlapPolicy::Last)]), last);
    // That is the sender.
    assert_eq!(bytes(&[("10.0.0.1", OverlapPolicy::Last)]), first);
    let nested = [("10.0.0.0/8", OverlapPolicy::Last), ("10.0.0.0/24", OverlapPolicy::First)];
    assert_eq!(bytes(&nested), first);
}

#[test]
fn fragments_are_joined_before_they_are_keyed() {
    for (six, tunnelled) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut frames = Vec::new();
        for (number, text) in ["a segment of ", "a stream"].into_iter().enumerate() {
            let mut tcp = Frame::new(text.as_bytes()).tcp(&[], 0x18).0;
            let sequence = 1000 + 13 * number as u32;
            tcp[4..8].copy_from_slice(&sequence.to_be_bytes());
            let mut pieces: Vec<Frame> = tcp
                .chunks(8)
                .enumerate()
                .map(|(at, piece)| {
                    let more = at * 8 + piece.len() < tcp.len();
                    if six {
                        let word = (at * 8) as u8 | u8::from(more);
                        let fragment = [6, 0, 0, word, 0, 0, 0, number as u8];
                        Frame::new(piece).within(&fragment).ipv6(44)
                    } else {
                        let word = at as u16 | u16::from(more) << 13;
                        Frame::new(piece).ipv4_with(6, &[], number as u16, word)
                    }
                })
                .collect();
            pieces.reverse();
            frames.extend(pieces.into_iter().map(|frame| {
                let frame = if tunnelled { frame.ipv4(if six { 41 } else { 4 }) } else { frame };
                (LinkType::RAW, frame.0)
            }));
        }
        let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
        let mut seen = feed(&mut table, &frames);
        table.finish(&mut seen);
        let text: Vec<u8> = seen.bytes.into_iter().flat_map(|(_, bytes)| bytes).collect();
        assert_eq!(String::from_utf8_lossy(&text), "a segment of a stream");
        assert_eq!((seen.flows.len(), table.defragmentation().datagrams), (1, 2));
    }
}

#[test]
fn whose_fragments_count_and_how_many_wait_is_up_to_the_builder() {
    let udp = Frame::new(&[1; 16]).udp(1, 2).0;
    let mut other = udp.clone();
    other[8..16].fill(9);
    let frames = ethernet([
        Frame::new(&udp[..16]).ipv4_with(17, &[], 9, 0x2000).ethernet(0x0800),
        Frame::new(&other[8..16]).ipv4_with(17, &[], 9, 0x2001).ethernet(0x0800),
        Frame::new(&udp[16..]).ipv4_with(17, &[], 9, 2).ethernet(0x0800),
    ]);
    for (overlap, expected) in [(FragmentOverlap::First, 1), (FragmentOverlap::Last, 9)] {
        let mut options = DefragmentOptions::default();
        options.overlap = overlap;
        let mut table = FlowTable::builder(FiveTuple::bidirectional()).fragments(options).build();
        let seen = feed(&mut table, &frames);
        let expected = [[expected; 8], [1; 8]].concat();
        assert_eq!(seen.datagrams, [(FlowSide::Initiator, expected)]);
    }
    let mut options = DefragmentOptions::default();
    options.max_datagrams = 3;
    let mut table = FlowTable::builder(FiveTuple::bidirectional()).fragments(options).build();
    let first = |id| Frame::new(&[1; 16]).ipv4_with(17, &[], id, 0x2000).ethernet(0x0800);
    feed(&mut table, &ethernet((0..10).map(first)));
    assert_eq!(table.defragmentation().evicted, 7);
}

/// Nested fragments: of the tunnel, and within it.
#[test]
fn fragments_within_fragments_are_joined() {
    let udp = Frame::new(&[7; 40]).udp(1, 2).0;
    let inner: Vec<Frame> = [(&udp[..24], 0x2000), (&udp[24..], 3)]
        .map(|(piece, word)| Frame::new(piece).ipv4_with(17, &[], 9, word))
        .into();
    let mut frames = Vec::new();
    for (id, frame) in inner.into_iter().enumerate() {
        let (first, second) = frame.0.split_at(24);
        for (piece, word) in [(first, 0x2000), (second, 3)] {
            let outer = Frame::new(piece).ipv4_with(4, &[], id as u16, word);
            frames.push((LinkType::RAW, outer.0));
        }
    }
    let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
    let seen = feed(&mut table, &frames);
    assert_eq!(seen.datagrams, [(FlowSide::Initiator, vec![7; 40])]);
}
