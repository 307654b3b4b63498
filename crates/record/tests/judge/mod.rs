//! Records of any content, encoded and read back by programs of other people. Shared with the fuzz
//! target.

pub(crate) mod ipfix;
mod lines;

use std::net::IpAddr;
use std::time::Duration;

use flow::{
    EndReason, Endpoint, FlowSide, IcmpMessage, MacAddress, Scope, TcpFlags, Timestamp, protocol,
};
use record::{Flow, Side};

/// Numbers from bytes; zeros when there are no more.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// A number of any size: small ones are as likely as large ones.
    fn number(&mut self) -> u64 {
        let bytes = self.byte() % 9;
        (0..bytes).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    fn optional<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.byte() & 1 == 1).then(|| make(self))
    }
}

const TEXTS: [&str; 8] =
    ["http", "-", "(empty)", "a\tb", "q\"u,o\\te", "line\r\nend", "é\u{7f}\u{1}", "tls"];
const HISTORIES: [&str; 6] = ["", "S", "ShADadFf", "ShADr", "hdafG", "DaT"];
const ENDS: [EndReason; 7] = [
    EndReason::Fin,
    EndReason::Rst,
    EndReason::IdleTimeout,
    EndReason::Evicted,
    EndReason::CaptureEnded,
    EndReason::Replaced,
    EndReason::ActiveTimeout,
];

/// Flows made of these bytes, at most 40.
fn flows(bytes: &[u8]) -> Vec<Flow<'static>> {
    let mut bytes = Bytes(bytes);
    let mut flows = Vec::new();
    while !bytes.0.is_empty() && flows.len() < 40 {
        flows.push(flow(&mut bytes));
    }
    flows
}

fn flow(bytes: &mut Bytes<'_>) -> Flow<'static> {
    let kind = bytes.byte();
    let number = match kind >> 1 & 7 {
        0 => protocol::UDP,
        1 => protocol::ICMP,
        2 => protocol::ICMPV6,
        3 => protocol::SCTP,
        4 => bytes.byte(),
        _ => protocol::TCP,
    };
    let [initiator, responder] = [0; 2].map(|_| endpoint(bytes, kind & 1 == 1));
    let mut flow = Flow::new(initiator, responder, number);
    // Until the year 2262, in which signed nanoseconds end.
    flow.started = Timestamp::from_nanos(bytes.number() >> 2);
    flow.ended = flow.started + Duration::from_nanos(bytes.number() >> 2);
    side(bytes, &mut flow.initiator);
    side(bytes, &mut flow.responder);
    flow.end = ENDS[usize::from(bytes.byte()) % ENDS.len()];
    flow.history = HISTORIES[usize::from(bytes.byte()) % HISTORIES.len()];
    flow.handshake_rtt = bytes.optional(|bytes| Duration::from_nanos(bytes.number() >> 2));
    let icmp =
        |bytes: &mut Bytes<'_>| IcmpMessage { message_type: bytes.byte(), code: bytes.byte() };
    flow.icmp = bytes.optional(icmp);
    flow.application = bytes.optional(|bytes| TEXTS[usize::from(bytes.byte()) % TEXTS.len()]);
    flow.number = bytes.optional(Bytes::number);
    flow.uid = bytes.optional(|_| "CmES5u32sYpV7JYN");
    flow.conflicts = bytes.number();
    flow.interface = bytes.optional(|bytes| bytes.number() as u32);
    flow.link_header = bytes.optional(|_| 14);
    flow
}

fn endpoint(bytes: &mut Bytes<'_>, is_ipv6: bool) -> Endpoint {
    let mut octets = [0; 16];
    octets.iter_mut().for_each(|octet| *octet = bytes.byte());
    let address = if is_ipv6 {
        IpAddr::from(octets)
    } else {
        IpAddr::from([octets[0], octets[1], octets[2], octets[3]])
    };
    Endpoint { address, port: bytes.number() as u16 }
}

fn side(bytes: &mut Bytes<'_>, side: &mut Side) {
    side.scope = match bytes.byte() % 4 {
        0 => Scope(1 << 12 | 5),
        1 => Scope((1 << 12 | 5) << 13 | 1 << 12 | 4095),
        2 => Scope(1 << 63 | bytes.number()),
        _ => Scope::NONE,
    };
    side.packets = bytes.number();
    side.wire_bytes = bytes.number();
    side.ip_octets = bytes.optional(Bytes::number);
    side.payload_bytes = bytes.number();
    side.stream_bytes = bytes.number();
    side.gap_bytes = bytes.number();
    side.unplaced_bytes = bytes.number();
    side.retransmitted = bytes.number();
    side.reordered = bytes.number();
    side.zero_windows = bytes.number();
    side.tcp_flags = bytes.optional(|bytes| TcpFlags(bytes.byte()));
    side.tos = bytes.optional(Bytes::byte);
    side.ttl = bytes.optional(Bytes::byte);
    side.mac = bytes.optional(|bytes| MacAddress([bytes.byte(); 6]));
}

fn both<'f>(flow: &'f Flow<'_>) -> [(FlowSide, &'f Side); 2] {
    [(FlowSide::Initiator, &flow.initiator), (FlowSide::Responder, &flow.responder)]
}

/// Encodes flows made of these bytes in each format, and panics if a reader finds other ones.
pub(crate) fn judge(bytes: &[u8]) {
    let flows = flows(bytes);
    ipfix::judge(&flows, bytes.first().copied().unwrap_or(0));
    lines::judge_json(&flows);
    lines::judge_csv(&flows);
    lines::judge_zeek(&flows);
    lines::judge_eve(&flows);
}
