//! Any bytes and gaps are survived within the stated memory, and messages do not depend on how the
//! bytes are divided.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::redis::Parser;
use protocol::{Message, Side, StreamParser as _, Timestamp};

/// The memory that the module states for a conversation.
const MEMORY: usize = 256 << 10;

/// Each step is a byte for the side and the kind, a byte for a length, and bytes of data.
fn run(input: &[u8], step: usize) -> Vec<String> {
    let mut parser = Parser::new();
    let mut found = Vec::new();
    let mut sink =
        |message: Message| found.push(format!("{:?} {:?}", message.side, message.content));
    let time = Timestamp::from_nanos(0);

    let mut rest = input;
    while let [kind, len, after @ ..] = rest {
        let side = if kind & 1 == 0 { Side::Initiator } else { Side::Responder };
        rest = after;
        if kind >> 5 == 0 {
            parser.gap(side, time, u64::from(*len), &mut sink);
        } else {
            let (data, after) = rest.split_at(rest.len().min(usize::from(*len)));
            rest = after;
            data.chunks(step).for_each(|piece| parser.data(side, time, piece, &mut sink));
        }
        assert!(parser.memory() < MEMORY);
    }
    parser.end(&mut sink);
    found
}

fuzz_target!(|input: &[u8]| {
    assert_eq!(run(input, usize::MAX), run(input, 1));
});
