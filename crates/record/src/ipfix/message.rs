//! Messages (RFC 7011, section 3.1) and sets (section 3.3).

use flow::Timestamp;

/// Bytes before the records of a set.
pub(super) const SET_HEADER: usize = 4;
const MESSAGE_HEADER: usize = 16;
const VERSION: u16 = 10;

/// A message that is being built. Empty until something is added.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    bytes: Vec<u8>,
    /// The set that is open: its number, and its place.
    set: Option<(u16, usize)>,
    records: u32,
}

/// A message that was finished.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finished {
    /// Data records.
    pub(super) count: u32,
    /// Bytes.
    pub(super) message_len: usize,
}

impl Message {
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len().max(MESSAGE_HEADER)
    }

    /// The bytes by which a data record would lengthen the message.
    pub(super) fn record_len(&self, id: u16, record: &[u8]) -> usize {
        let is_open = self.set.is_some_and(|(open, _)| open == id);
        record.len() + if is_open { 0 } else { SET_HEADER }
    }

    pub(super) fn template(&mut self, set: u16, template: &[u8]) {
        self.open(set);
        self.bytes.extend_from_slice(template);
    }

    pub(super) fn record(&mut self, id: u16, record: &[u8]) {
        self.open(id);
        self.bytes.extend_from_slice(record);
        self.records += 1;
    }

    /// Appends the message to `out` and empties it. `None` if there is nothing in it.
    pub(super) fn finish(
        &mut self,
        now: Timestamp,
        sequence: u32,
        domain: u32,
        out: &mut Vec<u8>,
    ) -> Option<Finished> {
        if self.is_empty() {
            return None;
        }
        self.close();
        let message_len = self.bytes.len();
        let header = &mut self.bytes[..MESSAGE_HEADER];
        header[..2].copy_from_slice(&VERSION.to_be_bytes());
        header[2..4].copy_from_slice(&(message_len as u16).to_be_bytes());
        header[4..8].copy_from_slice(&(now.seconds() as u32).to_be_bytes());
        header[8..12].copy_from_slice(&sequence.to_be_bytes());
        header[12..16].copy_from_slice(&domain.to_be_bytes());
        out.extend_from_slice(&self.bytes);
        self.bytes.clear();
        Some(Finished { count: std::mem::take(&mut self.records), message_len })
    }

    fn open(&mut self, id: u16) {
        if self.set.is_some_and(|(open, _)| open == id) {
            return;
        }
        self.close();
        if self.bytes.is_empty() {
            self.bytes.resize(MESSAGE_HEADER, 0);
        }
        self.set = Some((id, self.bytes.len()));
        self.bytes.extend_from_slice(&id.to_be_bytes());
        self.bytes.extend_from_slice(&[0; 2]);
    }

    fn close(&mut self) {
        if let Some((_, at)) = self.set.take() {
            let len = (self.bytes.len() - at) as u16;
            self.bytes[at + 2..at + 4].copy_from_slice(&len.to_be_bytes());
        }
    }
}

/// The messages in a buffer that an [`Exporter`](super::Exporter) has filled. Stops at the first
/// place that is not the beginning of a whole message.
pub fn messages(buffer: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = buffer;
    std::iter::from_fn(move || {
        let header = rest.first_chunk::<MESSAGE_HEADER>()?;
        let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let (message, after) = rest.split_at_checked(len.max(MESSAGE_HEADER))?;
        rest = after;
        Some(message)
    })
}
