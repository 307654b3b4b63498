//! gzip (RFC 1952) and deflate, with zlib's frame (RFC 1950) or without (RFC 1951).

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{Decoded, Out};

/// The window and the tables of the decompressor, and the buffer of its output.
pub(super) const MEMORY: usize = (44 << 10) + OUTPUT;
/// Bytes that are decoded at a time.
const OUTPUT: usize = 16 << 10;

pub(super) struct Inflate {
    phase: Phase,
    inflate: Decompress,
    crc: Crc,
    output: Box<[u8]>,
}

/// The place in the frame.
enum Phase {
    /// In gzip's fixed header: the bytes so far.
    Header([u8; 10], usize),
    /// In the optional parts of the header, whose flags are left.
    Extra {
        flags: u8,
        part: Part,
    },
    /// Before the first two bytes of `deflate`, which say whether it has a frame.
    Unknown(Option<u8>),
    Data {
        gzip: bool,
    },
    /// In gzip's checksum and length: the bytes so far.
    Trailer([u8; 8], usize),
    /// Behind the end. `true` if another member of gzip may follow.
    End(bool),
}

/// A part of gzip's header of variable length.
#[derive(Clone, Copy)]
enum Part {
    Next,
    ExtraLen(Option<u8>),
    Skip(u16),
    /// Up to a zero: the name or the comment.
    Text,
}

const HCRC: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;

impl Inflate {
    pub(super) fn gzip() -> Self {
        Self::new(Phase::Header([0; 10], 0), false)
    }

    pub(super) fn deflate() -> Self {
        Self::new(Phase::Unknown(None), true)
    }

    fn new(phase: Phase, zlib: bool) -> Self {
        let output = vec![0; OUTPUT].into();
        Self { phase, inflate: Decompress::new(zlib), crc: Crc::new(), output }
    }

    pub(super) const fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::End(_))
    }

    pub(super) fn data(&mut self, bytes: &[u8], out: Out<'_>) -> Result<(), Decoded> {
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            match &mut self.phase {
                Phase::Data { .. } => {
                    let used = self.inflate(rest, out)?;
                    rest = &rest[used..];
                    continue;
                }
                Phase::Unknown(None) => self.phase = Phase::Unknown(Some(byte)),
                Phase::Unknown(Some(first)) => {
                    let first = *first;
                    let zlib =
                        first & 15 == 8 && (u16::from(first) << 8 | u16::from(byte)) % 31 == 0;
                    self.inflate = Decompress::new(zlib);
                    self.phase = Phase::Data { gzip: false };
                    self.inflate(&[first], out)?;
                    continue;
                }
                Phase::Header(header, len) => {
                    header[*len] = byte;
                    *len += 1;
                    let begin = [0x1f, 0x8b, 8];
                    if header[..*len].iter().zip(begin).any(|(own, known)| *own != known) {
                        return Err(Decoded::Corrupt);
                    }
                    if *len == header.len() {
                        self.phase = Phase::Extra { flags: header[3], part: Part::Next };
                        self.next_part();
                    }
                }
                Phase::Extra { part, .. } => {
                    match part {
                        Part::ExtraLen(None) => *part = Part::ExtraLen(Some(byte)),
                        Part::ExtraLen(Some(low)) => {
                            *part = Part::Skip(u16::from_le_bytes([*low, byte]));
                        }
                        Part::Skip(left) => *left -= 1,
                        Part::Text if byte == 0 => *part = Part::Next,
                        Part::Text | Part::Next => {}
                    }
                    self.next_part();
                }
                Phase::Trailer(trailer, len) => {
                    trailer[*len] = byte;
                    *len += 1;
                    if *len == trailer.len() {
                        let [a, b, c, d, e, f, g, h] = *trailer;
                        let (sum, amount) = (self.crc.sum(), self.crc.amount());
                        if [a, b, c, d] != sum.to_le_bytes() || [e, f, g, h] != amount.to_le_bytes()
                        {
                            return Err(Decoded::Corrupt);
                        }
                        self.phase = Phase::End(true);
                    }
                }
                // Another member (RFC 1952, section 2.2). Other bytes behind the end are padding,
                // which receivers ignore.
                Phase::End(true) if byte == 0x1f => {
                    self.inflate.reset(false);
                    self.crc.reset();
                    self.phase = Phase::Header([0; 10], 0);
                    continue;
                }
                Phase::End(_) => {
                    self.phase = Phase::End(false);
                    return Ok(());
                }
            }
            rest = &rest[1..];
        }
        Ok(())
    }

    /// Finds the next part of gzip's header.
    fn next_part(&mut self) {
        let Phase::Extra { flags, part } = &mut self.phase else { return };
        if matches!(part, Part::Skip(0)) {
            *part = Part::Next;
        }
        if !matches!(part, Part::Next) {
            return;
        }
        // In this order; the flag for a text has no meaning.
        for (flag, next) in [
            (EXTRA, Part::ExtraLen(None)),
            (NAME, Part::Text),
            (COMMENT, Part::Text),
            (HCRC, Part::Skip(2)),
        ] {
            if *flags & flag != 0 {
                *flags &= !flag;
                *part = next;
                return;
            }
        }
        self.phase = Phase::Data { gzip: true };
    }

    /// Decompresses. Returns the number of bytes that were used.
    fn inflate(&mut self, bytes: &[u8], out: Out<'_>) -> Result<usize, Decoded> {
        let mut used = 0;
        loop {
            let before = (self.inflate.total_in(), self.inflate.total_out());
            let status =
                self.inflate.decompress(&bytes[used..], &mut self.output, FlushDecompress::None);
            let taken = (self.inflate.total_in() - before.0) as usize;
            let made = (self.inflate.total_out() - before.1) as usize;
            used += taken;
            let made = &self.output[..made];
            let Phase::Data { gzip } = self.phase else { return Ok(used) };
            if gzip {
                self.crc.update(made);
            }
            if !made.is_empty() {
                out(made)?;
            }
            match status {
                Ok(Status::StreamEnd) => {
                    self.phase = if gzip { Phase::Trailer([0; 8], 0) } else { Phase::End(false) };
                    return Ok(used);
                }
                Ok(_) if taken == 0 && made.is_empty() => {
                    // A decompressor that neither reads nor writes waits for more.
                    return if used == bytes.len() { Ok(used) } else { Err(Decoded::Corrupt) };
                }
                Ok(_) => {}
                Err(_) => return Err(Decoded::Corrupt),
            }
        }
    }
}
