//! Any bytes as TLS: how the streams are divided changes nothing, and memory stays within its
//! bound.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::{Message, Side, Timestamp, tls};

fuzz_target!(|input: (u8, &[u8], &[u8])| {
    let (step, client, server) = input;
    let whole = run(client, server, usize::MAX);
    let divided = run(client, server, usize::from(step).max(1));
    assert_eq!(format!("{whole:?}"), format!("{divided:?}"));
});

fn run(client: &[u8], server: &[u8], step: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut parser = tls::parser();
    let sink = &mut |message| messages.push(message);
    for (side, bytes) in [(Side::Initiator, client), (Side::Responder, server)] {
        for piece in bytes.chunks(step) {
            parser.data(side, Timestamp::from_nanos(1), piece, sink);
            assert!(parser.memory() < 2 << 20);
        }
    }
    parser.end(sink);
    messages
}
