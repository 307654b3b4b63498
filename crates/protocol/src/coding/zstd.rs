//! zstd (RFC 8878).
//!
//! The decoder receives one block at a time. With more of them, a few bytes would decode to
//! gigabytes before a limit is compared.

use std::io::Read as _;

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{Decoded, Out};

/// Bytes of a window (RFC 9659).
const WINDOW: u64 = 8 << 20;
/// Bytes of a block (RFC 8878, section 3.1.1.2.3).
const BLOCK: usize = 128 << 10;
/// Bytes that are taken from the decoder at a time.
const OUTPUT: usize = 16 << 10;
const MAGIC: u32 = 0xfd2f_b528;
/// The lowest of the 16 numbers of frames that are skipped.
const SKIPPABLE: u32 = 0x184d_2a50;

pub(super) struct Zstd {
    decoder: FrameDecoder,
    /// Bytes of a header or a block that is not complete.
    buffer: Vec<u8>,
    phase: Phase,
    window: usize,
    output: Box<[u8]>,
}

enum Phase {
    /// Before a frame. `true` after the first one.
    Frame(bool),
    /// Before a block. `true` if a checksum follows the last one.
    Block(bool),
    /// In a frame that is skipped, with as many bytes left.
    Skip(u32),
}

impl Zstd {
    pub(super) fn new() -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        let output = vec![0; OUTPUT].into();
        Self { decoder, buffer: Vec::new(), phase: Phase::Frame(false), window: 0, output }
    }

    pub(super) const fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Frame(true)) && self.buffer.is_empty()
    }

    pub(super) fn memory(&self) -> usize {
        // The decoder's buffer has room for the window and one block.
        size_of::<Self>() + self.buffer.capacity() + OUTPUT + self.window + 2 * BLOCK
    }

    pub(super) fn data(&mut self, bytes: &[u8], out: Out<'_>) -> Result<(), Decoded> {
        self.buffer.extend_from_slice(bytes);
        let mut used = 0;
        while let Some(len) = self.step(used, out)? {
            used += len;
        }
        self.buffer.drain(..used);
        Ok(())
    }

    /// Takes the next part of the buffer. Returns its length; `None` if it is not complete.
    fn step(&mut self, from: usize, out: Out<'_>) -> Result<Option<usize>, Decoded> {
        let bytes = &self.buffer[from..];
        match self.phase {
            Phase::Skip(left) => {
                let len = bytes.len().min(left as usize);
                let left = left - len as u32;
                self.phase = if left == 0 { Phase::Frame(true) } else { Phase::Skip(left) };
                Ok((len > 0 || left == 0).then_some(len))
            }
            Phase::Frame(_) => {
                let Some(magic) = bytes.first_chunk().map(|four| u32::from_le_bytes(*four)) else {
                    return Ok(None);
                };
                if magic & !15 == SKIPPABLE {
                    let Some(len) = bytes.get(4..).and_then(<[u8]>::first_chunk) else {
                        return Ok(None);
                    };
                    self.phase = Phase::Skip(u32::from_le_bytes(*len));
                    return Ok(Some(8));
                }
                if magic != MAGIC {
                    return Err(Decoded::Corrupt);
                }
                let Some(len) = header_len(bytes).filter(|len| *len <= bytes.len()) else {
                    return Ok(None);
                };
                let checksum = bytes[4] & 4 != 0;
                self.decoder.reset(&bytes[..len]).map_err(|_| Decoded::Corrupt)?;
                self.window = announced(&bytes[..len]);
                self.phase = Phase::Block(checksum);
                Ok(Some(len))
            }
            Phase::Block(checksum) => {
                let Some(&[a, b, c]) = bytes.first_chunk() else { return Ok(None) };
                let head = u32::from_le_bytes([a, b, c, 0]);
                let (last, kind, size) = (head & 1 == 1, head >> 1 & 3, (head >> 3) as usize);
                if size > BLOCK {
                    return Err(Decoded::Corrupt);
                }
                // A block that repeats one byte has only this.
                let content = if kind == 1 { 1 } else { size };
                let len = 3 + content + if last && checksum { 4 } else { 0 };
                if bytes.len() < len {
                    return Ok(None);
                }
                let one = BlockDecodingStrategy::UptoBlocks(1);
                let decoded = self.decoder.decode_blocks(&bytes[..len], one);
                let finished = decoded.map_err(|_| Decoded::Corrupt)?;
                loop {
                    let made = self.decoder.read(&mut self.output).map_err(|_| Decoded::Corrupt)?;
                    if made == 0 {
                        break;
                    }
                    out(&self.output[..made])?;
                }
                if finished {
                    let sums = [
                        self.decoder.get_checksum_from_data(),
                        self.decoder.get_calculated_checksum(),
                    ];
                    if sums[0].is_some() && sums[0] != sums[1] {
                        return Err(Decoded::Corrupt);
                    }
                    self.phase = Phase::Frame(true);
                }
                Ok(Some(len))
            }
        }
    }
}

/// The length of a frame's header (RFC 8878, section 3.1.1.1).
fn header_len(bytes: &[u8]) -> Option<usize> {
    let descriptor = *bytes.get(4)?;
    let single = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = match descriptor >> 6 {
        0 => usize::from(single),
        exponent => 1 << exponent,
    };
    Some(5 + usize::from(!single) + dictionary + size)
}

/// The size of the window that a frame's header announces; if it has none, the window is as large
/// as the content.
fn announced(header: &[u8]) -> usize {
    if header[4] & 0x20 != 0 {
        return WINDOW as usize;
    }
    let (exponent, mantissa) = (header[5] >> 3, header[5] & 7);
    let base = 1_u64 << (10 + exponent);
    (base + base / 8 * u64::from(mantissa)).min(WINDOW) as usize
}
