//! Frames, whole and in pieces.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use proptest::prelude::*;

use super::*;
use crate::{Content, Message, Side, StreamParser as _, Timestamp};

fn frame(first: u8, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mask = if key.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..126 => bytes.push(mask | len as u8),
        len => {
            bytes.push(mask | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
    }
    bytes.extend(key.iter().flatten());
    let key = key.unwrap_or_default();
    bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]));
    bytes
}

/// A message of permessage-deflate: without the end of the flush.
fn deflated(text: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).expect("memory");
    encoder.flush().expect("memory");
    let mut bytes = encoder.get_ref().clone();
    assert!(bytes.ends_with(&[0, 0, 0xff, 0xff]));
    bytes.truncate(bytes.len() - 4);
    bytes
}

fn run(bytes: &[u8], step: usize) -> Vec<Message> {
    let mut parser = Parser::new();
    let mut messages = Vec::new();
    for piece in bytes.chunks(step) {
        let time = Timestamp::from_nanos(1);
        parser.data(Side::Initiator, time, piece, &mut |message| messages.push(message));
        assert!(parser.memory() < 130 << 10);
    }
    parser.end(&mut |message| messages.push(message));
    messages
}

fn line(message: &Message) -> String {
    match &message.content {
        Content::WebSocket(it) => {
            let len = it.len.map_or("-".into(), |len| len.to_string());
            let text = String::from_utf8_lossy(&it.beginning);
            format!("{} {} {} {len} {text}", it.kind(), it.frames, it.bytes)
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn fragments_are_joined_and_control_frames_come_between() {
    let key = Some([1, 2, 3, 4]);
    let bytes = [
        frame(0x01, key, b"hel"),
        frame(0x89, key, b"p"),
        frame(0x80, key, b"lo"),
        frame(0x82, None, &[b'x'; 2000]),
        frame(0x88, key, b"\x03\xe8bye"),
    ]
    .concat();
    for step in [1, 5, usize::MAX] {
        let messages = run(&bytes, step);
        let lines: Vec<String> = messages.iter().map(line).collect();
        assert_eq!(lines[0], "ping 1 1 1 p");
        assert_eq!(lines[1], "text 2 5 5 hello");
        assert_eq!(lines[2], format!("binary 1 2000 2000 {}", "x".repeat(1024)));
        assert_eq!(
            messages[3].get("websocket.close_code").map(|it| it.to_string()),
            Some("1000".into())
        );
        assert_eq!(messages[3].get("websocket.text").map(|it| it.to_string()), Some("bye".into()));
    }
}

/// RFC 7692, section 7.2.3.2: the second message refers to the first.
#[test]
fn compressed_messages_share_a_window() {
    let first = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let second = b"\xf2\x00\x11\x00\x00";
    let bytes = [frame(0xc1, None, first), frame(0xc1, None, second)].concat();
    for step in [1, usize::MAX] {
        let lines: Vec<String> = run(&bytes, step).iter().map(line).collect();
        assert_eq!(lines, ["text 1 7 5 Hello", "text 1 5 5 Hello"]);
    }
}

#[test]
fn a_bomb_ends_decompression() {
    let bomb = deflated(&vec![0; 32 << 20]);
    assert!(bomb.len() < 60_000);
    let bytes =
        [frame(0xc2, None, &bomb), frame(0xc1, None, &deflated(b"x")), frame(0x81, None, b"y")];
    let lines: Vec<String> = run(&bytes.concat(), 1000).iter().map(line).collect();
    assert!(lines[0].starts_with(&format!("binary 1 {} - ", bomb.len())));
    assert!(lines[1].starts_with("text 1 ") && lines[1].contains(" - "), "{}", lines[1]);
    assert_eq!(lines[2], "text 1 1 1 y");
}

#[test]
fn a_gap_is_skipped_if_its_place_is_known() {
    let mut parser = Parser::new();
    let mut messages: Vec<Message> = Vec::new();
    let (time, sink) = (Timestamp::from_nanos(1), &mut |message| messages.push(message));
    let bytes = frame(0x81, Some([9, 8, 7, 6]), b"0123456789");
    parser.data(Side::Initiator, time, &bytes[..9], sink);
    parser.gap(Side::Initiator, time, 4, sink);
    parser.data(Side::Initiator, time, &bytes[13..], sink);
    parser.gap(Side::Initiator, time, 4, sink);
    parser.data(Side::Initiator, time, &bytes, sink);
    let lines: Vec<String> = messages.iter().map(line).collect();
    assert_eq!(lines.len(), 2, "nothing is guessed behind a lost place: {lines:?}");
    assert_eq!(lines[0], "text 1 10 10 012");
    assert!(lines[1].contains("Lost") && lines[1].contains("Gap"), "{}", lines[1]);
}

proptest! {
    #[test]
    fn any_division_gives_the_same_messages(
        parts in prop::collection::vec((0..8_usize, prop::collection::vec(any::<u8>(), 0..200)), 1..8),
        step in 1..40_usize,
    ) {
        const FIRST: [u8; 8] = [0x81, 0x01, 0x00, 0x80, 0xc1, 0x89, 0x88, 0x93];
        let bytes: Vec<u8> = parts
            .iter()
            .flat_map(|(first, payload)| match FIRST[*first] {
                0xc1 => frame(0xc1, None, &deflated(payload)),
                first => frame(first, Some([1, 2, 3, 4]), payload),
            })
            .collect();
        let lines = |step| run(&bytes, step).iter().map(line).collect::<Vec<_>>();
        prop_assert_eq!(lines(step), lines(usize::MAX));
    }
}
