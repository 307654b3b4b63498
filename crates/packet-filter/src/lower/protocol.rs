//! Lowers protocols and chains of headers.

use super::{Layer, Lowering, MAX_EXTENSION_HEADERS, Offset, ProtocolLayer, link, test};
use crate::error::CompileError;
use crate::expression::{BinaryOperator, Protocol, Width};
use crate::ir::{Branch, Condition, ValueId};
use crate::link::Link;
use crate::options::ExtensionHeaders;

/// Protocol numbers of extension headers (IANA "Protocol Numbers").
const HOP_BY_HOP: u32 = 0;
const ROUTING: u32 = 43;
const FRAGMENT: u32 = 44;
const AUTHENTICATION: u32 = 51;
const DESTINATION_OPTIONS: u32 = 60;

impl Lowering<'_> {
    pub(super) fn protocol(&mut self, protocol: Protocol) -> Result<Condition, CompileError> {
        use ProtocolLayer::{Any, Ip, Ip6, Iso};
        match protocol {
            Protocol::Ip => self.ether_type(link::IP),
            Protocol::Ip6 => self.ether_type(link::IP6),
            Protocol::Arp => self.ether_type(link::ARP),
            Protocol::Rarp => self.ether_type(link::RARP),
            Protocol::Tcp => self.proto(Any, 6),
            Protocol::Udp => self.proto(Any, 17),
            Protocol::Sctp => self.proto(Any, 132),
            Protocol::Pim => self.proto(Any, 103),
            Protocol::Ah => self.proto(Any, AUTHENTICATION),
            Protocol::Esp => self.proto(Any, 50),
            Protocol::Icmp => self.proto(Ip, 1),
            Protocol::Igmp => self.proto(Ip, 2),
            Protocol::Igrp => self.proto(Ip, 9),
            Protocol::Vrrp | Protocol::Carp => self.proto(Ip, 112),
            Protocol::Icmp6 => self.proto(Ip6, 58),
            Protocol::Atalk => self.ether_type(0x809b),
            Protocol::Aarp => self.ether_type(0x80f3),
            Protocol::Decnet => self.ether_type(link::DECNET),
            Protocol::Lat => self.ether_type(0x6004),
            Protocol::Sca => self.ether_type(0x6007),
            Protocol::Mopdl => self.ether_type(0x6001),
            Protocol::Moprc => self.ether_type(0x6002),
            Protocol::Iso => self.ether_type(link::OSI),
            Protocol::Clnp => self.proto(Iso, 0x81),
            Protocol::Esis => self.proto(Iso, 0x82),
            Protocol::Isis => self.proto(Iso, 0x83),
            Protocol::IsisLevel1 => self.isis(&[26, 24, 18, 15, 17]),
            Protocol::IsisLevel2 => self.isis(&[27, 25, 20, 16, 17]),
            Protocol::IsisHello => self.isis(&[17, 15, 16]),
            Protocol::IsisLinkState => self.isis(&[18, 20]),
            Protocol::IsisSequence => self.isis(&[26, 27, 24, 25]),
            Protocol::IsisCompleteSequence => self.isis(&[24, 25]),
            Protocol::IsisPartialSequence => self.isis(&[26, 27]),
            Protocol::Stp => self.ether_type(link::SPANNING_TREE),
            Protocol::Ipx => self.ether_type(link::IPX),
            Protocol::Netbeui => self.ether_type(link::NETBEUI),
        }
    }

    pub(super) fn proto(
        &mut self,
        layer: ProtocolLayer,
        number: u32,
    ) -> Result<Condition, CompileError> {
        match layer {
            ProtocolLayer::Any => {
                let ip = self.proto(ProtocolLayer::Ip, number)?;
                Ok(ip.or(self.proto(ProtocolLayer::Ip6, number)?))
            }
            ProtocolLayer::Ip => {
                let ip = self.ether_type(link::IP)?;
                Ok(ip.and(self.equal(self.layout.network(), 9, Width::One, number)))
            }
            ProtocolLayer::Ip6 => self.ip6_proto(number),
            ProtocolLayer::Ether => self.ether_type(number),
            ProtocolLayer::Iso => {
                let iso = self.ether_type(link::OSI)?;
                // Cisco HDLC has a padding byte in place of the 802.2 header.
                let at = if self.link_type == Link::CiscoHdlc { 1 } else { 3 };
                Ok(iso.and(self.equal(self.layout.llc(), at, Width::One, number)))
            }
            ProtocolLayer::Isis => {
                let isis = self.proto(ProtocolLayer::Iso, 0x83)?;
                Ok(isis.and(self.equal(self.layout.llc(), self.isis_type(), Width::One, number)))
            }
        }
    }

    fn ip6_proto(&mut self, number: u32) -> Result<Condition, CompileError> {
        let ip6 = self.ether_type(link::IP6)?;
        let network = self.layout.network();
        let inside = match self.options.extension_headers {
            ExtensionHeaders::Ignored => {
                let next = self.load(network, 6, Width::One);
                let behind_fragment = self.equal(network, 40, Width::One, number);
                test(next, Branch::Equal, number)
                    .or(test(next, Branch::Equal, FRAGMENT).and(behind_fragment))
            }
            ExtensionHeaders::Followed => {
                self.ip6_chain(false, &mut |_, next, _| test(next, Branch::Equal, number))
            }
        };
        Ok(ip6.and(inside))
    }

    /// The offset of the IS-IS packet type, after the 802.2 header. As in libpcap, Cisco HDLC's
    /// padding byte is not counted here.
    fn isis_type(&self) -> u32 {
        if self.link_type == Link::CiscoHdlc { 4 } else { 7 }
    }

    fn isis(&mut self, types: &[u32]) -> Result<Condition, CompileError> {
        let isis = self.proto(ProtocolLayer::Iso, 0x83)?;
        let value = self.load(self.layout.llc(), self.isis_type(), Width::One);
        let any = types.iter().fold(Condition::Always(false), |any, number| {
            any.or(test(value, Branch::Equal, *number))
        });
        Ok(isis.and(any))
    }

    pub(super) fn protochain(
        &mut self,
        layer: Layer,
        number: u8,
    ) -> Result<Condition, CompileError> {
        let number = u32::from(number);
        match layer {
            Layer::Any => {
                let ip = self.protochain(Layer::Ip, number as u8)?;
                Ok(ip.or(self.protochain(Layer::Ip6, number as u8)?))
            }
            Layer::Ip => {
                let ip = self.ether_type(link::IP)?;
                let next = self.load(self.layout.network(), 9, Width::One);
                let at = self.ip_transport();
                let chain = self.chain(next, at, 0, &[], false, &mut |_, next, _| {
                    test(next, Branch::Equal, number)
                });
                Ok(ip.and(chain))
            }
            Layer::Ip6 => {
                let ip6 = self.ether_type(link::IP6)?;
                let chain =
                    self.ip6_chain(false, &mut |_, next, _| test(next, Branch::Equal, number));
                Ok(ip6.and(chain))
            }
        }
    }

    /// A test that holds if a header in the chain of an IPv6 packet passes a test of its protocol
    /// and offset.
    pub(super) fn ip6_chain(
        &mut self,
        first_fragment: bool,
        found: &mut dyn FnMut(&mut Self, ValueId, Offset) -> Condition,
    ) -> Condition {
        let network = self.layout.network();
        let next = self.load(network, 6, Width::One);
        let options = [HOP_BY_HOP, DESTINATION_OPTIONS, ROUTING, FRAGMENT];
        self.chain(next, network.plus(40), 0, &options, first_fragment, found)
    }

    /// A test that holds if the header at an offset, or one after it, passes. The number of headers
    /// is bounded because a BPF program cannot loop.
    fn chain(
        &mut self,
        next: ValueId,
        at: Offset,
        depth: usize,
        options: &[u32],
        first_fragment: bool,
        found: &mut dyn FnMut(&mut Self, ValueId, Offset) -> Condition,
    ) -> Condition {
        use BinaryOperator::{Add, Multiply};
        let here = found(self, next, at);
        if depth == MAX_EXTENSION_HEADERS {
            return here;
        }
        let following = self.load(at, 0, Width::One);
        let length = self.load(at, 1, Width::One);
        let is_authentication = test(next, Branch::Equal, AUTHENTICATION);
        let is_fragment = test(next, Branch::Equal, FRAGMENT);
        let is_options = options
            .iter()
            .filter(|number| !(first_fragment && **number == FRAGMENT))
            .fold(Condition::Always(false), |any, number| {
                any.or(test(next, Branch::Equal, *number))
            });
        // (length + 2) * 4 for an authentication header (RFC 4302).
        let size = if options.is_empty() {
            let (more, words) = (self.values.constant(2), self.values.constant(4));
            let size = self.values.binary(Add, length, more);
            self.values.binary(Multiply, size, words)
        } else {
            self.extension_size(next, length)
        };
        let index = match at.index {
            Some(index) => self.values.binary(Add, index, size),
            None => size,
        };
        let behind = Offset { index: Some(index), constant: at.constant };
        let rest = self.chain(following, behind, depth + 1, options, first_fragment, found);
        let mut extension = is_options.or(is_authentication);
        if first_fragment && options.contains(&FRAGMENT) {
            let value = self.load(at, 2, Width::Two);
            let whole = test(value, Branch::AnyBit, 0xfff8).negated();
            extension = extension.or(is_fragment.and(whole));
        }
        here.or(extension.and(rest))
    }

    /// The length of an extension header: eight bytes plus eight times `length`. For an
    /// authentication header (RFC 4302) the factor is four. For a fragment header it is zero: the
    /// byte at the position of the length is reserved there, and a sender may fill it with anything
    /// (RFC 8200, section 4.5).
    ///
    /// Computed without a branch, because each branch would double the program for every header
    /// after it. The factors, divided by four, are packed into one word: two bits for each header,
    /// at half its number.
    fn extension_size(&mut self, next: ValueId, length: ValueId) -> ValueId {
        use BinaryOperator::{Add, And, Multiply, ShiftRight};
        const fn place(number: u32) -> u32 {
            number >> 1 & 0x1e
        }
        const QUARTERS: u32 = 2 << place(HOP_BY_HOP)
            | 2 << place(DESTINATION_OPTIONS)
            | 2 << place(ROUTING)
            | 1 << place(AUTHENTICATION);
        let [one, even, two_bits, four, eight, quarters] =
            [1, 0x1e, 3, 4, 8, QUARTERS].map(|number| self.values.constant(number));
        let place = self.values.binary(ShiftRight, next, one);
        let place = self.values.binary(And, place, even);
        let factor = self.values.binary(ShiftRight, quarters, place);
        let factor = self.values.binary(And, factor, two_bits);
        let more = self.values.binary(Multiply, length, factor);
        let more = self.values.binary(Multiply, more, four);
        self.values.binary(Add, more, eight)
    }

    /// 1 if a value below 2³¹ equals a number below 2³¹, otherwise 0.
    pub(super) fn is_equal(&mut self, value: ValueId, number: u32) -> ValueId {
        use BinaryOperator::{ShiftRight, Subtract, Xor};
        let (number, one) = (self.values.constant(number), self.values.constant(1));
        let top = self.values.constant(31);
        let difference = self.values.binary(Xor, value, number);
        let borrow = self.values.binary(Subtract, difference, one);
        self.values.binary(ShiftRight, borrow, top)
    }
}
