//! Messages of gRPC, counted.

use super::Grpc;

/// The length of the prefix of a message: a flag and a length.
const PREFIX: usize = 5;

/// Counts the messages of one direction of a call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counter {
    /// Bytes of the message that are left.
    left: u64,
    prefix: [u8; PREFIX],
    len: usize,
    messages: u64,
    /// The place is not known any more.
    lost: bool,
}

impl Counter {
    pub(super) fn data(&mut self, mut bytes: &[u8]) {
        while !self.lost && !bytes.is_empty() {
            if self.left > 0 {
                let len = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= len as u64;
                bytes = &bytes[len..];
                continue;
            }
            self.prefix[self.len] = bytes[0];
            self.len += 1;
            bytes = &bytes[1..];
            if self.len == PREFIX {
                let [_, len @ ..] = self.prefix;
                self.left = u32::from_be_bytes(len).into();
                self.len = 0;
                self.messages += 1;
            }
        }
    }

    pub(super) fn lose(&mut self) {
        self.lost = true;
    }

    pub(super) fn gap(&mut self, len: u64) {
        match self.left.checked_sub(len) {
            Some(left) if self.left > 0 => self.left = left,
            _ => self.lost = true,
        }
    }
}

/// The messages of both directions, with the outcome.
pub(super) fn of(
    asked: Counter,
    answered: Counter,
    status: Option<u32>,
    text: Option<&[u8]>,
) -> Grpc {
    let count = |counter: Counter| (!counter.lost).then_some(counter.messages);
    Grpc {
        request_messages: count(asked),
        response_messages: count(answered),
        status,
        message: text.map(Into::into),
    }
}
