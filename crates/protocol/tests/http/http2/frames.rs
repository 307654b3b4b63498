//! Frames, and connections that consist of them.

use crate::lab::Lab;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const PRIORITY: u8 = 0x20;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A block of fields that are not added to the table.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(0, name, value)).collect()
}

/// A block of fields that are added to the table.
pub(crate) fn adding(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(0x40, name, value)).collect()
}

fn literal(mark: u8, name: &str, value: &str) -> Vec<u8> {
    let string = |text: &str| [&integer(text.len()), text.as_bytes()].concat();
    [vec![mark], string(name), string(value)].concat()
}

fn integer(number: usize) -> Vec<u8> {
    if number < 127 {
        return vec![number as u8];
    }
    let (mut rest, mut bytes) = (number - 127, vec![127]);
    while rest >= 128 {
        bytes.push(rest as u8 | 128);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    let fields =
        [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "x.example")];
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&fields))
}

pub(crate) fn ok(stream: u32, body: &str) -> Vec<u8> {
    let head = frame(HEADERS, END_HEADERS, stream, &block(&[(":status", "200")]));
    [head, frame(DATA, END_STREAM, stream, body.as_bytes())].concat()
}

/// A connection whose preface and settings were sent.
pub(crate) fn open() -> Lab {
    let mut lab = Lab::any();
    lab.ask(PREFACE).ask(frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]));
    lab.answer(frame(SETTINGS, 0, 0, &[])).answer(frame(SETTINGS, 1, 0, &[]));
    lab
}
