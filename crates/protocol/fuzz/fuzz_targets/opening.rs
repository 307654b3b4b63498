//! Any bytes as the beginning of SMTP, FTP, POP3, IMAP, SSH, PostgreSQL and MySQL: how they are
//! divided changes nothing, and memory stays within its bound.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::opening;
use protocol::{Message, Side, Timestamp};

/// The longest turn.
const TURN: usize = 1024;

fuzz_target!(|input: (u8, u8, Vec<(bool, Vec<u8>)>)| {
    let (index, step, mut turns) = input;
    turns.truncate(8);
    turns.iter_mut().for_each(|(_, bytes)| bytes.truncate(TURN));
    let protocol = opening::protocols()[usize::from(index) % 7].protocol();
    let run = |step: usize| {
        let mut parser = opening::parser(protocol).expect("it is one of them");
        let mut messages: Vec<Message> = Vec::new();
        'turns: for (side, bytes) in &turns {
            let side = if *side { Side::Initiator } else { Side::Responder };
            for piece in bytes.chunks(step) {
                let sink = &mut |message| messages.push(message);
                parser.data(side, Timestamp::from_nanos(1), piece, sink);
                assert!(parser.memory() < 64 << 10);
                if parser.take_switch().is_some() {
                    break 'turns;
                }
            }
        }
        parser.end(&mut |message| messages.push(message));
        assert!(messages.len() <= 1);
        format!("{messages:?}")
    };
    assert_eq!(run(usize::from(step).max(1)), run(usize::MAX));
});
