//! Decompresses datagrams with a compressed payload (RFC 3173).

use miniz_oxide::inflate;

use super::piece::{Header, Piece};

/// The maximum factor by which a payload may grow. It is enough for real traffic, and prevents a
/// decompression bomb: a few bytes that keep a processor busy.
const MAX_GROWTH: usize = 64;
/// The limit that even the shortest payload gets.
const MIN_LIMIT: usize = 2048;
/// The maximum length of an IP packet.
const MAX_LEN: usize = 65_535;

/// Writes the datagram with its payload decompressed. Returns `false` if it cannot be decompressed
/// within the limit.
pub(super) fn expand(piece: &Piece<'_>, output: &mut Vec<u8>) -> bool {
    let limit = (piece.bytes.len() * MAX_GROWTH).clamp(MIN_LIMIT, MAX_LEN - MAX_HEADER_LEN);
    let Ok(payload) = inflate::decompress_to_vec_with_limit(piece.bytes, limit) else {
        return false;
    };
    let header = Header::of(piece);
    output.clear();
    output.extend_from_slice(&header.bytes);
    output.extend_from_slice(&payload);
    header.complete(output);
    true
}

/// The maximum length of an IPv4 header. An IPv6 header is shorter.
const MAX_HEADER_LEN: usize = 60;
