//! IPFIX: messages of RFC 7011, one record for each direction, or one for both (RFC 5103).
//!
//! An [`Exporter`] appends whole messages to a buffer. A message over UDP is a datagram, and
//! [`messages`] takes the buffer apart. Over TCP, and in a file (RFC 5655), messages follow each
//! other without anything between, so the buffer is written as it is.
//!
//! Information elements of the IANA registry are used, and no others:
//!
//! | element | value |
//! |---|---|
//! | flowStartMilliseconds, flowEndMilliseconds (or …Nanoseconds) | of the whole flow, also in a record of one direction |
//! | source and destination address and port, protocolIdentifier | |
//! | packetDeltaCount | |
//! | octetDeltaCount | octets of IP packets: counted, or estimated as [`Flow::octets`] describes |
//! | layer2OctetDeltaCount | bytes of the frames, always counted |
//! | tcpControlBits | [`Flow::tcp_flags`] |
//! | icmpTypeCodeIPv4, icmpTypeCodeIPv6 | if known |
//! | flowEndReason | |
//! | vlanId, dot1qCustomerVlanId | the outer and the inner VLAN, if there are any |
//! | ipClassOfService, ipTTL, sourceMacAddress, ingressInterface, applicationName, flowId | if known |
//! | biflowDirection | in records of both directions: 1, the initiator sent first |
//!
//! Each combination of known values has a template of its own, which precedes its first record.

mod element;
mod layout;
mod message;

use std::time::Duration;

use flow::{FlowSide, Timestamp};

use self::layout::Layout;
use self::message::Message;
use crate::Flow;

pub use self::message::messages;

/// The means by which messages reach the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// Each message is a datagram, which may be lost: templates are sent again and again.
    Datagrams,
    /// A reliable stream, or a file: a template is sent once.
    Stream,
}

/// The precision of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// Elements that all collectors know.
    Milliseconds,
    /// Elements in the format of NTP (RFC 7011, section 6.1.10).
    Nanoseconds,
}

/// The configuration of an [`Exporter`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ExporterBuilder {
    transport: Transport,
    domain: u32,
    biflow: bool,
    precision: Precision,
    message_limit: Option<usize>,
    template_interval: Duration,
    template_messages: u32,
}

/// Counters that only the program that meters and sends knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metering {
    /// Packets that were dropped before they could be metered.
    pub dropped_packets: u64,
    /// Packets that belong to no flow.
    pub ignored_packets: u64,
    /// Records that could not be sent.
    pub not_sent_flows: u64,
}

/// Encodes flows into messages of one observation domain, for one collector.
///
/// # Examples
///
/// ```
/// use record::{Flow, ipfix};
///
/// let mut exporter = ipfix::Exporter::builder(ipfix::Transport::Datagrams).build();
/// let mut flow = Flow::new("192.0.2.1:40000".parse()?, "192.0.2.2:53".parse()?, 17);
/// flow.initiator.packets = 1;
/// let now = flow::Timestamp::from_parts(1_700_000_000, 0);
/// let mut out = Vec::new();
/// exporter.encode(&flow, now, &mut out);
/// assert!(out.is_empty()); // the message has room for more
/// exporter.flush(now, &mut out);
/// for message in ipfix::messages(&out) {
///     assert_eq!(message[..2], [0, 10]); // socket.send(message)
/// }
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Exporter {
    config: ExporterBuilder,
    limit: usize,
    /// Data records before the message that is being built (RFC 7011, section 3.1).
    sequence: u32,
    templates: Vec<Template>,
    message: Message,
    record: Vec<u8>,
    /// The time at which all templates were last sent, and the messages since.
    refreshed: Option<Timestamp>,
    messages_since: u32,
    totals: Totals,
}

#[derive(Clone, Debug)]
struct Template {
    layout: Layout,
    /// The template record.
    bytes: Vec<u8>,
    is_sent: bool,
}

/// Counters of exported data, for the statistics.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    messages: u64,
    records: u64,
    octets: u64,
}

/// The largest message that fits into an IPv6 packet of 1,280 bytes, which no link fragments
/// (RFC 8200, section 5), with the headers of IPv6 and UDP.
const DATAGRAM_LIMIT: usize = 1280 - 48;
/// The greatest length that a message can state.
const STREAM_LIMIT: usize = 65_535;
/// The smallest limit: RFC 7011, section 10.3.3, for networks whose MTU is not known.
const LEAST_LIMIT: usize = 512;

impl ExporterBuilder {
    /// Sets the number of the observation domain [default: 0, no particular one].
    pub const fn domain(mut self, domain: u32) -> Self {
        self.domain = domain;
        self
    }

    /// Encodes both directions of a flow as one record with reverse elements (RFC 5103), instead of
    /// a record for each direction that has packets [default: no].
    pub const fn biflow(mut self, on: bool) -> Self {
        self.biflow = on;
        self
    }

    /// Sets the precision of start and end [default: milliseconds].
    pub const fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Sets the maximum length of a message in bytes, from 512 to 65,535 [default: 1,232 for
    /// datagrams, so that no packet is fragmented; 65,535 for streams].
    pub const fn message_limit(mut self, bytes: usize) -> Self {
        self.message_limit = Some(bytes);
        self
    }

    /// Sets how often templates are sent again over datagrams: after this time, or after this
    /// number of messages, whichever comes first [default: one minute and 200 messages].
    pub const fn template_refresh(mut self, interval: Duration, messages: u32) -> Self {
        self.template_interval = interval;
        self.template_messages = messages;
        self
    }

    /// Builds the exporter.
    #[must_use]
    pub fn build(self) -> Exporter {
        let default = match self.transport {
            Transport::Datagrams => DATAGRAM_LIMIT,
            Transport::Stream => STREAM_LIMIT,
        };
        let limit = self.message_limit.unwrap_or(default).clamp(LEAST_LIMIT, STREAM_LIMIT);
        Exporter {
            config: self,
            limit,
            sequence: 0,
            templates: Vec::new(),
            message: Message::default(),
            record: Vec::new(),
            refreshed: None,
            messages_since: 0,
            totals: Totals::default(),
        }
    }
}

impl Exporter {
    /// Returns the configuration of an exporter, with defaults.
    pub const fn builder(transport: Transport) -> ExporterBuilder {
        ExporterBuilder {
            transport,
            domain: 0,
            biflow: false,
            precision: Precision::Milliseconds,
            message_limit: None,
            template_interval: Duration::from_secs(60),
            template_messages: 200,
        }
    }

    /// Encodes a flow. Appends a message to `out` if the flow no longer fits into it, and keeps the
    /// rest for the next call.
    ///
    /// Counters of IPFIX are deltas: of a flow with interim records, pass what was added since the
    /// last one.
    pub fn encode(&mut self, flow: &Flow<'_>, now: Timestamp, out: &mut Vec<u8>) {
        if self.config.biflow {
            // A record needs a sender, and a flow may have nothing from its initiator.
            let reversed = flow.initiator.packets == 0 && flow.responder.packets > 0;
            let sender = if reversed { FlowSide::Responder } else { FlowSide::Initiator };
            self.record(flow, sender, now, out);
            return;
        }
        for sender in [FlowSide::Initiator, FlowSide::Responder] {
            if flow.side(sender).packets > 0 {
                self.record(flow, sender, now, out);
            }
        }
    }

    /// Appends the message that is not full yet, if it has anything.
    pub fn flush(&mut self, now: Timestamp, out: &mut Vec<u8>) {
        let Some(records) = self.message.finish(now, self.sequence, self.config.domain, out) else {
            return;
        };
        self.sequence = self.sequence.wrapping_add(records.count);
        self.messages_since = self.messages_since.saturating_add(1);
        self.totals.messages += 1;
        self.totals.records += u64::from(records.count);
        self.totals.octets += records.message_len as u64;
    }

    /// Encodes a record with counters of the exporter and of the metering, in the way of RFC 7011,
    /// section 4: messages, records and octets exported before this record's message, packets
    /// dropped and ignored, and flows that were not sent.
    pub fn encode_statistics(&mut self, metering: &Metering, now: Timestamp, out: &mut Vec<u8>) {
        let mut record = std::mem::take(&mut self.record);
        record.clear();
        let Totals { messages, records, octets } = self.totals;
        let values = [
            messages,
            records,
            octets,
            metering.dropped_packets,
            metering.ignored_packets,
            metering.not_sent_flows,
        ];
        record.extend_from_slice(&self.config.domain.to_be_bytes());
        values.iter().for_each(|value| record.extend_from_slice(&value.to_be_bytes()));
        let layout = Layout::STATISTICS;
        self.put(layout, &record, now, out, layout::statistics_template);
        self.record = record;
    }

    /// Begins a new session with a collector: templates are sent again, and records are counted
    /// from 0. Drops the message that is not full yet.
    pub fn restart(&mut self) {
        self.templates.clear();
        self.message = Message::default();
        (self.sequence, self.refreshed, self.messages_since) = (0, None, 0);
    }

    fn record(&mut self, flow: &Flow<'_>, sender: FlowSide, now: Timestamp, out: &mut Vec<u8>) {
        let mut record = std::mem::take(&mut self.record);
        record.clear();
        let precision = self.config.precision;
        let layout = Layout::new(flow, sender, self.config.biflow);
        layout.visit(flow, sender, precision, &mut layout::Values(&mut record));
        self.put(layout, &record, now, out, || layout.template(flow, sender, precision));
        self.record = record;
    }

    /// Adds a data record to the message, with its template if the collector may not know it.
    fn put(
        &mut self,
        layout: Layout,
        record: &[u8],
        now: Timestamp,
        out: &mut Vec<u8>,
        template: impl FnOnce() -> Vec<u8>,
    ) {
        let known = self.templates.iter().position(|template| template.layout == layout);
        let at = known.unwrap_or_else(|| {
            self.templates.push(Template { layout, bytes: template(), is_sent: false });
            self.templates.len() - 1
        });
        // Once: the templates may fill several messages, after which they would be due again.
        let mut may_refresh = true;
        loop {
            if self.message.is_empty() && std::mem::take(&mut may_refresh) {
                self.refresh(now, out);
            }
            let template = &mut self.templates[at];
            let mut len = self.message.record_len(layout.id(), record);
            if !template.is_sent {
                // The set of templates ends the open set, so the record needs another header.
                len = message::SET_HEADER + record.len();
                len += message::SET_HEADER + template.bytes.len();
            }
            if self.message.is_empty() || self.message.len() + len <= self.limit {
                if !template.is_sent {
                    self.message.template(layout.template_set(), &template.bytes);
                    template.is_sent = true;
                }
                self.message.record(layout.id(), record);
                return;
            }
            self.flush(now, out);
        }
    }

    /// Sends all templates again when it is time, at the beginning of a message.
    fn refresh(&mut self, now: Timestamp, out: &mut Vec<u8>) {
        let Some(refreshed) = self.refreshed else {
            self.refreshed = Some(now);
            return;
        };
        let is_due = self.messages_since >= self.config.template_messages
            || now.saturating_duration_since(refreshed) >= self.config.template_interval;
        if self.config.transport == Transport::Stream || !is_due {
            return;
        }
        self.refreshed = Some(now);
        for at in 0..self.templates.len() {
            let len = message::SET_HEADER + self.templates[at].bytes.len();
            if !self.message.is_empty() && self.message.len() + len > self.limit {
                self.flush(now, out);
            }
            let template = &mut self.templates[at];
            self.message.template(template.layout.template_set(), &template.bytes);
            template.is_sent = true;
        }
        self.messages_since = 0;
    }
}

#[cfg(test)]
mod tests;
