//! Lowers tests of the protocol that the link layer carries.

use super::{Framing, Lowering, test};
use crate::error::CompileError;
use crate::expression::Width;
use crate::ir::{Branch, Condition, Operand, Test, ValueId};

pub(super) const IP: u32 = 0x0800;
pub(super) const ARP: u32 = 0x0806;
pub(super) const RARP: u32 = 0x8035;
pub(super) const IP6: u32 = 0x86dd;
pub(super) const MPLS: u32 = 0x8847;
pub(super) const PPPOE_DISCOVERY: u32 = 0x8863;
pub(super) const PPPOE_SESSION: u32 = 0x8864;
pub(super) const VLAN: [u32; 3] = [0x8100, 0x88a8, 0x9100];
pub(super) const TRANSPARENT_ETHERNET: u32 = 0x6558;

pub(super) const OSI: u32 = 0xfe;
pub(super) const SPANNING_TREE: u32 = 0x42;
pub(super) const IPX: u32 = 0xe0;
pub(super) const NETBEUI: u32 = 0xf0;

const IP_SAP: u32 = 0x06;
const APPLETALK: u32 = 0x809b;
const APPLETALK_ARP: u32 = 0x80f3;
const NOVELL: u32 = 0x8137;
pub(super) const DECNET: u32 = 0x6003;

/// The maximum value of the type field that is a length (IEEE 802.3).
const MAX_LENGTH: u32 = 1500;

/// The type in a cooked capture for 802.2 and for raw 802.3 frames (linux/if_ether.h).
const COOKED_802_2: u32 = 4;
const COOKED_802_3: u32 = 1;

/// The type of an 802.2 frame in the first byte of SunATM.
const SUNATM_LLC: u32 = 2;

/// `AF_INET`, which is the same on every system, in both byte orders.
const FAMILY_IP: u32 = 2;
const FAMILIES_IP: &[u32] = &[FAMILY_IP.swap_bytes(), FAMILY_IP];

/// `AF_INET6` of Linux; of NetBSD and OpenBSD; of FreeBSD; of macOS.
const FAMILIES_IP6: &[u32] = &[10, 24, 28, 30];
const FAMILIES_IP6_OF_EITHER_ORDER: &[u32] = &[
    10u32.swap_bytes(),
    24u32.swap_bytes(),
    28u32.swap_bytes(),
    30u32.swap_bytes(),
    10,
    24,
    28,
    30,
];

impl Lowering<'_> {
    /// A test that holds if the link layer carries this EtherType or, for numbers up to 1,500, this
    /// LLC service access point.
    pub(super) fn ether_type(&mut self, number: u32) -> Result<Condition, CompileError> {
        if self.layout.labels > 0 {
            return self.behind_labels(number);
        }
        Ok(match self.layout.framing {
            Framing::Ethernet | Framing::Geneve { .. } => self.ethernet_type(number),
            Framing::Cooked => self.cooked_type(number),
            Framing::EtherType => self.plain_type(number),
            Framing::Llc => self.llc_type(number),
            Framing::SunAtm => {
                let kind = self.carries_llc();
                kind.and(self.llc_type(number))
            }
            Framing::Wireless { control } => is_data_frame(control).and(self.llc_type(number)),
            Framing::Arcnet => self.arcnet_type(number),
            Framing::FrameRelay => match network_layer_identifier(number) {
                Some(identifier) => {
                    self.equal(self.layout.type_field, 0, Width::Two, 0x0300 | identifier)
                }
                None => Condition::Always(false),
            },
            // `AF_INET` and `AF_INET6` of Solaris.
            Framing::Ipnet => match number {
                IP => self.equal(self.layout.type_field, 0, Width::One, FAMILY_IP),
                IP6 => self.equal(self.layout.type_field, 0, Width::One, 26),
                _ => Condition::Always(false),
            },
            Framing::Pflog => match number {
                IP => self.equal(self.layout.type_field, 0, Width::One, FAMILY_IP),
                IP6 => {
                    let value = self.load(self.layout.type_field, 0, Width::One);
                    let right = Operand::OneOf(FAMILIES_IP6);
                    Condition::Test(Test { value, comparison: Branch::Equal, right })
                }
                _ => Condition::Always(false),
            },
            Framing::Ppp => self.equal(self.layout.type_field, 0, Width::Two, ppp_protocol(number)),
            Framing::RawIp => match number {
                IP => self.masked(self.layout.payload, 0, Width::One, 0x40, 0xf0),
                IP6 => self.masked(self.layout.payload, 0, Width::One, 0x60, 0xf0),
                _ => Condition::Always(false),
            },
            Framing::Ipv4 => Condition::Always(number == IP),
            Framing::Ipv6 => Condition::Always(number == IP6),
            Framing::Null => match number {
                IP => self.family(FAMILIES_IP),
                IP6 => self.family(FAMILIES_IP6_OF_EITHER_ORDER),
                _ => Condition::Always(false),
            },
            Framing::Loop => match number {
                IP => self.equal(self.layout.header, 0, Width::Four, FAMILY_IP),
                IP6 => self.family(FAMILIES_IP6),
                _ => Condition::Always(false),
            },
        })
    }

    fn ethernet_type(&mut self, number: u32) -> Condition {
        let field = self.layout.type_field;
        let payload = self.layout.payload;
        let value = self.load(field, 0, Width::Two);
        let is_802_3 = self.is_802_3();
        match number {
            OSI | IP_SAP | NETBEUI => {
                is_802_3.and(self.equal(payload, 0, Width::Two, number << 8 | number))
            }
            IPX => {
                let sap = self.equal(payload, 0, Width::One, IPX);
                let raw = self.equal(payload, 0, Width::Two, 0xffff);
                let snap = self.snap(0, NOVELL);
                test(value, Branch::Equal, NOVELL).or(is_802_3.and(snap.or(sap.or(raw))))
            }
            APPLETALK => test(value, Branch::Equal, APPLETALK)
                .or(is_802_3.and(self.snap(0x08_0007, APPLETALK))),
            APPLETALK_ARP => test(value, Branch::Equal, APPLETALK_ARP)
                .or(is_802_3.and(self.snap(0, APPLETALK_ARP))),
            number if number <= MAX_LENGTH => {
                is_802_3.and(self.equal(payload, 0, Width::One, number))
            }
            number => test(value, Branch::Equal, number),
        }
    }

    /// A test that holds if a SunATM packet is an 802.2 frame.
    pub(super) fn carries_llc(&mut self) -> Condition {
        self.masked(self.layout.header, 0, Width::One, SUNATM_LLC, 0xf)
    }

    /// A test that holds if the type field is a length.
    pub(super) fn is_802_3(&mut self) -> Condition {
        let value = self.load(self.layout.type_field, 0, Width::Two);
        test(value, Branch::Greater, MAX_LENGTH).negated()
    }

    fn cooked_type(&mut self, number: u32) -> Condition {
        let field = self.layout.type_field;
        let payload = self.layout.payload;
        let value = self.load(field, 0, Width::Two);
        let is_802_2 = test(value, Branch::Equal, COOKED_802_2);
        match number {
            OSI | IP_SAP | NETBEUI => {
                is_802_2.and(self.equal(payload, 0, Width::Two, number << 8 | number))
            }
            IPX => {
                let sap = self.equal(payload, 0, Width::One, IPX);
                let inside = is_802_2.and(self.snap(0, NOVELL).or(sap));
                let raw = test(value, Branch::Equal, COOKED_802_3);
                test(value, Branch::Equal, NOVELL).or(raw.or(inside))
            }
            APPLETALK => test(value, Branch::Equal, APPLETALK)
                .or(is_802_2.and(self.snap(0x08_0007, APPLETALK))),
            APPLETALK_ARP => test(value, Branch::Equal, APPLETALK_ARP)
                .or(is_802_2.and(self.snap(0, APPLETALK_ARP))),
            number if number <= MAX_LENGTH => {
                is_802_2.and(self.equal(payload, 0, Width::One, number))
            }
            number => test(value, Branch::Equal, number),
        }
    }

    /// A test of an EtherType field. Cisco HDLC stores the OSI service access point in the upper
    /// byte.
    fn plain_type(&mut self, number: u32) -> Condition {
        let number = if number == OSI { OSI << 8 | OSI } else { number };
        self.equal(self.layout.type_field, 0, Width::Two, number)
    }

    fn llc_type(&mut self, number: u32) -> Condition {
        let llc = self.layout.type_field;
        match number {
            OSI | IP_SAP | NETBEUI => self.equal(llc, 0, Width::Two, number << 8 | number),
            APPLETALK => {
                let end = self.equal(llc, 4, Width::Four, 7 << 16 | APPLETALK);
                end.and(self.equal(llc, 0, Width::Four, 0xaaaa_0308))
            }
            number if number <= MAX_LENGTH => self.equal(llc, 0, Width::One, number),
            // The SNAP type, whatever the organisation.
            number => self.equal(llc, 6, Width::Two, number),
        }
    }

    /// A test of ARCNET's protocol number (RFC 1051, RFC 1201, RFC 2497). The payload of RFC 1051
    /// starts two bytes earlier.
    fn arcnet_type(&mut self, number: u32) -> Condition {
        let numbers: &'static [u32] = match number {
            IP => &[212, 240],
            ARP => &[213, 241],
            RARP => &[214],
            IP6 => &[196],
            APPLETALK => &[221],
            _ => return Condition::Always(false),
        };
        let value = self.load(self.layout.type_field, 0, Width::One);
        Condition::Test(Test { value, comparison: Branch::Equal, right: Operand::OneOf(numbers) })
    }

    /// A test that holds if there is an 802.2 header with SNAP extension (IEEE 802) with this
    /// organisation and type.
    fn snap(&mut self, organisation: u32, number: u32) -> Condition {
        let payload = self.layout.payload;
        let end = self.equal(payload, 4, Width::Four, organisation << 16 | number);
        let start = self.equal(payload, 0, Width::Four, 0xaaaa_0300 | organisation >> 16);
        end.and(start)
    }

    fn family(&mut self, families: &'static [u32]) -> Condition {
        let value = self.load(self.layout.header, 0, Width::Four);
        Condition::Test(Test { value, comparison: Branch::Equal, right: Operand::OneOf(families) })
    }

    /// A test of the protocol after MPLS labels. No label names the protocol, so the IP version
    /// decides.
    fn behind_labels(&mut self, number: u32) -> Result<Condition, CompileError> {
        let version = match number {
            IP => 0x40,
            IP6 => 0x60,
            _ => {
                return Err(CompileError::Encapsulated {
                    primitive: "a protocol other than IP",
                    inside: "MPLS",
                });
            }
        };
        let network = self.layout.network();
        let label = self.layout.payload.plus(self.layout.labels.wrapping_sub(4));
        let bottom = self.masked(label, 2, Width::One, 1, 1);
        let version = self.masked(network, 0, Width::One, version, 0xf0);
        Ok(bottom.and(version))
    }
}

/// A test that holds if an 802.11 frame with this first byte carries data (IEEE 802.11, section
/// 9.2.4.1.3).
pub(super) fn is_data_frame(control: ValueId) -> Condition {
    let data = test(control, Branch::AnyBit, 0x08);
    let control_frame = test(control, Branch::AnyBit, 0x04);
    data.and(control_frame.negated())
}

/// The identifier of a network layer in frame relay (ISO/IEC TR 9577).
fn network_layer_identifier(number: u32) -> Option<u32> {
    match number {
        IP => Some(0xcc),
        IP6 => Some(0x8e),
        OSI => Some(0x83),
        _ => None,
    }
}

/// The PPP protocol number for an EtherType.
fn ppp_protocol(number: u32) -> u32 {
    match number {
        IP => 0x21,
        IP6 => 0x57,
        DECNET => 0x27,
        APPLETALK => 0x29,
        0x0600 => 0x25,
        OSI => 0x23,
        SPANNING_TREE => 0x31,
        IPX => 0x2b,
        number => number,
    }
}
