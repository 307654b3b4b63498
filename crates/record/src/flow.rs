//! A flow record, as all encoders take it.

use std::time::Duration;

use flow::{
    CommunityId, EndReason, Endpoint, FiveTupleKey, FlowRecord, FlowSide, IcmpMessage, MacAddress,
    Orientation, Scope, TcpFlags, Timestamp, protocol,
};

/// A flow, as far as it is known.
///
/// It is plain data: fill in what your own flow table knows, or convert a
/// [`flow::FlowRecord`](FlowRecord). What is `None` is left out of the output, or has the value
/// that the format defines for unknown.
///
/// # Examples
///
/// ```
/// use record::Flow;
///
/// let mut flow = Flow::new("192.0.2.1:40000".parse()?, "192.0.2.2:53".parse()?, 17);
/// flow.initiator.packets = 1;
/// flow.initiator.payload_bytes = 30;
/// let mut line = Vec::new();
/// record::json::encode(&flow, &mut line);
/// assert!(line.ends_with(b"}\n"));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Flow<'a> {
    /// Time stamp of the first packet.
    pub started: Timestamp,
    /// Time stamp of the last packet.
    pub ended: Timestamp,
    /// The IANA number of the protocol above IP.
    pub protocol: u8,
    /// The VLANs and tunnels around the first packet. Both sides have the same, unless the
    /// directions were captured in different ones.
    pub scope: Scope,
    /// The end that opened the flow.
    pub initiator: Side,
    /// The other end.
    pub responder: Side,
    /// The reason for the end. [`EndReason::ActiveTimeout`] for an interim record.
    pub end: EndReason,
    /// The TCP history; see [`FlowRecord::history`].
    pub history: &'a str,
    /// Time from the SYN to the acknowledgement of the SYN-ACK.
    pub handshake_rtt: Option<Duration>,
    /// Type and code of the first ICMP message.
    pub icmp: Option<IcmpMessage>,
    /// Name of the application protocol, in lower case: `http`.
    pub application: Option<&'a str>,
    /// A number that no other flow of this exporter has.
    pub number: Option<u64>,
    /// An identifier that no other flow has. If `None`, the encoders compute one from addresses,
    /// ports, protocol, start and number.
    pub uid: Option<&'a str>,
    /// Places of the streams for which two packets had different bytes.
    pub conflicts: u64,
    /// Index of the interface on which the packets were captured.
    pub interface: Option<u32>,
    /// Bytes of the link-layer header of each packet, without VLAN tags, if all packets have the
    /// same. Used to estimate octets; see [`octets`](Self::octets).
    pub link_header: Option<u16>,
}

/// The packets of one side of a flow, as far as they are known.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Side {
    /// Address and port.
    pub endpoint: Endpoint,
    /// The VLANs and tunnels around the packets.
    pub scope: Scope,
    /// Packets.
    pub packets: u64,
    /// Bytes of the frames on the wire.
    pub wire_bytes: u64,
    /// Bytes of the IP packets: header and payload, without the link layer and its padding.
    pub ip_octets: Option<u64>,
    /// Bytes of payload on the wire, including retransmissions.
    pub payload_bytes: u64,
    /// Captured bytes of the stream, each counted once. For other protocols than TCP, the payload
    /// of all packets.
    pub stream_bytes: u64,
    /// Bytes of the stream that are missing.
    pub gap_bytes: u64,
    /// Captured bytes without a place in the stream.
    pub unplaced_bytes: u64,
    /// Segments without new bytes.
    pub retransmitted: u64,
    /// Segments ahead of the next expected byte.
    pub reordered: u64,
    /// Segments that announced a window of zero.
    pub zero_windows: u64,
    /// All TCP flags that were seen.
    pub tcp_flags: Option<TcpFlags>,
    /// The traffic class of the first packet (DSCP and ECN).
    pub tos: Option<u8>,
    /// The time to live, or hop limit, of the first packet.
    pub ttl: Option<u8>,
    /// The link-layer address.
    pub mac: Option<MacAddress>,
}

/// Bytes of IP packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Octets {
    /// They were counted.
    Counted(u64),
    /// They were computed from other counters.
    Estimated(u64),
}

impl Octets {
    /// The number.
    #[must_use]
    pub const fn value(self) -> u64 {
        match self {
            Self::Counted(octets) | Self::Estimated(octets) => octets,
        }
    }
}

impl Side {
    fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            scope: Scope::NONE,
            packets: 0,
            wire_bytes: 0,
            ip_octets: None,
            payload_bytes: 0,
            stream_bytes: 0,
            gap_bytes: 0,
            unplaced_bytes: 0,
            retransmitted: 0,
            reordered: 0,
            zero_windows: 0,
            tcp_flags: None,
            tos: None,
            ttl: None,
            mac: None,
        }
    }
}

impl<'a> Flow<'a> {
    /// Creates a record without packets, in the first second of 1970, that the end of the capture
    /// ended.
    #[must_use]
    pub fn new(initiator: Endpoint, responder: Endpoint, protocol: u8) -> Self {
        Self {
            started: Timestamp::default(),
            ended: Timestamp::default(),
            protocol,
            scope: Scope::NONE,
            initiator: Side::new(initiator),
            responder: Side::new(responder),
            end: EndReason::CaptureEnded,
            history: "",
            handshake_rtt: None,
            icmp: None,
            application: None,
            number: None,
            uid: None,
            conflicts: 0,
            interface: None,
            link_header: None,
        }
    }

    /// A side.
    #[must_use]
    pub const fn side(&self, side: FlowSide) -> &Side {
        match side {
            FlowSide::Initiator => &self.initiator,
            FlowSide::Responder => &self.responder,
        }
    }

    /// Time between the first packet and the last.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        self.ended.saturating_duration_since(self.started)
    }

    /// `true` if the flow has not ended.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        self.end == EndReason::ActiveTimeout
    }

    /// `true` if neither the SYN of a connection nor the answer to it was captured.
    #[must_use]
    pub fn is_midway(&self) -> bool {
        self.protocol == protocol::TCP && !self.history.contains(['S', 's', 'H', 'h'])
    }

    /// The Community ID with this seed. `None` for ICMP without a type.
    #[must_use]
    pub fn community_id(&self, seed: u16) -> Option<CommunityId> {
        let (initiator, responder) = (self.initiator.endpoint, self.responder.endpoint);
        if let (protocol::ICMP | protocol::ICMPV6, Some(IcmpMessage { message_type, code })) =
            (self.protocol, self.icmp)
        {
            let (source, destination) = (initiator.address, responder.address);
            return Some(CommunityId::of_icmp(source, destination, message_type, code, seed));
        }
        let (a, b) = (initiator.min(responder), initiator.max(responder));
        FiveTupleKey { a, b, protocol: self.protocol, scope: Scope::NONE }.community_id(seed)
    }

    /// Bytes of a side's IP packets.
    ///
    /// If they were not counted, they are estimated from below: payload, and for each packet an IP
    /// header without options and a transport header without options. That is exact for UDP and
    /// most other protocols, unless datagrams were fragmented. For TCP with a known
    /// [`link_header`](Self::link_header) outside tunnels, the bytes of the frames without these
    /// headers and VLAN tags are used. They include the options of TCP, and up to 6 bytes of
    /// padding for each short segment that was received over Ethernet.
    #[must_use]
    pub fn octets(&self, side: FlowSide) -> Octets {
        let side = self.side(side);
        if let Some(octets) = side.ip_octets {
            return Octets::Counted(octets);
        }
        let network = if side.endpoint.address.is_ipv4() { 20 } else { 40 };
        let transport = match self.protocol {
            protocol::TCP => 20,
            protocol::UDP => 8,
            _ => 0,
        };
        let least = side.packets.saturating_mul(network + transport);
        let least = least.saturating_add(side.payload_bytes);
        let tags = side.scope.vlans().count() as u64;
        let in_frames = match self.link_header {
            Some(header)
                if self.protocol == protocol::TCP && (side.scope == Scope::NONE || tags > 0) =>
            {
                let headers = side.packets.saturating_mul(u64::from(header) + 4 * tags);
                side.wire_bytes.saturating_sub(headers)
            }
            _ => 0,
        };
        Octets::Estimated(least.max(in_frames))
    }

    /// The TCP flags of a side: those that were counted, or else those that its part of the history
    /// proves. The history knows nothing of PSH, URG, ECE and CWR.
    #[must_use]
    pub fn tcp_flags(&self, side: FlowSide) -> TcpFlags {
        self.side(side).tcp_flags.unwrap_or_else(|| {
            let own = |letter: &u8| letter.is_ascii_uppercase() == (side == FlowSide::Initiator);
            let flags = self.history.bytes().filter(own).map(|letter| match letter | 0x20 {
                b's' => TcpFlags::SYN.0,
                b'h' => TcpFlags::SYN.0 | TcpFlags::ACK.0,
                b'f' => TcpFlags::FIN.0,
                b'r' => TcpFlags::RST.0,
                // Only a SYN and a RST may lack it (RFC 9293, section 3.1).
                b'a' | b'd' | b't' => TcpFlags::ACK.0,
                _ => 0,
            });
            TcpFlags(flags.fold(0, |all, flags| all | flags))
        })
    }
}

impl<'a> From<&'a FlowRecord<FiveTupleKey>> for Flow<'a> {
    fn from(record: &'a FlowRecord<FiveTupleKey>) -> Self {
        let key = record.key;
        let (initiator, responder) = match record.initiator_orientation {
            Orientation::Forward => (key.a, key.b),
            Orientation::Reverse => (key.b, key.a),
        };
        let side = |endpoint, side| {
            let counters = record.side(side);
            let is_tcp = key.protocol == protocol::TCP;
            let joined = record.joined.filter(|(joined, _)| *joined == side);
            let mut known = Side::new(endpoint);
            known.scope = joined.map_or(key.scope, |(_, other)| other.scope);
            known.packets = counters.packets;
            known.wire_bytes = counters.wire_bytes;
            known.ip_octets = Some(counters.ip_bytes);
            known.payload_bytes = counters.payload_bytes;
            known.stream_bytes =
                if is_tcp { counters.delivered_bytes } else { counters.payload_bytes };
            known.gap_bytes = counters.gap_bytes;
            known.unplaced_bytes = counters.unplaced_bytes;
            known.retransmitted = counters.retransmitted;
            known.reordered = counters.reordered;
            known.zero_windows = counters.zero_windows;
            known.tcp_flags = counters.tcp_flags;
            known.tos = counters.traffic_class;
            known.ttl = counters.hop_limit;
            known.mac = counters.mac;
            known
        };
        let mut flow = Self::new(initiator, responder, key.protocol);
        flow.initiator = side(initiator, FlowSide::Initiator);
        flow.responder = side(responder, FlowSide::Responder);
        flow.scope = key.scope;
        flow.started = record.started;
        flow.ended = record.ended;
        flow.end = record.reason;
        flow.history = &record.history;
        flow.handshake_rtt = record.handshake_rtt;
        flow.icmp = record.icmp;
        flow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(protocol: u8) -> Flow<'static> {
        let (initiator, responder) = ("192.0.2.9:4000", "192.0.2.1:80");
        Flow::new(initiator.parse().unwrap(), responder.parse().unwrap(), protocol)
    }

    #[test]
    fn octets_that_were_counted_are_taken() {
        let mut flow = flow(protocol::TCP);
        (flow.initiator.packets, flow.initiator.wire_bytes) = (2, 2 * 74);
        flow.initiator.ip_octets = Some(7);
        assert_eq!(flow.octets(FlowSide::Initiator), Octets::Counted(7));
        assert_eq!(flow.octets(FlowSide::Responder), Octets::Estimated(0));
    }

    #[test]
    fn octets_are_estimated_from_headers_and_frames() {
        let mut udp = flow(protocol::UDP);
        (udp.initiator.packets, udp.initiator.payload_bytes) = (3, 30);
        // Padded frames do not count.
        (udp.initiator.wire_bytes, udp.link_header) = (180, Some(14));
        assert_eq!(udp.octets(FlowSide::Initiator), Octets::Estimated(3 * 28 + 30));
        let mut tcp = flow(protocol::TCP);
        (tcp.initiator.packets, tcp.initiator.wire_bytes) = (2, 2 * 74);
        assert_eq!(tcp.octets(FlowSide::Initiator), Octets::Estimated(80));
        tcp.link_header = Some(14);
        assert_eq!(tcp.octets(FlowSide::Initiator), Octets::Estimated(120));
        // A tag of VLAN 5 in each frame.
        (tcp.initiator.scope, tcp.initiator.wire_bytes) = (Scope(1 << 12 | 5), 2 * 78);
        assert_eq!(tcp.octets(FlowSide::Initiator), Octets::Estimated(120));
        // The headers of a tunnel are not known.
        tcp.initiator.scope = Scope(1 << 63);
        assert_eq!(tcp.octets(FlowSide::Initiator), Octets::Estimated(80));
    }

    #[test]
    fn flags_follow_from_the_history() {
        let mut flow = flow(protocol::TCP);
        flow.history = "ShADdfR";
        assert_eq!(flow.tcp_flags(FlowSide::Initiator), TcpFlags(0x16));
        assert_eq!(flow.tcp_flags(FlowSide::Responder), TcpFlags(0x13));
        flow.responder.tcp_flags = Some(TcpFlags(0x1b));
        assert_eq!(flow.tcp_flags(FlowSide::Responder), TcpFlags(0x1b));
    }

    #[test]
    fn the_community_id_does_not_depend_on_the_initiator() {
        let mut flow = Flow::new(
            "128.232.110.120:34855".parse().unwrap(),
            "66.35.250.204:80".parse().unwrap(),
            protocol::TCP,
        );
        let id = "1:LQU9qZlK+B5F3KDmev6m5PMibrg=";
        assert_eq!(flow.community_id(0).unwrap().to_string(), id);
        std::mem::swap(&mut flow.initiator, &mut flow.responder);
        assert_eq!(flow.community_id(0).unwrap().to_string(), id);
        flow.protocol = protocol::ICMP;
        assert_eq!(flow.community_id(0), None);
        flow.icmp = Some(IcmpMessage { message_type: 8, code: 0 });
        assert!(flow.community_id(0).is_some());
    }
}
