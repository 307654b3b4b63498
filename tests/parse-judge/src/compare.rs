//! Parser and reference, side by side.

use std::fmt;
use std::path::Path;

use flow::{Headers, Parsed, Parser, Unparsed};
use ring_core::{CaptureFile, Next, PacketBatch as _, PacketSource as _, Timeout};

use crate::{Reference, Seen};

/// What came of a capture file.
#[derive(Debug, Default)]
pub struct Judgement {
    /// Packets in which tshark or the parser saw TCP.
    pub tcp: u64,
    /// Those on which both agree.
    pub tcp_agreed: u64,
    /// Packets in which tshark or the parser saw UDP innermost.
    pub udp: u64,
    /// Those on which both agree.
    pub udp_agreed: u64,
    /// Fragments, in which tshark may or may not see a transport header.
    pub fragments: u64,
    /// Where they do not agree.
    pub differences: Vec<Difference>,
}

/// A packet that the parser and tshark see differently.
#[derive(Debug)]
pub struct Difference {
    /// The frame's number.
    pub frame: u64,
    /// Whether TCP is in it.
    pub tcp: bool,
    /// What tshark sees.
    pub expected: Option<Seen>,
    /// What the parser sees.
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

/// Compares a capture file's packets with what tshark saw in them.
///
/// # Errors
/// If the file cannot be opened. A file that is damaged from some point on is compared up to there.
pub fn judge(capture: &Path, reference: &Reference) -> Result<Judgement, ring_core::Error> {
    let parser = Parser::default();
    let mut source = CaptureFile::open(capture)?;
    let mut judgement = Judgement::default();
    while let Ok(Next::Batch(batch)) = source.next_batch(Timeout::Never) {
        for packet in batch.packets() {
            let (data, wire_len) = packet.without_fcs();
            let found = parser.parse(&flow::Packet {
                data,
                wire_len,
                timestamp: flow::Timestamp::default(),
                link_type: flow::LinkType(packet.meta().link_type.0),
                vlan_tci: None,
                number: packet.number(),
                checksum_partial: false,
            });
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
