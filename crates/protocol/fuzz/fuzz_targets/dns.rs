//! Any bytes as DNS: how a stream is divided changes nothing, and memory stays within its bound.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::dns::{self, Transport};
use protocol::{Message, Side, Timestamp};

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    let step = usize::from(step).max(1);
    let time = Timestamp::from_nanos(1);
    let whole = stream(bytes.chunks(bytes.len().max(1)));
    let divided = stream(bytes.chunks(step));
    assert_eq!(format!("{whole:?}"), format!("{divided:?}"));

    for transport in [Transport::Udp, Transport::Multicast] {
        let mut parser = dns::datagram_parser(transport);
        for (index, datagram) in bytes.chunks(step.max(12)).enumerate() {
            let side = if index % 2 == 0 { Side::Initiator } else { Side::Responder };
            parser.datagram(side, time, datagram, datagram.len(), &mut |_| {});
        }
        assert!(parser.memory() < 256 << 10);
    }
});

fn stream<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut parser = dns::stream_parser();
    let sink = &mut |message| messages.push(message);
    for piece in pieces {
        parser.data(Side::Initiator, Timestamp::from_nanos(1), piece, sink);
        assert!(parser.memory() < 512 << 10);
    }
    parser.end(sink);
    messages
}
