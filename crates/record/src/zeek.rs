//! Zeek's `conn.log`, as Zeek 6 writes it: tab-separated values, or JSON lines.
//!
//! - `orig_bytes` and `resp_bytes` of TCP come from sequence numbers, so they include missing
//!   bytes, as in Zeek.
//! - `orig_ip_bytes` and `resp_ip_bytes` are unset unless IP octets were counted.
//! - `local_orig`, `local_resp` and `tunnel_parents` are unset: nothing knows the site's networks,
//!   and a tunnel is no record of its own.
//! - A flow of another protocol than TCP, UDP and ICMP is `unknown_transport`.

mod state;

use flow::{FlowSide, Timestamp, protocol};

pub use self::state::{conn_state, history};
use crate::text::{self, Calendar};
use crate::{Flow, Octets, Side, uid};

/// The fields with their types, in order.
const FIELDS: [(&str, &str); 21] = [
    ("ts", "time"),
    ("uid", "string"),
    ("id.orig_h", "addr"),
    ("id.orig_p", "port"),
    ("id.resp_h", "addr"),
    ("id.resp_p", "port"),
    ("proto", "enum"),
    ("service", "string"),
    ("duration", "interval"),
    ("orig_bytes", "count"),
    ("resp_bytes", "count"),
    ("conn_state", "string"),
    ("local_orig", "bool"),
    ("local_resp", "bool"),
    ("missed_bytes", "count"),
    ("history", "string"),
    ("orig_pkts", "count"),
    ("orig_ip_bytes", "count"),
    ("resp_pkts", "count"),
    ("resp_ip_bytes", "count"),
    ("tunnel_parents", "set[string]"),
];

/// Appends the lines at the beginning of a log with tab-separated values. `opened` is the time at
/// which the log was opened.
pub fn header(opened: Timestamp, out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#open\t",
    );
    Calendar::new(opened).write(out, b'-', b'-', b'-');
    out.extend_from_slice(b"\n#fields");
    for (name, _) in FIELDS {
        out.push(b'\t');
        out.extend_from_slice(name.as_bytes());
    }
    out.extend_from_slice(b"\n#types");
    for (_, kind) in FIELDS {
        out.push(b'\t');
        out.extend_from_slice(kind.as_bytes());
    }
    out.push(b'\n');
}

/// Appends the line at the end of a log with tab-separated values.
pub fn footer(closed: Timestamp, out: &mut Vec<u8>) {
    out.extend_from_slice(b"#close\t");
    Calendar::new(closed).write(out, b'-', b'-', b'-');
    out.push(b'\n');
}

/// Appends a record as tab-separated values.
pub fn encode_tsv(flow: &Flow<'_>, out: &mut Vec<u8>) {
    visit(flow, &mut Row { out, is_first: true });
    out.push(b'\n');
}

/// Appends a record as a JSON object in a line. Fields that are not set are left out.
pub fn encode_json(flow: &Flow<'_>, out: &mut Vec<u8>) {
    out.push(b'{');
    visit(flow, &mut Object { out, field: 0 });
    out.extend_from_slice(b"}\n");
}

/// Takes the values of the fields, in order.
trait Fields {
    /// Seconds with six decimals.
    fn seconds(&mut self, nanos: Option<u64>);
    fn text(&mut self, text: Option<&str>);
    /// Text that needs no escapes.
    fn plain(&mut self, write: impl FnOnce(&mut Vec<u8>));
    fn number(&mut self, number: Option<u64>);
}

fn visit(flow: &Flow<'_>, to: &mut impl Fields) {
    let (initiator, responder) = (&flow.initiator, &flow.responder);
    let duration = flow.duration().as_nanos() as u64;
    // Zeek knows no duration, and no sizes, of a single packet.
    let lasted = duration > 0;
    let (orig_port, resp_port) = ports(flow);
    to.seconds(Some(flow.started.as_nanos()));
    uid::with(flow, |uid| to.text(Some(uid)));
    to.plain(|out| text::address(out, initiator.endpoint.address));
    to.number(Some(u64::from(orig_port)));
    to.plain(|out| text::address(out, responder.endpoint.address));
    to.number(Some(u64::from(resp_port)));
    to.text(Some(match flow.protocol {
        protocol::TCP => "tcp",
        protocol::UDP => "udp",
        protocol::ICMP | protocol::ICMPV6 => "icmp",
        _ => "unknown_transport",
    }));
    to.text(flow.application);
    to.seconds(lasted.then_some(duration));
    to.number(lasted.then(|| size(flow, initiator)));
    to.number(lasted.then(|| size(flow, responder)));
    to.text(Some(conn_state(flow)));
    to.text(None);
    to.text(None);
    to.number(Some(initiator.gap_bytes.saturating_add(responder.gap_bytes)));
    let letters = history(flow);
    to.text((!letters.is_empty()).then_some(&letters));
    for side in [FlowSide::Initiator, FlowSide::Responder] {
        to.number(Some(flow.side(side).packets));
        to.number(match flow.octets(side) {
            Octets::Counted(octets) => Some(octets),
            Octets::Estimated(_) => None,
        });
    }
    to.text(None);
}

/// The ports; of ICMP the type and the code.
fn ports(flow: &Flow<'_>) -> (u16, u16) {
    match (flow.protocol, flow.icmp) {
        (protocol::ICMP | protocol::ICMPV6, Some(icmp)) => {
            (u16::from(icmp.message_type), u16::from(icmp.code))
        }
        _ => (flow.initiator.endpoint.port, flow.responder.endpoint.port),
    }
}

fn size(flow: &Flow<'_>, side: &Side) -> u64 {
    if flow.protocol == protocol::TCP {
        side.stream_bytes.saturating_add(side.gap_bytes)
    } else {
        side.payload_bytes
    }
}

/// A line of tab-separated values.
struct Row<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

impl Row<'_> {
    fn next(&mut self) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(b'\t');
        }
        self.out
    }
}

impl Fields for Row<'_> {
    fn seconds(&mut self, nanos: Option<u64>) {
        let out = self.next();
        match nanos {
            Some(nanos) => text::microseconds(out, nanos),
            None => out.push(b'-'),
        }
    }

    fn text(&mut self, text: Option<&str>) {
        let out = self.next();
        match text {
            None => out.push(b'-'),
            Some("") => out.extend_from_slice(b"(empty)"),
            Some(text) => escaped(out, text),
        }
    }

    fn plain(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(self.next());
    }

    fn number(&mut self, number: Option<u64>) {
        let out = self.next();
        match number {
            Some(number) => text::number(out, number),
            None => out.push(b'-'),
        }
    }
}

/// Writes text so that it is neither a separator nor one of the two special values: such bytes, and
/// those that are not printable ASCII, as `\xNN`.
fn escaped(out: &mut Vec<u8>, text: &str) {
    let is_special = matches!(text, "-" | "(empty)");
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b' '..=b'~' if at > 0 || !is_special => out.push(byte),
            _ => {
                let digits = [byte >> 4, byte & 15].map(|digit| text::HEX[usize::from(digit)]);
                out.extend_from_slice(&[b'\\', b'x', digits[0], digits[1]]);
            }
        }
    }
}

/// A JSON object.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    /// Fields so far, also those that are left out.
    field: usize,
}

impl Object<'_> {
    fn name(&mut self) -> &mut Vec<u8> {
        if self.field > 0 {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(FIELDS[self.field].0.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.field += 1;
        self.out
    }
}

impl Fields for Object<'_> {
    fn seconds(&mut self, nanos: Option<u64>) {
        match nanos {
            Some(nanos) => text::microseconds(self.name(), nanos),
            None => self.field += 1,
        }
    }

    fn text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => text::json_string(self.name(), text),
            None => self.field += 1,
        }
    }

    fn plain(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let out = self.name();
        out.push(b'"');
        write(out);
        out.push(b'"');
    }

    fn number(&mut self, number: Option<u64>) {
        match number {
            Some(number) => text::number(self.name(), number),
            None => self.field += 1,
        }
    }
}

#[cfg(test)]
mod tests;
