//! br (RFC 7932).

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::{Decoded, Out};

/// Bytes that are decoded at a time.
const OUTPUT: usize = 16 << 10;
/// The tables besides the window.
const TABLES: usize = 512 << 10;

pub(super) struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    output: Box<[u8]>,
    total: usize,
    /// The window that the first byte announces, in bytes.
    window: usize,
    ended: bool,
}

impl Brotli {
    pub(super) fn new() -> Self {
        let alloc = StandardAlloc::default;
        Self {
            state: BrotliState::new_strict(alloc(), alloc(), alloc()),
            output: vec![0; OUTPUT].into(),
            total: 0,
            window: 0,
            ended: false,
        }
    }

    pub(super) const fn is_ended(&self) -> bool {
        self.ended
    }

    pub(super) const fn memory(&self) -> usize {
        size_of::<Self>() + OUTPUT + TABLES + self.window
    }

    pub(super) fn data(&mut self, bytes: &[u8], out: Out<'_>) -> Result<(), Decoded> {
        if self.window == 0
            && let Some(&first) = bytes.first()
        {
            self.window = window(first);
        }
        let (mut left, mut used) = (bytes.len(), 0);
        // Bytes behind the end are ignored, as receivers do.
        while !self.ended {
            let (mut room, mut made) = (self.output.len(), 0);
            let result = BrotliDecompressStream(
                &mut left,
                &mut used,
                bytes,
                &mut room,
                &mut made,
                &mut self.output,
                &mut self.total,
                &mut self.state,
            );
            if made > 0 {
                out(&self.output[..made])?;
            }
            match result {
                BrotliResult::ResultSuccess => self.ended = true,
                BrotliResult::NeedsMoreInput => break,
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::ResultFailure => return Err(Decoded::Corrupt),
            }
        }
        Ok(())
    }
}

/// The size of the window that the first byte announces (RFC 7932, section 9.1).
const fn window(first: u8) -> usize {
    let bits = match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, _, _) => 16,
        (_, 0, 0) => 17,
        // This announces a window that is not allowed: decoding fails at once.
        (_, 0, 1) => 0,
        (_, 0, n) => 8 + n,
        (_, n, _) => 17 + n,
    };
    1 << bits
}
