//! Bodies of messages.

use ::protocol::{BodyHead, BodyPiece, Message, MessageSink, Side};
use bytes::Bytes;

/// A part of the body of a message, as
/// [`messages_with_bodies`](crate::FlowStreamBuilder::messages_with_bodies) gives them.
///
/// The parts of a body come in order, between those of other bodies, and before the message that
/// the body belongs to. If the reader was too slow for a source that cannot wait, parts are
/// missing where [`Lagged`](crate::MessageEvent::Lagged) stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BodyPart {
    /// The body begins.
    Begin(Box<BodyHead>),
    /// The next bytes, with their codings.
    Data(Bytes),
    /// The number of the next bytes, which were not captured.
    Gap(u64),
    /// The body is over. `true` if all of it was captured.
    End(bool),
}

impl BodyPart {
    /// Returns the bytes of memory that the part refers to.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Data(bytes) => bytes.len(),
            Self::Begin(head) => {
                let texts = [&head.host, &head.path, &head.media_type];
                size_of::<BodyHead>()
                    + texts.into_iter().flatten().map(|it| it.len()).sum::<usize>()
            }
            Self::Gap(_) | Self::End(_) => 0,
        }
    }
}

/// The output of a parser: a message, or a part of the body of one.
pub(super) enum Found {
    Message(Message),
    Body(Side, u64, BodyPart),
}

/// Collects what a parser finds.
pub(super) struct Collector<'a> {
    pub(super) found: &'a mut Vec<Found>,
    pub(super) bodies: bool,
}

impl MessageSink for Collector<'_> {
    fn message(&mut self, message: Message) {
        self.found.push(Found::Message(message));
    }

    fn wants_bodies(&self) -> bool {
        self.bodies
    }

    fn body(&mut self, piece: BodyPiece<'_>) {
        let part = match piece {
            BodyPiece::Begin { head, .. } => BodyPart::Begin(Box::new(head.clone())),
            BodyPiece::Data { bytes, .. } => BodyPart::Data(Bytes::copy_from_slice(bytes)),
            BodyPiece::Gap { len, .. } => BodyPart::Gap(len),
            BodyPiece::End { complete, .. } => BodyPart::End(complete),
            _ => return,
        };
        self.found.push(Found::Body(piece.side(), piece.message(), part));
    }
}
