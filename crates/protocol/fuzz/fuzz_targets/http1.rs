//! Any bytes and gaps are survived within the stated memory, and messages do not depend on how the
//! bytes are divided.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::http1::{Limits, Parser};
use protocol::{Message, Side, StreamParser as _, Timestamp};

/// The memory that the module states for a conversation.
const MEMORY: usize = 3 << 19;

/// Each step is a byte for the side and the kind, a byte for a length, and bytes of data.
fn run(input: &[u8], bytewise: bool) -> Vec<String> {
    let mut parser = Parser::new(Limits::default());
    let mut found = Vec::new();
    let mut sink =
        |message: Message| found.push(format!("{:?} {:?}", message.side, message.content));
    let time = Timestamp::from_nanos(0);
    let mut rest = input;
    while let [kind, len, after @ ..] = rest {
        let side = if kind & 1 == 0 { Side::Initiator } else { Side::Responder };
        rest = after;
        match kind >> 5 {
            0 => parser.gap(side, time, u64::from(*len), &mut sink),
            1 => parser.finish(side, time, &mut sink),
            _ => {
                let (data, after) = rest.split_at(rest.len().min(usize::from(*len)));
                rest = after;
                match bytewise {
                    true => {
                        data.chunks(1).for_each(|byte| parser.data(side, time, byte, &mut sink))
                    }
                    false => parser.data(side, time, data, &mut sink),
                }
            }
        }
        assert!(parser.memory() < MEMORY);
        if let Some(switch) = parser.take_switch() {
            found.push(format!("{:?}", switch.next));
            return found;
        }
    }
    parser.end(&mut sink);
    found
}

fuzz_target!(|input: &[u8]| {
    assert_eq!(run(input, false), run(input, true));
});
