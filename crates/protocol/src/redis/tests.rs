//! Commands and replies, whole and in pieces.

use proptest::prelude::*;

use super::*;
use crate::{Content, Lost, Message, Prefix, StreamParser as _, Timestamp};

fn run(turns: &[(Side, &[u8])], step: usize) -> (Vec<String>, Vec<Lost>) {
    let mut parser = Parser::new();
    let mut messages: Vec<Message> = Vec::new();
    let mut now = 0;
    for (side, bytes) in turns {
        now += 1;
        for piece in bytes.chunks(step) {
            let time = Timestamp::from_nanos(now);
            parser.data(*side, time, piece, &mut |message| messages.push(message));
            assert!(parser.memory() < 256 << 10);
        }
    }
    parser.end(&mut |message| messages.push(message));
    let (mut lines, mut lost) = (Vec::new(), Vec::new());
    for message in messages {
        match message.content {
            Content::Redis(command) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let key = command.key.as_deref().map_or("-".into(), text);
                let reply = command.reply.as_ref();
                let kind = reply.map_or("-", |reply| reply.kind.as_str());
                let line = reply.and_then(|reply| reply.text.as_deref()).map_or("-".into(), text);
                lines.push(format!(
                    "{} {key} {} {kind} {line}",
                    text(&command.name),
                    command.arguments
                ));
            }
            Content::Lost(place) => lost.push(place),
            _ => panic!("another message"),
        }
    }
    (lines, lost)
}

const ASKED: Side = Side::Initiator;
const ANSWERED: Side = Side::Responder;

#[test]
fn pipelined_commands_get_their_replies() {
    let turns: [(Side, &[u8]); 2] = [
        (
            ASKED,
            b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nx\r\n*y\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n\
              *2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*1\r\n$4\r\nKEYS\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n",
        ),
        (
            ANSWERED,
            b"+OK\r\n$5\r\n+\r\n*1\r\n-ERR no\r\n*2\r\n*2\r\n:1\r\n$2\r\nab\r\n*0\r\n$-1\r\n",
        ),
    ];
    for step in [1, 3, usize::MAX] {
        let (lines, lost) = run(&turns, step);
        assert_eq!(
            lines,
            [
                "SET a 2 status OK",
                "GET a 1 string -",
                "AUTH - 1 error ERR no",
                "KEYS - 0 array -",
                "GET b 1 null -",
            ]
        );
        assert!(lost.is_empty());
    }
}

#[test]
fn what_nobody_asked_for_is_not_a_reply() {
    let turns: [(Side, &[u8]); 3] = [
        (ASKED, b"*1\r\n$4\r\nPING\r\n"),
        (ANSWERED, b">2\r\n$10\r\ninvalidate\r\n*0\r\n+PONG\r\n"),
        (ASKED, b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n"),
    ];
    assert_eq!(run(&turns, 4).0, ["PING - 0 status PONG", "SUBSCRIBE c 1 - -"]);
}

#[test]
fn commands_are_found_again_behind_nonsense() {
    let turns: [(Side, &[u8]); 1] =
        [(ASKED, b"*1\r\n$4\r\nPING\r\nnonsense *x *1\r\n*1\r\n$4\r\nTIME\r\n")];
    for step in [1, 2, usize::MAX] {
        let (lines, lost) = run(&turns, step);
        assert_eq!(lines, ["PING - 0 - -", "TIME - 0 - -"]);
        assert_eq!((lost.len(), lost[0].offset), (1, 14));
    }
}

#[test]
fn a_gap_within_a_string_is_survived() {
    let mut parser = Parser::new();
    let mut messages: Vec<Message> = Vec::new();
    let time = Timestamp::from_nanos(1);
    let sink = &mut |message| messages.push(message);
    parser.data(ASKED, time, b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", sink);
    parser.data(ANSWERED, time, b"$1000\r\nabc", sink);
    parser.gap(ANSWERED, time, 990, sink);
    parser.data(ANSWERED, time, b"1234567\r\n", sink);
    let [message] = &messages[..] else { panic!("one") };
    assert_eq!(message.get("redis.response_bytes").map(|it| it.to_string()), Some("1009".into()));
}

#[test]
fn only_arrays_of_strings_are_recognized() {
    for (bytes, verdict) in [
        (&b"*2\r\n$"[..], Verdict::More),
        (b"*2\r\n$4\r\n", Verdict::Yes),
        (b"*", Verdict::More),
        (b"*a", Verdict::No),
        (b"GET / HTTP/1.1", Verdict::No),
        (b"*123456789", Verdict::No),
    ] {
        assert_eq!(probe(&Prefix::new(bytes, &[])), verdict, "{}", bytes.escape_ascii());
    }
}

proptest! {
    #[test]
    fn any_division_gives_the_same_messages(
        turns in prop::collection::vec((any::<bool>(), 0..12_usize), 1..12),
        step in 1..9_usize,
    ) {
        const PARTS: [&[u8]; 12] = [
            b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n", b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", b"$3\r\nabc\r\n",
            b"%1\r\n+a\r\n:1\r\n", b"nonsense", b"\r\n", b"-ERR x\r\n", b"*-1\r\n", b"|1\r\n+a\r\n+b\r\n:1\r\n",
            b"*2\r\n*", b"$x\r\n",
        ];
        let turns: Vec<(Side, &[u8])> = turns
            .iter()
            .map(|&(asked, part)| (if asked { ASKED } else { ANSWERED }, PARTS[part]))
            .collect();
        prop_assert_eq!(run(&turns, step), run(&turns, usize::MAX));
    }
}

/// With a copy of the rest for each place, a piece of this size would take hours.
#[test]
fn places_lost_in_a_large_piece_cost_what_they_are_long() {
    let piece = b"*1\r\n$x".repeat(1 << 20);
    let (lines, lost) = run(&[(ASKED, &piece)], usize::MAX);
    assert!(lines.is_empty() && lost.len() > 500_000, "{}", lost.len());
}
