//! Records (RFC 8446, section 5.1).

use super::ssl2;
use crate::identify::{Prefix, Verdict};

/// The longest body of a record: the limit of TLS 1.2 for encrypted ones.
const LONGEST: usize = (1 << 14) + 2048;

/// The length of a record's header.
pub(super) const HEADER: usize = 5;

/// The type of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ContentType(pub(super) u8);

impl ContentType {
    pub(super) const CHANGE_CIPHER_SPEC: Self = Self(20);
    pub(super) const ALERT: Self = Self(21);
    pub(super) const HANDSHAKE: Self = Self(22);
    pub(super) const APPLICATION_DATA: Self = Self(23);
    const HEARTBEAT: Self = Self(24);
    /// A message of SSL 2.0, which has no types of records.
    pub(super) const SSL_2: Self = Self(0x80);
}

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) kind: ContentType,
    pub(super) length: usize,
}

impl Record {
    /// Reads a header. Returns `None` if no record has it.
    pub(super) fn parse(header: [u8; HEADER]) -> Option<Self> {
        let [kind, major, minor, high, low] = header;
        let kind = ContentType(kind);
        let length = usize::from(high) << 8 | usize::from(low);
        let fits = match kind {
            ContentType::CHANGE_CIPHER_SPEC => length == 1,
            ContentType::ALERT | ContentType::HANDSHAKE | ContentType::HEARTBEAT => length > 0,
            // Records without data are allowed here, as traffic padding or against BEAST.
            ContentType::APPLICATION_DATA => true,
            _ => false,
        };
        // Drafts of TLS 1.3 sent 0x7f in front of the draft's number in no record.
        (fits && major == 3 && minor <= 4 && length <= LONGEST).then_some(Self { kind, length })
    }
}

/// Judges the beginning of a conversation: a hello of either side.
pub(super) fn probe(prefix: &Prefix<'_>) -> Verdict {
    let mut verdict = Verdict::More;
    for bytes in [prefix.initiator, prefix.responder] {
        match judge(bytes) {
            Verdict::Yes => return Verdict::Yes,
            Verdict::No => verdict = Verdict::No,
            Verdict::More => {}
        }
    }
    verdict
}

fn judge(bytes: &[u8]) -> Verdict {
    match *bytes {
        [] => Verdict::More,
        [first, ..] if first & 0x80 != 0 => ssl2::judge(bytes),
        [22] | [22, 3] => Verdict::More,
        [22, 3, ..] => {
            let Some((&header, body)) = bytes.split_first_chunk() else { return Verdict::More };
            match (Record::parse(header), body.first()) {
                (None, _) => Verdict::No,
                (Some(_), None) => Verdict::More,
                // A ClientHello or a ServerHello; a HelloRequest may come before.
                (Some(_), Some(0..=2)) => Verdict::Yes,
                (Some(_), Some(_)) => Verdict::No,
            }
        }
        _ => Verdict::No,
    }
}
