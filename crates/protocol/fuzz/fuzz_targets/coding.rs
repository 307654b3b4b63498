//! Any bytes as each content coding: nothing panics, and what comes out stays within the limits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::coding::{BodyDecoder, Coding, DecodeLimits};

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (which, step, bytes) = input;
    let coding = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];
    let mut decoder =
        BodyDecoder::new(&[coding[usize::from(which) % coding.len()]], DecodeLimits::default());
    let mut len = 0;
    for piece in bytes.chunks(usize::from(step).max(1)) {
        decoder.data(piece, &mut |decoded| len += decoded.len() as u64);
        assert!(decoder.memory() < 17 << 20);
    }
    let _ = decoder.finish();
    let DecodeLimits { ratio, free, .. } = DecodeLimits::default();
    assert!(len <= free.max(ratio * bytes.len() as u64));
});
