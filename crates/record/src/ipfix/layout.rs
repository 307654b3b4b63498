//! The fields of a record: which there are, and in which order.

use std::net::IpAddr;

use flow::{EndReason, FlowSide, Timestamp, protocol};

use super::{Precision, element};
use crate::{Flow, Side};

/// The fields that a record has. Records of the same layout have the same template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout(u16);

/// The longest name of an application that is exported, in bytes.
const NAME_LIMIT: usize = 64;
/// The length that stands for one that each record states (RFC 7011, section 7).
const VARIABLE: u16 = 65_535;

const BIFLOW: u16 = 1;
const IPV6: u16 = 1 << 1;
const PORTS: u16 = 1 << 2;
const TCP: u16 = 1 << 3;
const ICMP: u16 = 1 << 4;
const TOS: u16 = 1 << 5;
const TTL: u16 = 1 << 6;
const MAC: u16 = 1 << 7;
const VLAN: u16 = 1 << 8;
const INNER_VLAN: u16 = 1 << 9;
const INTERFACE: u16 = 1 << 10;
const APPLICATION: u16 = 1 << 11;
const NUMBER: u16 = 1 << 12;
const STATISTICS: u16 = 1 << 13;

/// Takes the fields of a record, in order.
pub(super) trait Fields {
    /// A field of fixed length, as it is in network order.
    fn field(&mut self, element: u16, value: &[u8]);
    /// A field of fixed length of the other direction.
    fn reverse(&mut self, element: u16, value: &[u8]);
    /// A field of variable length, up to 254 bytes.
    fn text(&mut self, element: u16, text: &str);
}

/// Writes the values of a data record.
pub(super) struct Values<'o>(pub(super) &'o mut Vec<u8>);

/// Writes the field specifiers of a template, and counts them.
struct Specifiers {
    bytes: Vec<u8>,
    count: u16,
}

impl Fields for Values<'_> {
    fn field(&mut self, _: u16, value: &[u8]) {
        self.0.extend_from_slice(value);
    }

    fn reverse(&mut self, _: u16, value: &[u8]) {
        self.0.extend_from_slice(value);
    }

    fn text(&mut self, _: u16, text: &str) {
        let text = &text[..text.floor_char_boundary(NAME_LIMIT)];
        self.0.push(text.len() as u8);
        self.0.extend_from_slice(text.as_bytes());
    }
}

impl Specifiers {
    fn specify(&mut self, element: u16, len: u16, enterprise: Option<u32>) {
        let bit = if enterprise.is_some() { 1 << 15 } else { 0 };
        self.bytes.extend_from_slice(&(element | bit).to_be_bytes());
        self.bytes.extend_from_slice(&len.to_be_bytes());
        if let Some(number) = enterprise {
            self.bytes.extend_from_slice(&number.to_be_bytes());
        }
        self.count += 1;
    }
}

impl Fields for Specifiers {
    fn field(&mut self, element: u16, value: &[u8]) {
        self.specify(element, value.len() as u16, None);
    }

    fn reverse(&mut self, element: u16, value: &[u8]) {
        self.specify(element, value.len() as u16, Some(element::REVERSE));
    }

    fn text(&mut self, element: u16, _: &str) {
        self.specify(element, VARIABLE, None);
    }
}

impl Layout {
    pub(super) const STATISTICS: Self = Self(STATISTICS);

    /// The layout of a flow's record, with `sender` as its source.
    pub(super) fn new(flow: &Flow<'_>, sender: FlowSide, biflow: bool) -> Self {
        let (source, destination) = (flow.side(sender), flow.side(sender.opposite()));
        let has_ports = flow.protocol == protocol::TCP
            || source.endpoint.port != 0
            || destination.endpoint.port != 0;
        let is_icmp = matches!(flow.protocol, protocol::ICMP | protocol::ICMPV6);
        let known = [
            (BIFLOW, biflow),
            (IPV6, source.endpoint.address.is_ipv6() || destination.endpoint.address.is_ipv6()),
            (PORTS, has_ports && !is_icmp),
            (TCP, flow.protocol == protocol::TCP),
            (ICMP, is_icmp && flow.icmp.is_some()),
            (TOS, source.tos.is_some()),
            (TTL, source.ttl.is_some()),
            (MAC, source.mac.is_some()),
            (VLAN, source.scope.vlans().next().is_some()),
            (INNER_VLAN, source.scope.vlans().nth(1).is_some()),
            (INTERFACE, flow.interface.is_some()),
            (APPLICATION, flow.application.is_some()),
            (NUMBER, flow.number.is_some()),
        ];
        Self(known.into_iter().fold(0, |bits, (bit, is)| if is { bits | bit } else { bits }))
    }

    /// The number of the template: 0 to 255 are those of sets.
    pub(super) const fn id(self) -> u16 {
        256 + self.0
    }

    /// The set that the template belongs into: that of templates, or of options templates.
    pub(super) const fn template_set(self) -> u16 {
        if self.has(STATISTICS) { 3 } else { 2 }
    }

    const fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }

    /// The template record of this layout, by a record that has it.
    pub(super) fn template(
        self,
        flow: &Flow<'_>,
        sender: FlowSide,
        precision: Precision,
    ) -> Vec<u8> {
        let mut specifiers = Specifiers { bytes: Vec::new(), count: 0 };
        self.visit(flow, sender, precision, &mut specifiers);
        let mut template = self.id().to_be_bytes().to_vec();
        template.extend_from_slice(&specifiers.count.to_be_bytes());
        template.append(&mut specifiers.bytes);
        template
    }

    /// Passes the fields of a record on. Template and record cannot disagree, since both come from
    /// here.
    pub(super) fn visit(
        self,
        flow: &Flow<'_>,
        sender: FlowSide,
        precision: Precision,
        to: &mut impl Fields,
    ) {
        let (source, destination) = (flow.side(sender), flow.side(sender.opposite()));
        times(flow, precision, to);
        self.addresses(source, destination, to);
        if self.has(PORTS) {
            to.field(element::SOURCE_TRANSPORT_PORT, &source.endpoint.port.to_be_bytes());
            to.field(element::DESTINATION_TRANSPORT_PORT, &destination.endpoint.port.to_be_bytes());
        }
        to.field(element::PROTOCOL_IDENTIFIER, &[flow.protocol]);
        to.field(element::PACKET_DELTA_COUNT, &source.packets.to_be_bytes());
        to.field(element::OCTET_DELTA_COUNT, &flow.octets(sender).value().to_be_bytes());
        to.field(element::LAYER2_OCTET_DELTA_COUNT, &source.wire_bytes.to_be_bytes());
        if self.has(TCP) {
            let flags = u16::from(flow.tcp_flags(sender).0);
            to.field(element::TCP_CONTROL_BITS, &flags.to_be_bytes());
        }
        to.field(element::FLOW_END_REASON, &[end_reason(flow.end)]);
        if self.has(ICMP)
            && let Some(icmp) = flow.icmp
        {
            let element = if self.has(IPV6) {
                element::ICMP_TYPE_CODE_IPV6
            } else {
                element::ICMP_TYPE_CODE_IPV4
            };
            to.field(element, &[icmp.message_type, icmp.code]);
        }
        self.optional(flow, source, to);
        if self.has(BIFLOW) {
            let other = sender.opposite();
            let octets = flow.octets(other).value();
            to.reverse(element::PACKET_DELTA_COUNT, &destination.packets.to_be_bytes());
            to.reverse(element::OCTET_DELTA_COUNT, &octets.to_be_bytes());
            to.reverse(element::LAYER2_OCTET_DELTA_COUNT, &destination.wire_bytes.to_be_bytes());
            if self.has(TCP) {
                let flags = u16::from(flow.tcp_flags(other).0);
                to.reverse(element::TCP_CONTROL_BITS, &flags.to_be_bytes());
            }
            // 1: initiator; 2: the reverse direction is the initiator's.
            let direction = if sender == FlowSide::Initiator { 1 } else { 2 };
            to.field(element::BIFLOW_DIRECTION, &[direction]);
        }
    }

    fn addresses(self, source: &Side, destination: &Side, to: &mut impl Fields) {
        let (source, destination) = (source.endpoint.address, destination.endpoint.address);
        if self.has(IPV6) {
            to.field(element::SOURCE_IPV6_ADDRESS, &ipv6(source));
            to.field(element::DESTINATION_IPV6_ADDRESS, &ipv6(destination));
        } else {
            to.field(element::SOURCE_IPV4_ADDRESS, &ipv4(source));
            to.field(element::DESTINATION_IPV4_ADDRESS, &ipv4(destination));
        }
    }

    fn optional(self, flow: &Flow<'_>, source: &Side, to: &mut impl Fields) {
        if let (true, Some(tos)) = (self.has(TOS), source.tos) {
            to.field(element::IP_CLASS_OF_SERVICE, &[tos]);
        }
        if let (true, Some(ttl)) = (self.has(TTL), source.ttl) {
            to.field(element::IP_TTL, &[ttl]);
        }
        if let (true, Some(mac)) = (self.has(MAC), source.mac) {
            to.field(element::SOURCE_MAC_ADDRESS, &mac.0);
        }
        let mut vlans = source.scope.vlans();
        if let (true, Some(outer)) = (self.has(VLAN), vlans.next()) {
            to.field(element::VLAN_ID, &outer.to_be_bytes());
        }
        if let (true, Some(inner)) = (self.has(INNER_VLAN), vlans.next()) {
            to.field(element::DOT1Q_CUSTOMER_VLAN_ID, &inner.to_be_bytes());
        }
        if let (true, Some(interface)) = (self.has(INTERFACE), flow.interface) {
            to.field(element::INGRESS_INTERFACE, &interface.to_be_bytes());
        }
        if let (true, Some(number)) = (self.has(NUMBER), flow.number) {
            to.field(element::FLOW_ID, &number.to_be_bytes());
        }
        if let (true, Some(application)) = (self.has(APPLICATION), flow.application) {
            to.text(element::APPLICATION_NAME, application);
        }
    }
}

/// The options template record of the statistics (RFC 7011, section 3.4.2.2): the observation
/// domain is the scope of the counters.
pub(super) fn statistics_template() -> Vec<u8> {
    const COUNTERS: [u16; 6] = [
        element::EXPORTED_MESSAGE_TOTAL_COUNT,
        element::EXPORTED_FLOW_RECORD_TOTAL_COUNT,
        element::EXPORTED_OCTET_TOTAL_COUNT,
        element::DROPPED_PACKET_TOTAL_COUNT,
        element::IGNORED_PACKET_TOTAL_COUNT,
        element::NOT_SENT_FLOW_TOTAL_COUNT,
    ];
    let mut template = Layout::STATISTICS.id().to_be_bytes().to_vec();
    let fields = [(element::OBSERVATION_DOMAIN_ID, 4)];
    let fields = fields.into_iter().chain(COUNTERS.map(|counter| (counter, 8)));
    template.extend_from_slice(&(1 + COUNTERS.len() as u16).to_be_bytes());
    template.extend_from_slice(&1_u16.to_be_bytes());
    for (element, len) in fields {
        template.extend_from_slice(&element.to_be_bytes());
        template.extend_from_slice(&u16::to_be_bytes(len));
    }
    template
}

fn times(flow: &Flow<'_>, precision: Precision, to: &mut impl Fields) {
    match precision {
        Precision::Milliseconds => {
            let millis = |time: Timestamp| (time.as_nanos() / 1_000_000).to_be_bytes();
            to.field(element::FLOW_START_MILLISECONDS, &millis(flow.started));
            to.field(element::FLOW_END_MILLISECONDS, &millis(flow.ended));
        }
        Precision::Nanoseconds => {
            to.field(element::FLOW_START_NANOSECONDS, &ntp(flow.started));
            to.field(element::FLOW_END_NANOSECONDS, &ntp(flow.ended));
        }
    }
}

/// A time in the format of NTP (RFC 5905, section 6): seconds since 1900, and their fraction in
/// units of 2⁻³², rounded up so that a reader who cuts off finds the same nanosecond.
fn ntp(time: Timestamp) -> [u8; 8] {
    /// Seconds from 1900 to 1970.
    const EPOCH: u64 = 2_208_988_800;
    let fraction = (u64::from(time.subsec_nanos()) << 32).div_ceil(1_000_000_000);
    let seconds = time.seconds().wrapping_add(EPOCH);
    (seconds << 32 | fraction).to_be_bytes()
}

/// The value of flowEndReason (RFC 5102, section 5.11.3).
const fn end_reason(reason: EndReason) -> u8 {
    match reason {
        EndReason::IdleTimeout => 1,
        EndReason::ActiveTimeout => 2,
        EndReason::CaptureEnded => 4,
        EndReason::Evicted => 5,
        // The end of the flow was seen: FIN, RST, or another connection in its place.
        _ => 3,
    }
}

fn ipv4(address: IpAddr) -> [u8; 4] {
    match address {
        IpAddr::V4(address) => address.octets(),
        // Not reached: a flow with an IPv6 address has a layout with two of them.
        IpAddr::V6(_) => [0; 4],
    }
}

fn ipv6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V6(address) => address.octets(),
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
    }
}
