//! Handshakes and FINs that a third party sends into a connection that goes on.

use std::time::Duration;

use crate::lab::*;

/// The numbers of the connection, midway.
const CLIENT: u32 = 1_000_000_000;
const SERVER: u32 = 2_000_000_000;

/// A connection that was picked up midway.
struct Midway {
    lab: Lab,
    /// The next sequence number of each side.
    next: [u32; 2],
    sent: [String; 2],
    /// `false` if only the client's side is captured.
    two_way: bool,
    turn: u32,
}

impl Midway {
    fn new(two_way: bool) -> Self {
        let (next, sent) = ([CLIENT, SERVER], Default::default());
        Self { lab: Lab::new(), next, sent, two_way, turn: 0 }
    }

    /// Sends a request and its response.
    fn go_on(&mut self, turns: u32) {
        for _ in 0..turns {
            for (from, text) in [(Client, "request"), (Server, "response ")] {
                let (own, peer) = if from == Client { (0, 1) } else { (1, 0) };
                let text = format!("{text}{:02}", self.turn);
                if from == Client || self.two_way {
                    self.lab.send(from, self.next[own], self.next[peer], "PA", &text);
                    self.sent[own].push_str(&text);
                }
                self.next[own] += text.len() as u32;
            }
            self.turn += 1;
        }
    }

    /// Checks that there is one flow, with all that both sides sent, and that the forged bytes were
    /// reported.
    fn assert_whole(mut self, forged: usize, which: &str) {
        self.lab.finish();
        let lab = &self.lab;
        assert_eq!(lab.seen.flows.len(), 1, "{which}");
        let mut told = 0;
        for (side, sent) in [Initiator, Responder].into_iter().zip(&self.sent) {
            let seen = lab.side(0, side);
            assert_eq!(String::from_utf8_lossy(&seen.bytes), *sent, "{which}");
            told += seen.unplaced.iter().map(|(_, bytes, _)| bytes.len()).sum::<usize>();
            told += seen.late.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
            told += seen.repeats.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
            told += seen.conflicts.iter().map(|(_, bytes, _)| bytes.len()).sum::<usize>();
        }
        assert_eq!(told, forged, "{which}");
    }
}

/// Distances of forged numbers from the next ones of the stream.
const DISTANCES: [i64; 14] = [
    0,
    1,
    -1,
    2,
    10,
    1_000,
    -1_000,
    100_000,
    -100_000,
    1 << 24,
    -(1 << 24),
    1 << 30,
    1 << 31,
    3 << 30,
];

#[test]
fn a_segment_forged_into_a_connection_picked_up_midway_hides_nothing() {
    // The forged segment may come while the first segments are held back.
    for ((before, pause), two_way) in [(1, 0), (2, 1), (4, 0), (4, 1)]
        .into_iter()
        .flat_map(|start| [true, false].map(|two_way| (start, two_way)))
    {
        for (from, flags, payload) in [Client, Server].into_iter().flat_map(|from| {
            [("S", ""), ("S", "forged"), ("SA", ""), ("SA", "forged"), ("FA", "")]
                .map(|(flags, payload)| (from, flags, payload))
        }) {
            if from == Server && !two_way {
                continue;
            }
            for distance in DISTANCES {
                for acknowledges in [0, 1_000, 500_000_000] {
                    for after in [0, 1, 3, 8] {
                        let mut midway = Midway::new(two_way);
                        midway.go_on(before);
                        midway.lab.wait(Duration::from_secs(pause));
                        let (own, peer) = if from == Client { (0, 1) } else { (1, 0) };
                        let sequence = midway.next[own].wrapping_add(distance as u32);
                        let acknowledged = midway.next[peer].wrapping_add(acknowledges);
                        midway.lab.send(from, sequence, acknowledged, flags, payload);
                        midway.go_on(after);
                        let which = format!(
                            "{before} {pause} {two_way} {from:?} {flags} {payload} {distance} \
                             {acknowledges} {after}"
                        );
                        midway.assert_whole(payload.len(), &which);
                    }
                }
            }
        }
    }
}

/// A SYN and its answer, both forged, each with numbers at some distance from the stream's.
#[test]
fn a_forged_syn_with_a_forged_answer_ends_no_connection_that_goes_on() {
    for (distance, answer) in DISTANCES.into_iter().flat_map(|distance| {
        DISTANCES
            .into_iter()
            .flat_map(move |other| ["SA", "RA"].map(|flags| (distance, (other, flags))))
    }) {
        for after in [1, 3, 8] {
            let mut midway = Midway::new(true);
            midway.go_on(4);
            midway.lab.wait(Duration::from_secs(1));
            let [client, server] = midway.next;
            let (client, server) =
                (client.wrapping_add(distance as u32), server.wrapping_add(answer.0 as u32));
            midway.lab.send(Client, client, 0, "S", "");
            midway.lab.send(Server, server, client.wrapping_add(1), answer.1, "");
            midway.go_on(after);
            midway.assert_whole(0, &format!("{distance} {answer:?} {after}"));
        }
    }
}

#[test]
fn a_forged_handshake_with_data_from_one_side_ends_no_connection_that_goes_on() {
    for distance in [90_000, 90_000_000, 900_000_000] {
        let mut lab = Lab::open();
        lab.client(0, "abc");
        lab.acknowledge(3);
        lab.send(Client, C + distance, 0, "S", "");
        lab.send(Server, S + distance, C + distance + 1, "SA", "");
        lab.client(3, "def");
        lab.send(Server, S + 1, C + 7, "A", "xyz");
        lab.client(6, "ghi");
        lab.finish();
        assert_eq!(lab.seen.flows.len(), 1);
        assert_eq!((lab.text(), &lab.side(0, Responder).text[..]), ("abcdefghi", "xyz"));
    }
}

/// The segments of another connection on the same addresses and ports, some of which are lost.
const NEXT: [(Host, u32, u32, &str, &str); 6] = [
    (Client, 0, 0, "S", ""),
    (Server, 0, 1, "SA", ""),
    (Client, 1, 1, "A", ""),
    (Client, 1, 1, "A", "second"),
    (Server, 1, 7, "A", "answer"),
    (Client, 7, 7, "A", "more"),
];

#[test]
fn the_third_segment_of_a_handshake_begins_another_connection_whichever_it_is() {
    // Numbers of the second connection; whether the first was picked up midway; segments lost.
    for ((client, server), midway) in [(90_000_000, 70_000_000), (90_000, 3_000_000_000)]
        .into_iter()
        .flat_map(|numbers| [true, false].map(|midway| (numbers, midway)))
    {
        for lost in [&[][..], &[2], &[2, 3], &[2, 4], &[2, 3, 5], &[4, 5]] {
            let mut lab = if midway { Lab::new() } else { Lab::open() };
            lab.client(0, "first");
            lab.acknowledge(5);
            lab.client(5, " one");
            for (at, (from, sequence, acknowledged, flags, text)) in NEXT.into_iter().enumerate() {
                let (own, peer) = if from == Client { (client, server) } else { (server, client) };
                let peer = if flags == "S" { 0 } else { peer + acknowledged };
                if !lost.contains(&at) {
                    lab.send(from, own + sequence, peer, flags, text);
                }
            }
            lab.finish();
            let which = format!("{client} {midway} {lost:?}");
            assert_eq!(lab.seen.flows.len(), 2, "{which}");
            assert_eq!(lab.text(), "first one", "{which}");
            let expected = |at: usize, text| if lost.contains(&at) { "" } else { text };
            let client = [expected(3, "second"), expected(5, "more")].concat();
            assert_eq!(lab.side(1, Initiator).bytes, client.as_bytes(), "{which}");
            assert_eq!(lab.side(1, Responder).bytes, expected(4, "answer").as_bytes(), "{which}");
        }
    }
}

#[test]
fn a_handshake_or_a_refusal_behind_which_nothing_comes_is_another_connection() {
    for flags in ["SA", "RA"] {
        let mut lab = Lab::open();
        lab.client(0, "first");
        lab.acknowledge(5);
        lab.send(Client, 90_000_000, 0, "S", "");
        lab.send(Server, 70_000_000, 90_000_001, flags, "");
        lab.finish();
        assert_eq!(lab.seen.flows.len(), 2);
        let record = lab.seen.flows[1].end.as_ref().unwrap();
        assert_eq!((record.initiator.packets, record.responder.packets), (1, 1));
    }
}

/// Only one direction is captured.
#[test]
fn another_connection_of_which_one_side_is_captured_begins_with_its_data() {
    for side in [Client, Server] {
        let mut lab = Lab::new();
        for (client, server) in [(C, S), (90_000_000, 70_000_000)] {
            for (from, sequence, acknowledged, flags, text) in NEXT {
                let (own, peer) = if from == Client { (client, server) } else { (server, client) };
                let peer = if flags == "S" { 0 } else { peer + acknowledged };
                if from == side {
                    lab.send(from, own + sequence, peer, flags, text);
                }
            }
        }
        lab.finish();
        assert_eq!(lab.seen.flows.len(), 2);
        for flow in [0, 1] {
            let expected = if side == Client { ["secondmore", ""] } else { ["", "answer"] };
            let bytes = [Initiator, Responder].map(|side| &lab.side(flow, side).bytes[..]);
            assert_eq!(bytes, expected.map(str::as_bytes));
        }
    }
}
