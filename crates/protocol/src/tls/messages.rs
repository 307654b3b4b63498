//! Handshake messages out of fragments (RFC 8446, section 4).

/// The longest message that is assembled, in bytes with its header. Chains of certificates are the
/// longest; servers send up to about 20 KiB.
const LONGEST: usize = 128 << 10;

/// The length of a message's header.
const HEADER: usize = 4;

/// The type of a handshake message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(pub(crate) u8);

impl Kind {
    pub(crate) const CLIENT_HELLO: Self = Self(1);
    pub(crate) const SERVER_HELLO: Self = Self(2);
    pub(crate) const CERTIFICATE: Self = Self(11);
    pub(crate) const CERTIFICATE_REQUEST: Self = Self(13);

    /// Returns `true` for the types that are assigned: anything else in the place of one is
    /// encrypted.
    pub(super) const fn is_known(self) -> bool {
        matches!(self.0, 0..=6 | 8 | 11..=16 | 20..=25 | 67 | 254)
    }
}

/// The handshake messages of one side.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    buffer: Vec<u8>,
    /// The rest of a message that is not assembled.
    skip: usize,
    /// `true` if it is not known where the next message begins, until the next record does: bytes
    /// are missing, or what should be a message is encrypted.
    lost: bool,
    /// The number of messages that were too long.
    oversized: u32,
}

impl Handshakes {
    /// Takes the next bytes and calls `each` with the type and the body of every message that is
    /// complete.
    pub(crate) fn data(&mut self, mut bytes: &[u8], mut each: impl FnMut(Kind, &[u8])) {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if self.lost || bytes.is_empty() {
                return;
            }
            if self.buffer.is_empty() {
                if !Kind(bytes[0]).is_known() {
                    self.lost = true;
                    return;
                }
                // The usual case: a whole message in one record.
                if let Some(length) = length_of(bytes)
                    && let Some((message, rest)) = bytes.split_at_checked(length)
                {
                    each(Kind(message[0]), &message[HEADER..]);
                    bytes = rest;
                    continue;
                }
            }
            let wanted = length_of(&self.buffer).unwrap_or(HEADER);
            let taken = (wanted - self.buffer.len()).min(bytes.len());
            self.buffer.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            let Some(length) = length_of(&self.buffer) else { continue };
            if length > LONGEST {
                self.skip = length - self.buffer.len();
                self.oversized = self.oversized.saturating_add(1);
                self.buffer = Vec::new();
            } else if self.buffer.len() == length {
                let message = std::mem::take(&mut self.buffer);
                each(Kind(message[0]), &message[HEADER..]);
            }
        }
    }

    /// Skips missing bytes.
    pub(crate) fn gap(&mut self, len: usize) {
        let missing = if self.buffer.is_empty() {
            self.skip
        } else {
            length_of(&self.buffer).map_or(0, |length| length - self.buffer.len())
        };
        self.lost |= len > missing;
        self.skip = missing.saturating_sub(len);
        self.buffer = Vec::new();
    }

    /// Takes notice that a record begins. Senders that fragment messages are rare, so after a gap a
    /// message is expected there.
    pub(super) fn record(&mut self) {
        self.lost = false;
    }

    /// The beginning of a message that is not complete: its type and the bytes of its body.
    pub(crate) fn incomplete(&self) -> Option<(Kind, &[u8])> {
        let (header, body) = self.buffer.split_at_checked(HEADER)?;
        Some((Kind(header[0]), body))
    }

    pub(crate) const fn oversized(&self) -> u32 {
        self.oversized
    }

    pub(crate) fn memory(&self) -> usize {
        self.buffer.capacity()
    }
}

/// The length of the message that begins here, with its header.
fn length_of(message: &[u8]) -> Option<usize> {
    let &[_, a, b, c] = message.first_chunk()?;
    Some(HEADER + (usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)))
}
