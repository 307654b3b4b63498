//! Whatever is captured, what is printed for people has no control character but newline and tab,
//! and no line of captured bytes that could be a heading.
//!
//! The command is no library: its printers are included as they are.

#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use ring_core::{LinkType, Packet, PacketMeta, Timestamp};

use capture::line::{Bytes, Look, Printer, Stamps};
use text::clock::Clock;
use text::escape::Escaped;
use text::judge;
use text::wrap::Width;

#[path = "../../src/capture"]
mod capture {
    pub(crate) mod line;
}
#[allow(dead_code)]
#[path = "../../src/cause.rs"]
mod cause;

#[allow(dead_code)]
#[path = "../../src/error.rs"]
mod error;
#[allow(dead_code)]
#[path = "../../src/follow"]
mod follow {
    use std::io::Cursor;
    use std::rc::Rc;

    use conversation::{Chunk, ChunkEvent, FlowStreamExt as _};
    use flow::FiveTuple;
    use futures_util::StreamExt as _;
    use capture_file::CaptureFile;

    use self::view::View as _;
    use crate::output::Output;
    use crate::text::clock::Clock;
    use crate::text::judge;
    use crate::text::wrap::Width;
    use crate::{Input, file};

    mod colour;
    mod print;
    mod runs;
    mod view;

    /// Prints the segments as `ringtap follow` does.
    pub(crate) fn followed(input: &Input<'_>, width: Width) {
        for bytes in [print::Bytes::Text, print::Bytes::Hex, print::Bytes::None] {
            shown(input, bytes, width);
        }
    }

    fn shown(input: &Input<'_>, bytes: print::Bytes, width: Width) {
        let output = Output { text: Default::default(), width };
        let (palette, clock) = (colour::Palette::default(), Clock::new(true));
        let page = Rc::new(print::Page { output: output.clone(), bytes, palette, clock });
        let source =
            CaptureFile::from_reader(Cursor::new(file(&input.segments))).expect("a header");
        let stream = source.flow_stream(FiveTuple::bidirectional());
        let stream = stream.table(|table| table.remember_delivered(1 << 16, 1 << 20));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mut chunks = stream.into_chunk_stream();
            let (mut printers, mut number) = (std::collections::HashMap::new(), 0);
            while let Some(Ok(event)) = chunks.next().await {
                match event {
                    ChunkEvent::Started { id, key, initiator, timestamp, midway, .. } => {
                        number += 1;
                        let talk = view::Talk::new(number, key, initiator, timestamp);
                        let rest = print::begin(&talk, midway, &page);
                        let printer = print::Printer::new(talk, Rc::clone(&page), rest);
                        printers.insert(id, Box::new(printer));
                    }
                    ChunkEvent::Chunk { id, chunk, .. } => {
                        if let Chunk::Closed { record, .. } = &chunk {
                            let scope = crate::names::Within(record.key.scope).to_string();
                            judge::one_line(&format!("{}{scope}", record.history));
                        }
                        printers.get_mut(&id).expect("it has begun").chunk(&chunk);
                    }
                    _ => {}
                }
            }
            // The engine has a thread, which would pass for a leak.
            chunks.handle().finished().await;
            for (_, printer) in printers {
                printer.end();
            }
        });
        let text = String::from_utf8(output.text.take()).expect("text");
        for line in text.lines() {
            judge::one_line(line);
            let is_heading = line.strip_prefix('[').is_some_and(|rest| {
                let (number, rest) = rest.split_once("] ").expect("a heading has a number");
                let is_time = rest.as_bytes()[..2].iter().all(u8::is_ascii_digit);
                number.parse::<u64>().is_ok() && is_time
            });
            assert!(is_heading || line.starts_with(['>', '<', '\t', ' ']), "{line:?}");
            let limit = width.columns().filter(|columns| *columns > 40);
            let used = crate::text::wrap::most_columns(line);
            assert!(limit.is_none_or(|limit| used <= limit), "{line:?}");
        }
    }
}
#[allow(dead_code)]
#[path = "../../src/names.rs"]
mod names;
#[allow(dead_code)]
#[path = "../../src/text/mod.rs"]
mod text;

/// Standard output, kept.
mod output {
    use std::cell::RefCell;
    use std::io::{self, Write};
    use std::rc::Rc;

    use crate::text::wrap::Width;

    #[derive(Clone, Debug)]
    pub(crate) struct Output {
        pub(crate) text: Rc<RefCell<Vec<u8>>>,
        pub(crate) width: Width,
    }

    impl Output {
        pub(crate) fn write(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
            let _ = write(&mut *self.text.borrow_mut());
        }

        pub(crate) fn width(&self) -> Width {
            self.width
        }
    }
}

#[derive(Debug, arbitrary::Arbitrary)]
struct Input<'a> {
    bytes: &'a [u8],
    cuts: &'a [u8],
    link_type: u16,
    wire_len: u32,
    time: u64,
    /// The width of the terminal, if there is one.
    columns: Option<u16>,
    look: u16,
    segments: Vec<Segment<'a>>,
}

/// A TCP segment of one conversation.
#[derive(Debug, arbitrary::Arbitrary)]
struct Segment<'a> {
    /// Of the responder, with a VLAN tag, flags.
    bits: u8,
    flags: u8,
    at: i16,
    acknowledged: i16,
    /// Milliseconds since the one before.
    later: u16,
    payload: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    judge::judge(input.bytes, input.cuts);
    let columns = input.columns.map(|columns| columns % 200);
    let width = columns.map_or(Width::ANY, |columns| Width::of_terminal(Some(columns)));
    captured(&input, width);
    failed(input.bytes);
    follow::followed(&input, width);
});

/// The lines of `ringtap capture`.
fn captured(input: &Input<'_>, width: Width) {
    let mut meta = PacketMeta::new(1, Timestamp::from_nanos(input.time), LinkType(input.link_type));
    meta.wire_len = input.wire_len;
    let bit = |at: u16| input.look >> at & 1 != 0;
    let mut look = Look::default();
    look.stamps = match input.look & 7 {
        1 => Stamps::None,
        2 => Stamps::Seconds,
        3 => Stamps::SinceLast,
        4 => Stamps::Date,
        5 => Stamps::SinceFirst,
        _ => Stamps::Time,
    };
    look.bytes = match input.look >> 3 & 3 {
        0 => Bytes::None,
        1 => Bytes::Text,
        2 => Bytes::Hex { text: false },
        _ => Bytes::Hex { text: true },
    };
    (look.number, look.link_header, look.quiet) = (bit(5), bit(6), bit(7));
    (look.verbose, look.with_link_layer) = (bit(8), bit(9));
    look.decimals = if bit(10) { 9 } else { 6 };
    let mut printer = Printer::new(Clock::new(false), look);
    let mut text = Vec::new();
    let _ = printer.print(&mut text, width, &Packet::with_meta(input.bytes, meta));
    let text = String::from_utf8(text).expect("text");
    assert!(text.ends_with('\n'));
    let (line, below) = text.split_once('\n').expect("a line");
    judge::one_line(line);
    for line in below.lines() {
        judge::one_line(line);
        assert!(line.starts_with('\t'), "{line:?} could be a packet of its own");
    }
}

/// Errors that quote names and expressions.
fn failed(bytes: &[u8]) {
    let name = String::from_utf8_lossy(bytes).into_owned();
    let source = ring_core::Error::NoInterface { interface: name.clone() };
    let error = error::Error::Source { name: name.clone(), source: source.into() };
    judge::one_line(&Escaped(&error.to_string()).to_string());
    if let Err(source) = name.parse::<packet_filter::Filter>() {
        let error = error::Error::Expression { expression: name, source };
        let text = text::escape::EscapedLines(&error.to_string()).to_string();
        for (at, line) in text.lines().enumerate() {
            judge::one_line(line);
            assert!(at == 0 || line.starts_with("  "), "{text:?}");
        }
    }
}

/// A pcap file with these segments.
fn file(segments: &[Segment<'_>]) -> Vec<u8> {
    let header: [u32; 6] = [0xa1b2_3c4d, 4 << 16 | 2, 0, 0, 262_144, 1];
    let mut file: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut nanos = 1_700_000_000_000_000_000_u64;
    for Segment { bits, flags, at, acknowledged, later, payload } in segments.iter().take(40) {
        nanos += u64::from(*later) * 1_000_000;
        let payload = &payload[..payload.len().min(1400)];
        let (mine, theirs) = if bits & 1 == 0 { (0, 1) } else { (1, 0) };
        let (addresses, ports) = ([[192, 0, 2, 1], [192, 0, 2, 2]], [40_000_u16, 80]);
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        if bits & 6 == 6 {
            frame.extend([0x81, 0, 0, bits >> 3]);
        }
        frame.extend([8, 0, 0x45, 0]);
        frame.extend((40 + payload.len() as u16).to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        frame.extend([addresses[mine], addresses[theirs]].concat());
        frame.extend([ports[mine].to_be_bytes(), ports[theirs].to_be_bytes()].concat());
        frame.extend((100_000 + i32::from(*at)).to_be_bytes());
        frame.extend((100_000 + i32::from(*acknowledged)).to_be_bytes());
        frame.extend([0x50, *flags, 0xff, 0xff, 0, 0, 0, 0]);
        frame.extend(payload);
        let len = frame.len() as u32;
        for word in [(nanos / 1_000_000_000) as u32, (nanos % 1_000_000_000) as u32, len, len] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}
