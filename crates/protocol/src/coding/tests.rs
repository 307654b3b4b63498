//! Tests of decoders on what other programs encoded.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

/// [`text`], encoded by the library of Google.
const BROTLI: &str = "\
    1b4505001c09368e764d7a163642a5ab78483ac0e6f518ae1540cade2488d91ce2e000a4e151128d2c0aa4aad2\
    5e2c0ed5bad43bbf20f40ed7a79108441299424d434bf744ce1f309acc166b1b5bba8c65309acc166b1b5bba4c\
    65309acc166b1bdbea01";
/// 64 MiB of zeros.
const BROTLI_ZEROS: &str = "\
    cfffff7ff82700e2b14020f7fe9ffffffff04f00c4610180eefd3fffffffe19f0088c32200ddfbfffcffffc73f\
    0110870500baf7ff";
/// [`text`], encoded by the program `zstd`, with a checksum.
const ZSTD: &str = "\
    28b52ffd64460455030082c40e15904d0760290c3b592ee8dd9de0a39194145c9f8312ffffffbf6ddbb6ddb66d\
    db1e46410cc25d60d95a063d8d427849395e64c7c44431a0390b1328a811f0ebff1b80334a0f113404ff3f43f0\
    f90127617fa595ab4ce529a51c25949f74729152f5324280a806f473acfc";

fn text() -> Vec<u8> {
    (0..40).flat_map(|i| format!("line {i} of a text that compresses\n").into_bytes()).collect()
}

fn hex(digits: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).expect("a digit") as u8;
    digits.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// Decodes in pieces of `step` bytes. Returns the text, the outcome and the most memory.
fn decode(codings: &[Coding], bytes: &[u8], step: usize) -> (Vec<u8>, Decoded, usize) {
    let mut decoder = BodyDecoder::new(codings, DecodeLimits::default());
    let (mut out, mut memory) = (Vec::new(), 0);
    for piece in bytes.chunks(step) {
        decoder.data(piece, &mut |bytes| out.extend_from_slice(bytes));
        memory = memory.max(decoder.memory());
    }
    (out, decoder.finish(), memory)
}

/// All codings of the text.
fn encoded() -> Vec<(Coding, Vec<u8>)> {
    vec![
        (Coding::Gzip, gzip(&text())),
        (Coding::Deflate, zlib(&text())),
        (Coding::Deflate, deflate(&text())),
        (Coding::Brotli, hex(BROTLI)),
        (Coding::Zstd, hex(ZSTD)),
    ]
}

#[test]
fn every_coding_is_decoded_in_pieces_of_any_length() {
    for (coding, bytes) in encoded() {
        for step in [1, 2, 3, 7, 100, usize::MAX] {
            let (out, outcome, _) = decode(&[coding], &bytes, step);
            assert_eq!((out, outcome), (text(), Decoded::Complete), "{coding:?} {step}");
        }
    }
}

#[test]
fn an_early_end_and_wrong_bytes_are_told_apart() {
    for (coding, bytes) in encoded() {
        let (out, outcome, _) = decode(&[coding], &bytes[..bytes.len() - 1], usize::MAX);
        assert!(text().starts_with(&out), "{coding:?}");
        assert_eq!(outcome, Decoded::Truncated, "{coding:?}");
        let (_, outcome, _) = decode(&[coding], b"\xff\xffno such bytes", usize::MAX);
        assert_eq!(outcome, Decoded::Corrupt, "{coding:?}");
    }
}

#[test]
fn a_wrong_checksum_is_noticed() {
    for (coding, mut bytes) in encoded() {
        if matches!(coding, Coding::Gzip | Coding::Zstd) {
            let last = bytes.len() - if coding == Coding::Gzip { 8 } else { 1 };
            bytes[last] ^= 1;
            assert_eq!(decode(&[coding], &bytes, 5).1, Decoded::Corrupt, "{coding:?}");
        }
    }
}

#[test]
fn codings_are_removed_in_the_opposite_order() {
    let bytes = gzip(&hex(BROTLI));
    let codings: Vec<Coding> = Coding::list(b"br, , identity,X-GZIP").collect();
    assert_eq!(codings, [Coding::Brotli, Coding::Gzip]);
    assert_eq!(
        decode(&codings, &bytes, 3),
        (text(), Decoded::Complete, decode(&codings, &bytes, 3).2)
    );
    // Too many of them, or one that is not known: the bytes stay as they are.
    for codings in [&[Coding::Gzip; 4][..], &[Coding::Gzip, Coding::Other]] {
        let (out, outcome, _) = decode(codings, &bytes, 9);
        assert_eq!((out, outcome), (bytes.clone(), Decoded::Unsupported));
    }
}

#[test]
fn members_are_joined_and_padding_is_ignored() {
    let mut bytes = [gzip(b"one, "), gzip(b"two")].concat();
    assert_eq!(decode(&[Coding::Gzip], &bytes, 2).0, b"one, two");
    bytes.extend([0; 20]);
    let (out, outcome, _) = decode(&[Coding::Gzip], &bytes, 2);
    assert_eq!((&out[..], outcome), (&b"one, two"[..], Decoded::Complete));
    // All optional parts of the header.
    let mut header = vec![0x1f, 0x8b, 8, 0x1f, 0, 0, 0, 0, 0, 3];
    header.extend(b"\x02\x00xxname\0comment\0cc");
    header.extend(&gzip(b"text")[10..]);
    for step in [1, usize::MAX] {
        let (out, outcome, _) = decode(&[Coding::Gzip], &header, step);
        assert_eq!((&out[..], outcome), (&b"text"[..], Decoded::Complete));
    }
}

#[test]
fn nothing_behind_a_gap_is_decoded() {
    for (coding, bytes) in encoded() {
        let mut decoder = BodyDecoder::new(&[coding], DecodeLimits::default());
        let mut out = Vec::new();
        decoder.data(&bytes[..20], &mut |bytes| out.extend_from_slice(bytes));
        decoder.gap();
        let before = out.len();
        decoder.data(&bytes[40..], &mut |bytes| out.extend_from_slice(bytes));
        assert_eq!((out.len(), decoder.finish()), (before, Decoded::Gap));
    }
    // Without a coding the rest is as good as what is before.
    let mut decoder = BodyDecoder::new(&[], DecodeLimits::default());
    let mut out = Vec::new();
    decoder.gap();
    decoder.data(b"rest", &mut |bytes| out.extend_from_slice(bytes));
    assert_eq!((&out[..], decoder.finish()), (&b"rest"[..], Decoded::Complete));
}

/// Bytes that decode to much more are stopped, and the memory is as stated.
#[test]
fn bombs_are_stopped() {
    let zeros = vec![0; 64 << 20];
    let block = |last: u32| (128_u32 << 10 << 3 | 1 << 1 | last).to_le_bytes();
    let blocks = (0..512).flat_map(|i| [&block(u32::from(i == 511))[..3], b"\0"].concat());
    let zstd: Vec<u8> = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x68].into_iter().chain(blocks).collect();
    let twice = gzip(&gzip(&zeros));
    for (codings, bytes, limit) in [
        (&[Coding::Gzip][..], gzip(&zeros), 100 << 10),
        (&[Coding::Gzip, Coding::Gzip], twice, 200 << 10),
        (&[Coding::Deflate], zlib(&zeros), 100 << 10),
        (&[Coding::Brotli], hex(BROTLI_ZEROS), 17 << 20),
        (&[Coding::Zstd], zstd, 9 << 20),
    ] {
        let (out, outcome, memory) = decode(codings, &bytes, usize::MAX);
        assert_eq!(outcome, Decoded::Ratio, "{codings:?}");
        assert!(out.len() <= 5 << 20, "{codings:?}: {}", out.len());
        assert!(memory <= limit, "{codings:?}: {memory}");
    }
    let mut decoder = BodyDecoder::new(
        &[Coding::Gzip],
        DecodeLimits { ratio: u64::MAX, size: 10 << 20, ..DecodeLimits::default() },
    );
    let mut len = 0;
    decoder.data(&gzip(&zeros), &mut |bytes| len += bytes.len());
    assert_eq!(decoder.finish(), Decoded::Size);
    assert!(len <= 10 << 20);
}

#[test]
fn a_window_beyond_the_limit_is_refused() {
    // 16 MiB, of which the decoder would allocate all at once.
    assert_eq!(decode(&[Coding::Zstd], &[0x28, 0xb5, 0x2f, 0xfd, 0, 0x70], 1).1, Decoded::Corrupt);
    // The large window of br, which RFC 7932 does not have.
    assert_eq!(decode(&[Coding::Brotli], &[0x11, 0x1e, 0, 0], 1).1, Decoded::Corrupt);
}

proptest! {
    #[test]
    fn any_bytes_are_survived_in_pieces_alike(
        which in 0..5_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        step in 1..50_usize,
    ) {
        let (coding, mut bytes) = encoded().swap_remove(which);
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        let whole = decode(&[coding], &bytes, usize::MAX);
        let parts = decode(&[coding], &bytes, step);
        prop_assert_eq!(whole.1, parts.1);
        if whole.1 == Decoded::Complete {
            prop_assert_eq!(whole.0, parts.0);
        }
    }
}
