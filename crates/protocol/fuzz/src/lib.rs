//! The check that the fuzz targets of stream protocols share.

use protocol::{Message, Side, StreamParser, Timestamp};

/// Any bytes, gaps and ends are survived within the `memory` that the module states for a
/// conversation, and messages do not depend on how the bytes are divided.
///
/// Each step of the input is a byte for the side and the kind, a byte for a length, and bytes of
/// data.
pub fn check<P: StreamParser>(new: impl Fn() -> P, memory: usize, input: &[u8]) {
    assert_eq!(run(new(), memory, input, usize::MAX), run(new(), memory, input, 1));
}

fn run(mut parser: impl StreamParser, memory: usize, input: &[u8], step: usize) -> Vec<String> {
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
                data.chunks(step).for_each(|piece| parser.data(side, time, piece, &mut sink));
            }
        }
        assert!(parser.memory() < memory);
        if let Some(switch) = parser.take_switch() {
            found.push(format!("{:?}", switch.next));
            return found;
        }
    }
    parser.end(&mut sink);
    found
}
