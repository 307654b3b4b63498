//! Compares the parser with the reference.

use std::fmt;
use std::path::Path;

use capture_file::{CaptureFile, Next, PacketBatch as _, PacketSource as _, Timeout};
use flow::{Headers, Parsed, Parser, Unparsed};

use crate::{Reference, Seen};

/// The result for a capture file.
#[derive(Debug, Default)]
pub struct Judgement {
    /// The number of packets in which tshark or the parser found TCP.
    pub tcp: u64,
    /// The number of those on which both agree.
    pub tcp_agreed: u64,
    /// The number of packets in which tshark or the parser found UDP innermost.
    pub udp: u64,
    /// The number of those on which both agree.
    pub udp_agreed: u64,
    /// The number of fragments, in which tshark may or may not find a transport header.
    pub fragments: u64,
    /// The packets on which they disagree.
    pub differences: Vec<Difference>,
}

/// A packet on which the parser and tshark disagree.
#[derive(Debug)]
pub struct Difference {
    /// The frame's number.
    pub frame: u64,
    /// `true` if it contains TCP.
    pub tcp: bool,
    /// tshark's result.
    pub expected: Option<Seen>,
    /// The parser's result.
    pub found: Result<Headers, Unparsed>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            Ok(h) => write!(
                f,
                "parser {} {}:{} > {}:{} seq {} len {}",
                h.protocol,
                h.source,
                h.source_port,
                h.destination,
                h.destination_port,
                h.tcp.sequence,
                h.payload_wire_len
            )?,
            Err(reason) => write!(f, "parser {reason:?}")?,
        }
        match &self.expected {
            None => f.write_str(", tshark nothing"),
            Some(seen) => write!(
                f,
                ", tshark {} {:?} > {:?} ports {:?} seq, len {:?} in {}",
                seen.protocol, seen.sources, seen.destinations, seen.ports, seen.tcp, seen.stack
            ),
        }
    }
}

/// Compares the parser's results for a capture file with tshark's.
///
/// # Errors
/// If the file cannot be opened. A damaged file is compared up to the damage.
pub fn judge(capture: &Path, reference: &Reference) -> Result<Judgement, capture_file::Error> {
    let parser = Parser::default();
    let mut source = CaptureFile::open(capture)?;
    let mut judgement = Judgement::default();
    while let Ok(Next::Batch(batch)) = source.next_batch(Timeout::Never) {
        for packet in batch.packets() {
            let found = parser.parse(&packet);
            let expected = reference.frame(packet.number());
            match found {
                Ok(Parsed::Fragment(_) | Parsed::FrameFragment(_)) => judgement.fragments += 1,
                Ok(Parsed::Transport(headers)) => {
                    judgement.count(packet.number(), expected, Ok(headers));
                }
                Err(reason) => judgement.count(packet.number(), expected, Err(reason)),
            }
        }
    }
    Ok(judgement)
}

impl Judgement {
    fn count(&mut self, frame: u64, expected: Option<&Seen>, found: Result<Headers, Unparsed>) {
        let saw = |protocol| {
            expected.is_some_and(|seen| seen.protocol == protocol)
                || found.is_ok_and(|headers| headers.protocol == protocol)
        };
        let agreed = expected.is_some_and(|seen| found.is_ok_and(|found| agree(seen, &found)));
        if saw(6) {
            self.tcp += 1;
            self.tcp_agreed += u64::from(agreed);
        } else if saw(17) {
            self.udp += 1;
            self.udp_agreed += u64::from(agreed);
        } else {
            return;
        }
        if !agreed {
            self.differences.push(Difference {
                frame,
                tcp: saw(6),
                expected: expected.cloned(),
                found,
            });
        }
    }
}

fn agree(seen: &Seen, found: &Headers) -> bool {
    seen.protocol == found.protocol
        && seen.ports == (found.source_port, found.destination_port)
        && seen.sources.contains(&found.source)
        && seen.destinations.contains(&found.destination)
        && seen.tcp.is_none_or(|tcp| tcp == (found.tcp.sequence, found.payload_wire_len))
}
