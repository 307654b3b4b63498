//! [`protocol_fuzz::check`] of the parser of HTTP/2, behind the preface of the client.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::http2::{Limits, Parser};
use protocol::{Message, Side, StreamParser as _, Timestamp};

/// The memory that the module states for a conversation.
const MEMORY: usize = 2 << 20;

fn new() -> Parser {
    let mut parser = Parser::new(Limits::default());
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    parser.data(Side::Initiator, Timestamp::from_nanos(0), preface, &mut |_: Message| ());
    parser
}

fuzz_target!(|input: &[u8]| protocol_fuzz::check(new, MEMORY, input));
