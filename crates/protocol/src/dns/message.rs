//! One DNS message (RFC 1035, section 4).

use super::name;
use super::record::{self, Record};
use super::types::{RecordClass, RecordType};

/// The most answers of a message that are kept. Others are counted in [`DnsMessage::answer_count`].
pub const MAX_ANSWERS: usize = 64;

/// The most questions of a message. Resolvers send one, multicast DNS dozens.
const MAX_QUESTIONS: usize = 64;

/// The length of the header, in bytes.
const HEADER: usize = 12;

/// The pseudo-record of EDNS (RFC 6891, section 6.1).
const OPT: u16 = 41;

/// A query or a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DnsMessage {
    /// The identification that pairs a response with its query. Multicast DNS sends 0.
    pub id: u16,
    /// `true` for a response (QR).
    pub response: bool,
    /// The operation: 0 a query, 4 a notification, 5 an update.
    pub opcode: u8,
    /// `true` if the server is an authority of the name (AA).
    pub authoritative: bool,
    /// `true` if the message was shortened to the size that the transport carries (TC).
    pub truncated: bool,
    /// `true` if the client requests recursion (RD).
    pub recursion_desired: bool,
    /// `true` if the server offers recursion (RA).
    pub recursion_available: bool,
    /// `true` if the server has verified the data (AD, RFC 4035).
    pub authentic: bool,
    /// `true` if the client accepts data that was not verified (CD, RFC 4035).
    pub checking_disabled: bool,
    /// The response code, with the eight upper bits that EDNS adds (RFC 6891, section 6.1.3).
    pub rcode: u16,
    /// The questions, at most 64.
    pub questions: Vec<Question>,
    /// The records of the answer section, at most [`MAX_ANSWERS`].
    pub answers: Vec<Record>,
    /// The number of questions that the header announces.
    pub question_count: u16,
    /// The number of answers that the header announces.
    pub answer_count: u16,
    /// The number of authority records that the header announces.
    pub authority_count: u16,
    /// The number of additional records that the header announces.
    pub additional_count: u16,
    /// The sender's EDNS parameters, if the message has the record.
    pub edns: Option<Edns>,
    /// `true` if the message ends before the records that its header announces, or one of them
    /// cannot be read. What stands before that place is in the message.
    pub malformed: bool,
    /// The length of the message, in bytes.
    pub length: usize,
}

/// A question: a name, and what is asked about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Question {
    /// The name, as text without the final dot; the root is `.`.
    pub name: String,
    /// The type of the records that are wanted.
    pub qtype: RecordType,
    /// The class of the records that are wanted.
    pub qclass: RecordClass,
    /// `true` if multicast DNS requests a unicast response (RFC 6762, section 5.4).
    pub unicast_response: bool,
}

/// The parameters of EDNS (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edns {
    /// The largest UDP payload that the sender accepts, in bytes.
    pub udp_size: u16,
    /// The version; 0 is the only one.
    pub version: u8,
    /// `true` if the sender accepts DNSSEC records (DO).
    pub dnssec_ok: bool,
}

impl DnsMessage {
    /// Reads a message. `multicast` selects the meaning that multicast DNS gives the upper bit of a
    /// class (RFC 6762, sections 10.2 and 18.12).
    ///
    /// Returns `None` if there is no header, or none of the questions that it announces can be
    /// read. A message that is damaged later is returned as far as it can be read, and marked.
    #[must_use]
    pub fn parse(bytes: &[u8], multicast: bool) -> Option<Self> {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let [question_count, answer_count, authority_count, additional_count] =
            [4, 6, 8, 10].map(|at| u16::from_be_bytes([header[at], header[at + 1]]));
        let mut message = Self {
            id: u16::from_be_bytes([header[0], header[1]]),
            response: header[2] & 0x80 != 0,
            opcode: header[2] >> 3 & 0xf,
            authoritative: header[2] & 4 != 0,
            truncated: header[2] & 2 != 0,
            recursion_desired: header[2] & 1 != 0,
            recursion_available: header[3] & 0x80 != 0,
            authentic: header[3] & 0x20 != 0,
            checking_disabled: header[3] & 0x10 != 0,
            rcode: (header[3] & 0xf).into(),
            question_count,
            answer_count,
            authority_count,
            additional_count,
            length: bytes.len(),
            ..Self::default()
        };
        let records = message.read_questions(bytes, multicast);
        if question_count > 0 && message.questions.is_empty() {
            return None;
        }
        message.malformed =
            records.and_then(|at| message.read_records(bytes, at, multicast)).is_none();
        Some(message)
    }

    /// The first question. Messages have one; only multicast DNS sends more.
    #[must_use]
    pub fn question(&self) -> Option<&Question> {
        self.questions.first()
    }

    fn read_questions(&mut self, bytes: &[u8], multicast: bool) -> Option<usize> {
        let mut at = HEADER;
        for _ in 0..self.question_count {
            let (name, after) = name::read(bytes, at)?;
            let &[t1, t0, c1, c0] = bytes.get(after..)?.first_chunk()?;
            at = after + 4;
            if self.questions.len() < MAX_QUESTIONS {
                self.questions.push(Question {
                    name,
                    qtype: RecordType(u16::from_be_bytes([t1, t0])),
                    qclass: RecordClass::from_wire(u16::from_be_bytes([c1, c0]), multicast),
                    unicast_response: multicast && c1 & 0x80 != 0,
                });
            }
        }
        Some(at)
    }

    /// Reads the three sections of records. Only answers are kept; the others are walked to find
    /// the record of EDNS.
    fn read_records(&mut self, bytes: &[u8], mut at: usize, multicast: bool) -> Option<()> {
        for _ in 0..self.answer_count {
            at = if self.answers.len() < MAX_ANSWERS {
                let (record, after) = record::read(bytes, at, multicast)?;
                self.answers.push(record);
                after
            } else {
                record::frame(bytes, at)?.after
            };
        }
        for _ in 0..u32::from(self.authority_count) + u32::from(self.additional_count) {
            let frame = record::frame(bytes, at)?;
            if frame.rtype == OPT && self.edns.is_none() {
                let [extended, version, flags, _] = frame.ttl.to_be_bytes();
                self.rcode |= u16::from(extended) << 4;
                self.edns =
                    Some(Edns { udp_size: frame.class, version, dnssec_ok: flags & 0x80 != 0 });
            }
            at = frame.after;
        }
        Some(())
    }
}

/// Returns `true` if `bytes` look like a DNS message: a known operation, counts that a message of
/// this length can have, and a first question of a known class that can be read. A message without
/// a question must be readable to its end.
///
/// The header has little redundancy, so ports should decide if another protocol fits, too.
#[must_use]
pub fn is_plausible(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk() else { return false };
    match judge_header(header, bytes.len()) {
        None => false,
        Some(_) if is_netbios(bytes) => false,
        Some(0) => DnsMessage::parse(bytes, false).is_some_and(|message| !message.malformed),
        Some(_) => judge_question(&bytes[HEADER..], bytes) == Some(true),
    }
}

/// Judges the beginning of a message of `length` bytes, of which `bytes` are there. Returns `None`
/// if more of them are needed.
pub(super) fn judge(bytes: &[u8], length: usize) -> Option<bool> {
    let header = bytes.first_chunk()?;
    match judge_header(header, length) {
        None => Some(false),
        Some(_) if is_netbios(bytes) => Some(false),
        Some(0) if bytes.len() < length => None,
        Some(0) => Some(is_plausible(&bytes[..length])),
        Some(_) => judge_question(&bytes[HEADER..bytes.len().min(length)], bytes),
    }
}

/// Returns `true` for the name service of NetBIOS, which has the same header but other types. Its
/// names are 16 bytes, each written as two of the letters A to P (RFC 1001, section 14.1).
fn is_netbios(message: &[u8]) -> bool {
    let name = message.get(HEADER + 1..HEADER + 33);
    message.get(HEADER) == Some(&32)
        && name.is_some_and(|name| name.iter().all(|letter| (b'A'..=b'P').contains(letter)))
}

/// Returns the number of questions, or `None` if no message of `length` bytes has this header.
fn judge_header(header: &[u8; HEADER], length: usize) -> Option<u16> {
    let &[_, _, flags, codes, q1, q0, a1, a0, n1, n0, x1, x0] = header;
    let opcode = flags >> 3 & 0xf;
    let questions = u16::from_be_bytes([q1, q0]);
    let records = [[a1, a0], [n1, n0], [x1, x0]].map(|count| u32::from(u16::from_be_bytes(count)));
    // Operation 3 and those above 6 are not assigned; the bit Z is zero (RFC 1035, section 4.1.1).
    if !matches!(opcode, 0..=2 | 4..=6) || codes & 0x40 != 0 || questions > MAX_QUESTIONS as u16 {
        return None;
    }
    let response = flags & 0x80 != 0;
    if !response && opcode == 0 && codes & 0xf != 0 {
        return None;
    }
    if questions == 0 && records[0] == 0 && (!response || codes & 0xf == 0) {
        return None;
    }
    // A question takes 5 bytes or more, a record 11 or more. A response that was cut to the size of
    // a datagram may announce what it had before (TC).
    let least = HEADER as u32 + 5 * u32::from(questions) + 11 * records.iter().sum::<u32>();
    let cut = response && flags & 2 != 0;
    (cut || least as usize <= length).then_some(questions)
}

/// Judges the first question. `message` has it after the header.
fn judge_question(question: &[u8], message: &[u8]) -> Option<bool> {
    let Some(after) = name::skip(question, 0) else {
        // Not complete, or not a name.
        let walked = (question.len() < 256).then(|| name::skip(&[question, &[0; 64]].concat(), 0));
        return if walked.flatten().is_some() { None } else { Some(false) };
    };
    let &[t1, t0, c1, c0] = question.get(after..)?.first_chunk()?;
    let rtype = RecordType(u16::from_be_bytes([t1, t0]));
    let class = u16::from_be_bytes([c1, c0]) & 0x7fff;
    let known = matches!(class, 1 | 3 | 4 | 254 | 255)
        && (rtype.name().is_some() || (0xff00..0xffff).contains(&rtype.0));
    Some(known && name::read(message, HEADER).is_some())
}
