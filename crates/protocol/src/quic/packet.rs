//! Packets with a long header (RFC 9000, section 17.2), and the frames in Initial packets.

use super::Version;
use super::keys::{Keys, SAMPLE};
use crate::reader::Reader;

/// The longest connection identifier, in bytes.
const MAX_ID: usize = 20;

/// A packet with a long header.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    pub(super) kind: Kind,
    pub(super) version: Version,
    pub(super) destination_id: &'a [u8],
    pub(super) source_id: &'a [u8],
    /// From the first byte on.
    bytes: &'a [u8],
    /// The length of the header up to the packet number.
    number_at: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Initial,
    Retry,
    VersionNegotiation,
    /// A packet whose keys are not public.
    Other,
}

impl<'a> Packet<'a> {
    /// Reads the packet at the beginning of a datagram. Returns it and the rest of the datagram.
    pub(super) fn parse(datagram: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut reader = Reader::new(datagram);
        let first = reader.u8()?;
        let version = Version(reader.u32()?);
        let (destination_id, source_id) = (reader.vector8()?, reader.vector8()?);
        if first & 0x80 == 0 || destination_id.len() > MAX_ID || source_id.len() > MAX_ID {
            return None;
        }
        let mut packet = Self {
            kind: Kind::VersionNegotiation,
            version,
            destination_id,
            source_id,
            bytes: datagram,
            number_at: 0,
        };
        if version.0 == 0 {
            return Some((packet, &[]));
        }
        if first & 0x40 == 0 || !version.is_known() {
            return None;
        }
        // Version 2 turned the numbers of the types by one.
        let turn = u8::from(version == Version::V2);
        packet.kind = match ((first >> 4) + 4 - turn) & 3 {
            0 => Kind::Initial,
            3 => Kind::Retry,
            _ => Kind::Other,
        };
        if packet.kind == Kind::Retry {
            return Some((packet, &[]));
        }
        if packet.kind == Kind::Initial {
            let token = varint(&mut reader)?;
            reader.take(usize::try_from(token).ok()?)?;
        }
        let length = usize::try_from(varint(&mut reader)?).ok()?;
        packet.number_at = datagram.len() - reader.rest().len();
        reader.take(length)?;
        packet.bytes = &datagram[..packet.number_at + length];
        Some((packet, reader.rest()))
    }

    /// Removes header protection and encryption. Returns the packet number and the frames.
    /// `largest` is the highest number of the sender so far.
    pub(super) fn open(&self, keys: &Keys, largest: Option<u64>) -> Option<(u64, Vec<u8>)> {
        let sample = self.bytes.get(self.number_at + 4..)?.first_chunk::<SAMPLE>()?;
        let mask = keys.mask(*sample);
        let first = self.bytes[0] ^ (mask[0] & 0x0f);
        let length = usize::from(first & 3) + 1;
        let mut header = self.bytes[..self.number_at + length].to_vec();
        header[0] = first;
        let mut truncated = 0;
        for (byte, mask) in header[self.number_at..].iter_mut().zip(&mask[1..]) {
            *byte ^= mask;
            truncated = truncated << 8 | u64::from(*byte);
        }
        let number = full_number(truncated, length, largest);
        let payload = keys.open(number, &header, &self.bytes[header.len()..])?;
        Some((number, payload))
    }
}

/// Returns `true` for a datagram that begins with an Initial packet of a known version.
pub(super) fn is_initial(datagram: &[u8]) -> bool {
    Packet::parse(datagram).is_some_and(|(packet, _)| packet.kind == Kind::Initial)
}

/// Calls `each` with the offset and the bytes of every CRYPTO frame (RFC 9000, section 19.6).
pub(super) fn crypto_frames(frames: &[u8], mut each: impl FnMut(u64, &[u8])) -> Option<()> {
    let mut reader = Reader::new(frames);
    while !reader.is_empty() {
        match varint(&mut reader)? {
            // PADDING and PING.
            0 | 1 => {}
            // ACK, the second one with counts of congestion marks.
            kind @ (2 | 3) => {
                varint(&mut reader)?;
                varint(&mut reader)?;
                let ranges = varint(&mut reader)?;
                let marks = if kind == 3 { 3 } else { 0 };
                for _ in 0..ranges.saturating_mul(2).saturating_add(1 + marks) {
                    varint(&mut reader)?;
                }
            }
            6 => {
                let offset = varint(&mut reader)?;
                let length = usize::try_from(varint(&mut reader)?).ok()?;
                each(offset, reader.take(length)?);
            }
            // CONNECTION_CLOSE ends what can be read; nothing else is allowed here.
            _ => return None,
        }
    }
    Some(())
}

/// A number whose first two bits give its length (RFC 9000, section 16).
fn varint(reader: &mut Reader<'_>) -> Option<u64> {
    let first = reader.u8()?;
    let rest = reader.take((1 << (first >> 6)) - 1)?;
    Some(rest.iter().fold(u64::from(first & 0x3f), |value, byte| value << 8 | u64::from(*byte)))
}

/// The number closest to the next expected one (RFC 9000, appendix A.3).
fn full_number(truncated: u64, length: usize, largest: Option<u64>) -> u64 {
    let expected = largest.map_or(0, |largest| largest + 1);
    let window = 1 << (8 * length);
    let candidate = (expected & !(window - 1)) | truncated;
    if candidate + window / 2 <= expected {
        candidate + window
    } else if candidate > expected + window / 2 && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}
