//! Datagrams whose payload is compressed (RFC 3173).

use miniz_oxide::inflate;

use super::piece::{Header, Piece};

/// How much a payload may grow: enough for real traffic, and no means to keep a processor busy with a few bytes.
const MAX_GROWTH: usize = 64;
/// What even the shortest may grow to.
const MIN_LIMIT: usize = 2048;
/// The most that an IP packet can have.
const MAX_LEN: usize = 65_535;

/// Writes the datagram as it was before its payload was compressed; whether there is one.
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

/// The longest IPv4 header; an IPv6 header is shorter.
const MAX_HEADER_LEN: usize = 60;
