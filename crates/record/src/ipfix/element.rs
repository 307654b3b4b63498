//! Numbers of information elements (IANA, "IPFIX Information Elements").

pub(super) const OCTET_DELTA_COUNT: u16 = 1;
pub(super) const PACKET_DELTA_COUNT: u16 = 2;
pub(super) const PROTOCOL_IDENTIFIER: u16 = 4;
pub(super) const IP_CLASS_OF_SERVICE: u16 = 5;
pub(super) const TCP_CONTROL_BITS: u16 = 6;
pub(super) const SOURCE_TRANSPORT_PORT: u16 = 7;
pub(super) const SOURCE_IPV4_ADDRESS: u16 = 8;
pub(super) const INGRESS_INTERFACE: u16 = 10;
pub(super) const DESTINATION_TRANSPORT_PORT: u16 = 11;
pub(super) const DESTINATION_IPV4_ADDRESS: u16 = 12;
pub(super) const SOURCE_IPV6_ADDRESS: u16 = 27;
pub(super) const DESTINATION_IPV6_ADDRESS: u16 = 28;
pub(super) const ICMP_TYPE_CODE_IPV4: u16 = 32;
pub(super) const EXPORTED_OCTET_TOTAL_COUNT: u16 = 40;
pub(super) const EXPORTED_MESSAGE_TOTAL_COUNT: u16 = 41;
pub(super) const EXPORTED_FLOW_RECORD_TOTAL_COUNT: u16 = 42;
pub(super) const SOURCE_MAC_ADDRESS: u16 = 56;
pub(super) const VLAN_ID: u16 = 58;
pub(super) const APPLICATION_NAME: u16 = 96;
pub(super) const DROPPED_PACKET_TOTAL_COUNT: u16 = 135;
pub(super) const FLOW_END_REASON: u16 = 136;
pub(super) const ICMP_TYPE_CODE_IPV6: u16 = 139;
pub(super) const FLOW_ID: u16 = 148;
pub(super) const OBSERVATION_DOMAIN_ID: u16 = 149;
pub(super) const FLOW_START_MILLISECONDS: u16 = 152;
pub(super) const FLOW_END_MILLISECONDS: u16 = 153;
pub(super) const FLOW_START_NANOSECONDS: u16 = 156;
pub(super) const FLOW_END_NANOSECONDS: u16 = 157;
pub(super) const IGNORED_PACKET_TOTAL_COUNT: u16 = 164;
pub(super) const NOT_SENT_FLOW_TOTAL_COUNT: u16 = 166;
pub(super) const IP_TTL: u16 = 192;
pub(super) const BIFLOW_DIRECTION: u16 = 239;
pub(super) const DOT1Q_CUSTOMER_VLAN_ID: u16 = 245;
pub(super) const LAYER2_OCTET_DELTA_COUNT: u16 = 352;

/// The enterprise number under which the elements of the other direction have the same numbers
/// (RFC 5103, section 6.1).
pub(super) const REVERSE: u32 = 29_305;
