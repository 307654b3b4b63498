//! Whatever is captured, what is printed for people has no control character but newline and tab, and no line of captured
//! bytes that could be a heading.
//!
//! The command is no library: its printers are included as they are.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ring_core::{LinkType, Packet, PacketMeta, Timestamp};

#[allow(dead_code)]
#[path = "../../src/names.rs"]
mod names;
#[path = "../../src/capture/summary.rs"]
mod summary;
#[allow(dead_code)]
#[path = "../../src/text/mod.rs"]
mod text;

fuzz_target!(|input: (&[u8], u16, u32, u64, &[u8])| {
    let (cuts, link_type, wire_len, time, bytes) = input;
    text::judge::judge(bytes, cuts);

    let mut meta = PacketMeta::new(1, Timestamp::from_nanos(time), LinkType(link_type));
    meta.wire_len = wire_len;
    let mut line = Vec::new();
    let _ = summary::print(&mut line, &text::clock::Clock::new(false), &Packet::new(bytes, meta));
    let line = String::from_utf8(line).expect("a line of text");
    assert!(line.ends_with('\n') && !line[..line.len() - 1].contains(|c: char| c.is_control()));
});
