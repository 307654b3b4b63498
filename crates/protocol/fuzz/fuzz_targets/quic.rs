//! Any datagrams as QUIC of each version: nothing panics, and memory stays within its bound.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::{Side, Timestamp, quic};

fuzz_target!(|datagrams: Vec<(bool, u8, &[u8])>| {
    let mut parser = quic::parser();
    for (responder, version, bytes) in datagrams {
        let side = if responder { Side::Responder } else { Side::Initiator };
        let version = [0, 1, 0x6b33_43cf, 0xff00_001d_u32][usize::from(version) % 4];
        let datagram = [&[0xc0 | version as u8][..], &version.to_be_bytes(), bytes].concat();
        parser.datagram(side, Timestamp::from_nanos(1), &datagram, datagram.len(), &mut |_| {});
        assert!(parser.memory() < 512 << 10);
    }
    parser.end(&mut |_| {});
});
