//! The same addresses and ports in different VLANs and tunnels: two connections, or the two
//! directions of one.

use flow::{
    Data, FirstPacket, FiveTuple, FiveTupleKey, Flow, FlowHandler, FlowId, FlowRecord, FlowSide,
    FlowTable, Gap, LinkType, Packet, TableStatistics, Timestamp,
};
use flow_testkit::{frame, segments};

use self::Around::{Erspan, Gre, Mirror, Nothing, Qinq, Six, Vlan, Vxlan};
use self::frame::Frame;
use self::segments::{Client, Host, Server, segment};

/// The encapsulation of a captured segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Around {
    Nothing,
    Vlan(u8),
    Qinq(u8, u8),
    Vxlan(u8),
    Erspan(u8),
    Gre(u8),
    /// Mirrored by the switch whose address ends with this byte, in session 1.
    Mirror(u8),
    /// In IPv6.
    Six,
}

impl Around {
    fn frame(self, packet: Vec<u8>) -> Frame {
        let inner = Frame(packet);
        match self {
            Nothing => inner.ethernet(0x0800),
            Vlan(id) => inner.within(&[0, id, 8, 0]).ethernet(0x8100),
            Qinq(outer, id) => inner.within(&[0, outer, 0x81, 0, 0, id, 8, 0]).ethernet(0x88a8),
            Vxlan(network) => {
                let frame = inner.ethernet(0x0800).within(&[8, 0, 0, 0, 0, 0, network, 0]);
                frame.udp(50_000, 4789).ipv4(17).ethernet(0x0800)
            }
            Erspan(session) => {
                // GRE with a sequence number, then a header of type II.
                let header = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, session, 0, 0, 0, 0];
                inner.ethernet(0x0800).within(&header).ipv4(47).ethernet(0x0800)
            }
            Gre(key) => inner.within(&[0x20, 0, 8, 0, 0, 0, 0, key]).ipv4(47).ethernet(0x0800),
            Mirror(switch) => {
                let mut frame = Erspan(1).frame(inner.0);
                frame.0[14 + 15] = switch;
                frame
            }
            Six => inner.ipv6(4).ethernet(0x86dd),
        }
    }
}

/// A segment: encapsulation, sender, sequence and acknowledgement number, control bits, payload.
type Step = (Around, Host, u32, u32, &'static str, &'static str);

/// A complete conversation with its directions in these scopes: handshake, a request, a response,
/// FINs. The client begins at 1000, the server at 5000.
fn conversation(client: Around, server: Around) -> Vec<Step> {
    numbered((client, 1000, "question"), (server, 5000, "the answer"))
}

fn numbered(
    (there, c, question): (Around, u32, &'static str),
    (back, s, answer): (Around, u32, &'static str),
) -> Vec<Step> {
    let (asked, answered) = (c + 1 + question.len() as u32, s + 1 + answer.len() as u32);
    vec![
        (there, Client, c, 0, "S", ""),
        (back, Server, s, c + 1, "SA", ""),
        (there, Client, c + 1, s + 1, "A", ""),
        (there, Client, c + 1, s + 1, "PA", question),
        (back, Server, s + 1, asked, "PA", answer),
        (there, Client, asked, answered, "A", ""),
        (there, Client, asked, answered, "FA", ""),
        (back, Server, answered, asked + 1, "FA", ""),
        (there, Client, asked + 1, answered + 1, "A", ""),
    ]
}

fn of(host: Host, steps: &[Step]) -> Vec<Step> {
    steps.iter().filter(|step| step.1 == host).copied().collect()
}

/// Two lists, alternately.
fn interleaved(one: &[Step], other: &[Step]) -> Vec<Step> {
    one.iter().zip(other).flat_map(|(a, b)| [*a, *b]).collect()
}

#[derive(Default)]
struct Seen {
    flows: Vec<(FlowId, String, [String; 2])>,
    missing: u64,
    records: Vec<FlowRecord<FiveTupleKey>>,
    refuse: bool,
    asked: usize,
}

type Key = FiveTupleKey;

impl FlowHandler<Key> for Seen {
    fn admits(&mut self, _: &Flow<'_, Key>, _: &FirstPacket<'_>) -> bool {
        self.asked += 1;
        !self.refuse
    }
    fn on_start(&mut self, flow: &Flow<'_, Key>) {
        self.flows.push((flow.id, flow.key.scope.to_string(), Default::default()));
    }
    fn on_data(&mut self, flow: &Flow<'_, Key>, side: FlowSide, data: Data<'_>) {
        let (.., streams) = self.flows.iter_mut().find(|(id, ..)| *id == flow.id).unwrap();
        streams[side as usize].push_str(std::str::from_utf8(data.bytes).unwrap());
    }
    fn on_gap(&mut self, _: &Flow<'_, Key>, _: FlowSide, gap: Gap) {
        self.missing += gap.len;
    }
    fn on_end(&mut self, _: &Flow<'_, Key>, record: &FlowRecord<Key>) {
        self.records.push(record.clone());
    }
}

impl Seen {
    /// The scope and the streams of each flow, in the order of their beginnings.
    fn flows(&self) -> Vec<(&str, &str, &str)> {
        self.flows.iter().map(|(_, scope, [a, b])| (scope.as_str(), &a[..], &b[..])).collect()
    }
}

fn captured_with(key: FiveTuple, steps: &[Step], mut seen: Seen) -> (Seen, TableStatistics) {
    let mut table = FlowTable::builder(key).idle_expiry(false).build();
    let frames: Vec<Frame> = steps
        .iter()
        .map(|(around, host, sequence, acknowledgement, flags, payload)| {
            let payload = payload.as_bytes();
            around.frame(segment(*host, *sequence, *acknowledgement, flags, 60_000, payload))
        })
        .collect();
    let packets = frames.iter().zip(1_u64..).map(|(frame, number)| {
        Packet::new(&frame.0, Timestamp::from_nanos(number * 1_000_000), LinkType::ETHERNET)
    });
    table.process(packets, &mut seen);
    table.finish(&mut seen);
    (seen, table.statistics())
}

fn captured(steps: &[Step]) -> Seen {
    captured_with(FiveTuple::bidirectional(), steps, Seen::default()).0
}

const PAIRS: [(Around, Around); 13] = [
    (Mirror(7), Mirror(8)),
    (Vlan(5), Nothing),
    (Nothing, Vlan(5)),
    (Vlan(5), Vlan(6)),
    (Qinq(5, 6), Vlan(6)),
    (Qinq(5, 6), Qinq(6, 5)),
    (Vxlan(42), Vxlan(43)),
    (Erspan(7), Erspan(8)),
    (Gre(1), Gre(2)),
    (Gre(1), Nothing),
    (Six, Nothing),
    (Nothing, Vxlan(1)),
    (Vlan(9), Erspan(1)),
];

#[test]
fn directions_in_different_scopes_are_one_conversation() {
    for (there, back) in PAIRS {
        let seen = captured(&conversation(there, back));
        assert_eq!(seen.missing, 0, "{there:?} {back:?}");
        let [(_, client, server)] = seen.flows()[..] else {
            panic!("{there:?} {back:?}: {:?}", seen.flows())
        };
        assert_eq!((client, server), ("question", "the answer"));
        let record = &seen.records[0];
        assert_eq!(record.reason, flow::EndReason::Fin);
        assert_eq!(record.history, "ShADdFf");
        assert!(record.handshake_rtt.is_some());
        let (side, key) = record.joined.unwrap();
        assert_eq!(side, FlowSide::Responder);
        assert_ne!(key.scope, record.key.scope);
        assert_eq!(record.initiator.first_sequence, Some(1001));
        assert_eq!(record.responder.first_sequence, Some(5001));
    }
}

/// Captures of one direction each, concatenated in both orders.
#[test]
fn the_direction_that_comes_second_joins_the_first() {
    for (there, back) in PAIRS {
        let whole = conversation(there, back);
        let (client, server) = (of(Client, &whole), of(Server, &whole));
        for (order, steps) in [[client.clone(), server.clone()].concat(), [server, client].concat()]
            .iter()
            .enumerate()
        {
            let seen = captured(steps);
            assert_eq!(seen.flows().len(), 1, "{there:?} {back:?} {order}");
            assert_eq!(seen.flows()[0].2, "the answer", "{there:?} {back:?} {order}");
            assert_eq!(seen.records[0].responder.packets, 3);
            assert_eq!(seen.records[0].initiator.packets, 6);
        }
        let seen = captured(&[of(Client, &whole), of(Server, &whole)].concat());
        assert_eq!(seen.flows()[0].1, "question");
    }
}

/// The capture may begin with any packet.
#[test]
fn conversations_are_joined_without_their_handshake() {
    for (there, back) in PAIRS {
        let whole = conversation(there, back);
        for first in 1..4 {
            let seen = captured(&whole[first..]);
            let what = format!("{there:?} {back:?} from {first}: {:?}", seen.flows());
            assert_eq!(seen.flows().len(), 1, "{what}");
            assert_eq!(seen.flows()[0].1, "question", "{what}");
            assert_eq!(seen.flows()[0].2, "the answer", "{what}");
            assert_eq!(seen.missing, 0, "{what}");
        }
    }
}

/// A transfer of which only the middle was captured. Acknowledgements lag behind.
#[test]
fn a_transfer_is_joined_midway() {
    let piece = "0123456789";
    let mut steps = Vec::new();
    for number in 0..8_u32 {
        steps.push((Vlan(6), Server, 9000 + 10 * number, 777, "A", piece));
        if number % 2 == 1 {
            steps.push((Vlan(5), Client, 777, 9000 + 10 * (number - 1), "A", ""));
        }
    }
    for start in 0..4 {
        let seen = captured(&steps[start..]);
        assert_eq!(seen.flows().len(), 1, "from {start}");
        assert_eq!(seen.missing, 0, "from {start}");
    }
}

#[test]
fn two_conversations_in_two_scopes_are_two() {
    for (one, other) in PAIRS {
        for numbers in [(700_000, 900_000), (1001, 5001), (1000, 5000)] {
            let a = numbered((one, 1000, "question"), (one, 5000, "the answer"));
            let b = numbered((other, numbers.0, "QUERY"), (other, numbers.1, "ANSWER"));
            for steps in [interleaved(&a, &b), [a.clone(), b.clone()].concat()] {
                let seen = captured(&steps);
                let both: Vec<_> = seen.flows().iter().map(|flow| (flow.1, flow.2)).collect();
                assert_eq!(both, [("question", "the answer"), ("QUERY", "ANSWER")], "{numbers:?}");
                assert_eq!(seen.missing, 0);
                assert!(seen.records.iter().all(|record| record.joined.is_none()));
            }
        }
    }
}

/// Both clients are in one VLAN, and the numbers are crossed.
#[test]
fn numbers_that_do_not_continue_are_no_reason_to_join() {
    let query = numbered((Vlan(5), 1000, "question"), (Vlan(5), 5000, "the answer"));
    let other = numbered((Vlan(6), 3_000_000_000, "QUERY"), (Vlan(6), 2_000_000_000, "ANSWER"));
    for (from, to) in [(Client, Server), (Server, Client)] {
        let steps = [of(from, &query), of(to, &other)].concat();
        let (seen, statistics) = captured_with(FiveTuple::bidirectional(), &steps, Seen::default());
        assert_eq!(seen.flows().len(), 2);
        assert_eq!(statistics.scopes_joined, 0);
        // The same without handshakes.
        let midway: Vec<Step> =
            steps.iter().filter(|step| !step.4.contains('S')).copied().collect();
        assert_eq!(captured(&midway).flows().len(), 2);
    }
}

#[test]
fn joins_can_be_turned_off_or_scopes_be_left_out() {
    let steps = conversation(Vlan(5), Vlan(6));
    let key = FiveTuple::bidirectional();
    let (seen, _) = captured_with(key.without_joins(), &steps, Seen::default());
    assert_eq!(seen.flows().len(), 2);
    let (seen, statistics) = captured_with(key.ignoring_scope(), &steps, Seen::default());
    assert_eq!(seen.flows(), [("", "question", "the answer")]);
    assert_eq!(statistics.scopes_joined, 0);
}

/// A mirror of both sides of a router: every packet in one VLAN, then in the other.
#[test]
fn both_sides_of_a_router_are_two_conversations() {
    let a = conversation(Vlan(5), Vlan(5));
    let b = conversation(Vlan(6), Vlan(6));
    let whole = [("question", "the answer"); 2];
    // The server's packets arrive in its VLAN first.
    let mut crossed = Vec::new();
    for (a, b) in a.iter().zip(&b) {
        crossed.extend(if a.1 == Client { [*a, *b] } else { [*b, *a] });
    }
    for steps in [interleaved(&a, &b), crossed.clone()] {
        let seen = captured(&steps);
        let both: Vec<_> = seen.flows().iter().map(|flow| (flow.1, flow.2)).collect();
        assert_eq!(both, whole);
    }
    // If either copy is lost, the other VLAN is complete, and nothing is mixed.
    for lost in 0..crossed.len() {
        let mut steps = crossed.clone();
        let (around, ..) = steps.remove(lost);
        let seen = captured(&steps);
        let flows = seen.flows();
        let other = if around == Vlan(5) { "vlan 6" } else { "vlan 5" };
        assert!(flows.contains(&(other, "question", "the answer")), "without {lost}: {flows:?}");
        for (_, client, server) in &flows {
            assert!("question".contains(client) && "the answer".contains(server), "{flows:?}");
        }
    }
}

/// Two connections with the same sequence numbers. The second one's SYN arrives after its answer.
#[test]
fn a_scope_with_both_directions_is_parted_again() {
    let a = numbered((Vlan(5), 0, "question"), (Vlan(5), 0, "the answer"));
    let b = numbered((Vlan(6), 0, "QUERY"), (Vlan(6), 0, "ANSWER"));
    let mut b_turned = b.clone();
    b_turned.swap(0, 1);
    // The SYN of the first, all of the second, the rest of the first.
    let steps = [&a[..1], &b_turned[..], &a[1..]].concat();
    let (seen, statistics) = captured_with(FiveTuple::bidirectional(), &steps, Seen::default());
    assert_eq!(seen.flows(), [("vlan 5", "question", "the answer"), ("vlan 6", "QUERY", "ANSWER")]);
    assert_eq!((statistics.scopes_joined, statistics.scopes_parted), (1, 1));
    // The right SYN-ACK arrives before the second SYN.
    let steps = [&a[..1], &b[1..2], &a[1..2], &b[..1], &b[2..], &a[2..]].concat();
    let seen = captured(&steps);
    assert_eq!(seen.flows(), [("vlan 5", "question", "the answer"), ("vlan 6", "QUERY", "ANSWER")]);
}

/// Three connections begin alike, so the answer could belong to any of them.
#[test]
fn an_ambiguous_answer_joins_none() {
    let steps = [
        (Vlan(5), Client, 0, 0, "S", ""),
        (Vlan(6), Client, 0, 0, "S", ""),
        (Vlan(7), Server, 0, 1, "SA", ""),
        (Vlan(7), Server, 1, 1, "PA", "hello"),
    ];
    let seen = captured(&steps);
    assert_eq!(seen.flows(), [("vlan 5", "", ""), ("vlan 6", "", ""), ("vlan 7", "", "hello")]);
}

#[test]
fn the_next_connection_is_joined_again_or_not_as_it_comes() {
    let first = conversation(Vlan(5), Vlan(6));
    let again = numbered((Vlan(5), 80_000_000, "more"), (Vlan(6), 90_000_000, "of it"));
    let apart = numbered((Vlan(6), 70_000_000, "other"), (Vlan(6), 60_000_000, "thing"));
    let own = numbered((Vlan(5), 50_000_000, "own"), (Vlan(5), 40_000_000, "scope"));
    let seen = captured(&[first, again, apart, own].concat());
    assert_eq!(
        seen.flows(),
        [
            ("vlan 5", "question", "the answer"),
            ("vlan 5", "more", "of it"),
            ("vlan 6", "other", "thing"),
            ("vlan 5", "own", "scope"),
        ]
    );
    assert_eq!(seen.missing, 0);
}

#[test]
fn a_refused_connection_is_not_offered_again_by_its_answer() {
    let refusing = || Seen { refuse: true, ..Seen::default() };
    let (seen, statistics) =
        captured_with(FiveTuple::bidirectional(), &conversation(Vlan(5), Vlan(6)), refusing());
    assert_eq!((seen.asked, statistics.flows_refused), (1, 1));
    // A reset is an answer too.
    let steps = [(Vlan(5), Client, 7, 0, "S", ""), (Vlan(6), Server, 0, 8, "RA", "")];
    let (seen, statistics) = captured_with(FiveTuple::bidirectional(), &steps, Seen::default());
    assert_eq!(seen.records[0].reason, flow::EndReason::Rst);
    assert_eq!(statistics.orphan_resets, 0);
}

/// Some packets of a direction take a tunnel, the others bypass it.
#[test]
fn a_direction_that_takes_two_ways_is_one() {
    let letters = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut steps: Vec<Step> = Vec::new();
    for (at, letter) in letters.into_iter().enumerate() {
        let around = if at % 2 == 0 { Nothing } else { Gre(0) };
        steps.push((around, Client, 100 + at as u32, 500, "PA", letter));
    }
    steps.push((Gre(0), Server, 500, 108, "PA", "answer"));
    steps.push((Nothing, Server, 506, 108, "PA", "s"));
    let seen = captured(&steps);
    assert_eq!(seen.flows(), [("", "abcdefgh", "answers")]);
}

/// An attacker that opens the same connection in thousands of networks must not slow down lookups
/// or leave entries behind.
#[test]
fn many_scopes_with_one_tuple_are_bounded() {
    let mut table = FlowTable::builder(FiveTuple::bidirectional()).max_flows(1000).build();
    let mut seen = Seen::default();
    let frame = |network: u32, host, bits| {
        let numbers = if host == Client { (7, 0) } else { (9, 8) };
        let mut frame = Vxlan(0).frame(segment(host, numbers.0, numbers.1, bits, 60_000, b""));
        frame.0[46..49].copy_from_slice(&network.to_be_bytes()[1..]);
        frame.0
    };
    for network in 0..20_000_u32 {
        let (host, bits) = if network % 2 == 0 { (Client, "S") } else { (Server, "SA") };
        let bytes = frame(network, host, bits);
        let time = Timestamp::from_nanos(u64::from(network) * 1000);
        table.process([Packet::new(&bytes, time, LinkType::ETHERNET)], &mut seen);
    }
    table.finish(&mut seen);
    let statistics = table.statistics();
    assert_eq!(statistics.flows_started + statistics.scopes_joined, 20_000);
    // Everything was dropped, so further segments join none of it.
    let before = statistics.scopes_joined;
    let bytes = frame(1, Server, "SA");
    table.process([Packet::new(&bytes, Timestamp::from_nanos(0), LinkType::ETHERNET)], &mut seen);
    assert_eq!(table.statistics().scopes_joined, before);
    assert_eq!(table.len(), 1);
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

const TEXT: &str =
    "the quick brown fox jumps over the lazy dog and runs away with all of its friends";

/// A conversation of several exchanges.
fn exchanges(
    random: &mut Random,
    (there, back): (Around, Around),
    numbers: (u32, u32),
    text: &'static str,
) -> Vec<Step> {
    let (mut c, mut s) = (numbers.0.wrapping_add(1), numbers.1.wrapping_add(1));
    let mut steps = vec![
        (there, Client, numbers.0, 0, "S", ""),
        (back, Server, numbers.1, c, "SA", ""),
        (there, Client, c, s, "A", ""),
    ];
    for _ in 0..1 + random.below(4) {
        for _ in 0..1 + random.below(3) {
            let (start, len) = (random.below(40), 1 + random.below(40));
            let piece = &text[start..start + len];
            if random.below(2) == 0 {
                steps.push((there, Client, c, s, "PA", piece));
                c = c.wrapping_add(len as u32);
            } else {
                steps.push((back, Server, s, c, "PA", piece));
                s = s.wrapping_add(len as u32);
            }
        }
        steps.push((there, Client, c, s, "A", ""));
        steps.push((back, Server, s, c, "A", ""));
    }
    steps.push((there, Client, c, s, "FA", ""));
    steps.push((back, Server, s, c.wrapping_add(1), "FA", ""));
    steps.push((there, Client, c.wrapping_add(1), s.wrapping_add(1), "A", ""));
    steps
}

/// The capture loses, repeats and swaps some packets, except for the first ones.
fn disturbed(random: &mut Random, steps: Vec<Step>, protected: usize) -> Vec<Step> {
    let mut disturbed: Vec<Step> = Vec::new();
    for (at, step) in steps.into_iter().enumerate() {
        match random.below(12) {
            0 if at >= protected => continue,
            1 => disturbed.push(step),
            _ => {}
        }
        disturbed.push(step);
    }
    for at in protected + 1..disturbed.len() {
        if random.below(8) == 0 {
            disturbed.swap(at - 1, at);
        }
    }
    disturbed
}

/// Whatever the capture lost and wherever it begins, a connection in two scopes has the same result
/// as in one.
#[test]
fn a_joined_connection_is_as_good_as_any() {
    for seed in 1..2000 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let pair = PAIRS[random.below(PAIRS.len())];
        let numbers = (random.below(1 << 32) as u32, random.below(1 << 32) as u32);
        let steps = exchanges(&mut random, pair, numbers, TEXT);
        let first = random.below(5);
        // If the first packets of a midway capture are out of order, no number continues another.
        let steps = disturbed(&mut random, steps[first..].to_vec(), 2);
        let joined = captured(&steps);
        let key = FiveTuple::bidirectional().ignoring_scope();
        let (ignored, _) = captured_with(key, &steps, Seen::default());
        let streams = |seen: &Seen| -> Vec<_> {
            seen.flows.iter().map(|(.., streams)| streams.clone()).collect()
        };
        assert_eq!(streams(&joined), streams(&ignored), "{seed}: {pair:?} {steps:?}");
        assert_eq!(joined.missing, ignored.missing, "{seed}");
    }
}

/// Two connections in their own scopes do not mix, whatever the capture lost, even if their numbers
/// are close.
#[test]
fn two_connections_never_mix() {
    const OTHER: &str =
        "PACK~MY~BOX~WITH~FIVE~DOZEN~LIQUOR~JUGS~SAID~THE~WIZARD~TO~HIS~SIX~ELVES~IN~A~BOX";
    let of_other = |stream: &String| stream.contains(|c: char| c.is_ascii_uppercase() || c == '~');
    let of_one = |stream: &String| stream.contains(|c: char| c.is_ascii_lowercase() || c == '-');
    for seed in 1..2000 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let (one, other) = PAIRS[random.below(PAIRS.len())];
        let near = [0, 1, 100, 64_000, 1 << 31][random.below(5)];
        let a = exchanges(&mut random, (one, one), (1000, 5000), TEXT);
        let numbers = (1000 + near, 5000 + near);
        let b = exchanges(&mut random, (other, other), numbers, OTHER);
        // For two connections with the same numbers, only the SYN shows that there are two.
        let protected = usize::from(near == 0);
        let a = disturbed(&mut random, a, protected);
        let b = disturbed(&mut random, b, protected);
        let (mut left, mut right) = (&a[..], &b[..]);
        let mut both = Vec::new();
        while let ([x, left_rest @ ..], [y, right_rest @ ..]) = (left, right) {
            if random.below(2) == 0 {
                both.push(*x);
                left = left_rest;
            } else {
                both.push(*y);
                right = right_rest;
            }
        }
        both.extend([left, right].concat());
        for (.., streams) in captured(&both).flows {
            let mixed = streams.iter().any(of_one) && streams.iter().any(of_other);
            assert!(!mixed, "{seed}: {near} {both:?} {streams:?}");
        }
    }
}
