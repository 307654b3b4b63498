//! A request, built attribute by attribute.

const NLM_F_REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const NLM_F_ACK: u16 = libc::NLM_F_ACK as u16;
const NLA_F_NESTED: u16 = libc::NLA_F_NESTED as u16;

/// Length of `struct nlmsghdr`.
pub(super) const HEADER: usize = 16;

/// A message to the kernel that requests an acknowledgement.
#[derive(Debug)]
#[must_use = "nothing is requested before `Socket::ask`"]
pub struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// Begins a message of the type `kind` that starts with the family's own fixed header.
    pub fn new(kind: u16, flags: u16, family_header: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
        bytes.extend_from_slice(family_header);
        pad(&mut bytes);
        Self { bytes }
    }

    /// Appends an attribute.
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.open(kind);
        let start = self.bytes.len() - 4;
        self.bytes.extend_from_slice(value);
        self.close(start);
        self
    }

    /// Appends a null-terminated string attribute.
    pub fn text(self, kind: u16, value: &str) -> Self {
        let mut value = value.as_bytes().to_vec();
        value.push(0);
        self.attribute(kind, &value)
    }

    /// Appends an attribute that holds what `fill` appends.
    pub fn nested(mut self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        self.open(kind | NLA_F_NESTED);
        let start = self.bytes.len() - 4;
        let mut filled = fill(self);
        filled.close(start);
        filled
    }

    /// Appends raw bytes, such as the fixed header inside a nested attribute.
    pub fn raw(mut self, value: &[u8]) -> Self {
        self.bytes.extend_from_slice(value);
        pad(&mut self.bytes);
        self
    }

    /// The message as it is sent.
    pub(super) fn into_bytes(mut self, sequence: u32) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }

    fn open(&mut self, kind: u16) {
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
    }

    /// Writes the length of the attribute that began at `start`. The length excludes padding.
    fn close(&mut self, start: usize) {
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        pad(&mut self.bytes);
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}
