use anstyle::Style;
use flow::{FlowSide, Timestamp};

use super::clock::Clock;
use super::escape::{Escaped, Quoted, is_shown, unfinished};
use super::judge::judge;
use super::payload::{Look, Text};
use super::wrap::{Width, line, most_columns};

/// The text as the initiator's, in these pieces.
fn printed(pieces: &[&[u8]]) -> String {
    printed_in(Width::ANY, pieces)
}

fn printed_in(width: Width, pieces: &[&[u8]]) -> String {
    let look = Look { side: FlowSide::Initiator, style: Style::new(), width };
    let (mut out, mut text, mut offset) = (Vec::new(), Text::default(), 0);
    for piece in pieces {
        text.write(&mut out, look, offset, piece).unwrap();
        offset += piece.len() as u64;
    }
    text.finish(&mut out, look).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn text_of_any_language_is_shown_and_commands_are_escaped() {
    let text = "größer ✓ 日本語\u{3000}👩\u{200d}💻 e\u{301}\r\n\u{1b}[2J\u{9b}31m \u{202e}txt.exe\u{7f}\n\ttab\rx";
    let expected = "> größer ✓ 日本語\u{3000}👩\u{200d}💻 e\u{301}\n> \\x1b[2J\\u{9b}31m \\u{202e}txt.exe\\x7f\n> \ttab\\rx\n";
    assert_eq!(printed(&[text.as_bytes()]), expected);
}

#[test]
fn lines_cannot_be_headings() {
    let forged = b"hello\n[99] 22:13:20.000000 192.0.2.1:1 > 192.0.2.2:2 started\n\n== end";
    for line in printed(&[forged]).lines() {
        assert!(line == ">" || line.starts_with("> "), "{line}");
    }
}

#[test]
fn rows_that_a_terminal_would_begin_are_marked() {
    let heading = "[2] 22:13:20 192.0.2.1:1 > 192.0.2.2:2 started";
    let width = Width::of_terminal(Some(40));
    let forged = format!("{}{heading}\n", "x".repeat(38));
    assert_eq!(
        printed_in(width, &[forged.as_bytes()]),
        format!("> {}\n>+x{}\n>+{}\n", "x".repeat(37), &heading[..36], &heading[36..])
    );
    // Nothing is lost, and no row is longer than the terminal, whatever it makes of these.
    for text in ["größer 日本語 ✓ ".repeat(20), "\tx".repeat(30), "\u{202e}\u{1b}".repeat(30)]
    {
        let rows = printed_in(width, &[text.as_bytes()]);
        assert!(rows.lines().all(|row| most_columns(row) < 40), "{rows}");
        let joined: String = rows.lines().map(|row| &row[2..]).collect();
        assert_eq!(format!("> {joined}\n"), printed(&[text.as_bytes()]));
    }
    // Colours take no room.
    let mut out = Vec::new();
    let coloured = format!("\x1b[31m{}\x1b[0m", "y".repeat(39));
    line(&mut out, width, ["", "    "], &coloured).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), coloured);
}

#[test]
fn a_character_in_two_pieces_is_one() {
    let text = "a✓b".as_bytes();
    for cut in 0..=text.len() {
        assert_eq!(printed(&[&text[..cut], &text[cut..]]).replace("\n> ", ""), "> a✓b\n", "{cut}");
    }
    assert_eq!(printed(&[b"a\xe2\x9c", b"b"]), "> a\n> \\xe2\\x9cb\n", "the rest does not come");
    assert_eq!(printed(&[b"a\xe2\x9c"]), "> a\n> \\xe2\\x9c\n", "nothing comes");
}

#[test]
fn the_rest_of_a_character_is_expected_only_where_there_is_a_beginning() {
    for (bytes, expected) in [
        (&b"abc"[..], 0),
        (b"ab\xe2\x9c", 2),
        (b"\xe2\x9c\x93\xe2", 1),
        (b"\x9c\x93\xe2", 1),
        (b"\xf0\x9f\x92", 3),
        (b"\xff", 0),
        (b"\x80\x80\x80", 0),
        (b"", 0),
    ] {
        assert_eq!(unfinished(bytes), expected, "{bytes:?}");
    }
}

#[test]
fn names_stay_in_their_line() {
    assert_eq!(Escaped("eth0\n[1] \u{1b}[1m").to_string(), "eth0\\n[1] \\x1b[1m");
    assert_eq!(Quoted(b"say \"no\"\n\xff").to_string(), "\"say \\\"no\\\"\\n\\xff\"");
    let long = Quoted(&[b'x'; 100]).to_string();
    assert!(long.ends_with("x\"…") && long.len() < 60, "{long}");
}

#[test]
fn no_character_that_is_shown_is_dangerous() {
    let all: String = ('\0'..=char::MAX).filter(|c| is_shown(*c)).collect();
    judge(all.as_bytes(), &[]);
    assert!(is_shown('é') && is_shown('\u{a0}') && is_shown('א'));
    assert!(!is_shown('\u{ad}') && !is_shown('\u{fff9}') && !is_shown('\u{e0041}'));
}

#[test]
fn whatever_is_captured_is_harmless() {
    // A generator that repeats itself nowhere near as soon, and is the same each time.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let pieces: [&[u8]; 12] = [
        b"\n",
        b"\r",
        b"\x1b[",
        b"[1] ",
        b"\xc2",
        b"\x9b",
        b"\xe2\x80",
        b"\xae",
        b"== ",
        b"\xf0\x9f",
        b"\0",
        b"a",
    ];
    for _ in 0..5_000 {
        let mut bytes = Vec::new();
        for _ in 0..next() % 24 {
            match next() % 3 {
                0 => bytes.push(next() as u8),
                _ => bytes.extend(pieces[(next() % 12) as usize]),
            }
        }
        let cuts: Vec<u8> = (0..next() % 4).map(|_| (next() % 6) as u8).collect();
        judge(&bytes, &cuts);
    }
}

#[test]
fn dates_are_those_of_the_calendar() {
    let shown = |seconds| {
        let moment = Clock::new(true).at(Timestamp::from_parts(seconds, 123_456_789));
        (moment.dated().to_string(), moment.word().to_string(), moment.time().to_string())
    };
    let (dated, word, time) = shown(1_700_000_000);
    assert_eq!(dated, "2023-11-14 22:13:20.123456Z");
    assert_eq!(word, "2023-11-14T22:13:20.123456Z");
    assert_eq!(time, "22:13:20.123456");
    for (seconds, date) in [
        (0, "1970-01-01 00:00:00"),
        (951_782_399, "2000-02-28 23:59:59"),
        (951_782_400, "2000-02-29 00:00:00"),
        (4_107_542_400, "2100-03-01 00:00:00"),
        (18_446_744_073, "2554-07-21 23:34:33"),
    ] {
        assert!(shown(seconds).0.starts_with(date), "{:?}", shown(seconds));
    }
}
