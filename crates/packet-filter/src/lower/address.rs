//! Lowers hosts, networks and broadcasts.

use packet::MacAddress;

use super::{Direction, Framing, HostProtocol, Lowering, MulticastLayer, Offset, link, test};
use crate::error::CompileError;
use crate::expression::Width;
use crate::ir::{Branch, Condition};
use crate::link::Link;
use crate::network::Network;

impl Lowering<'_> {
    pub(super) fn network(
        &mut self,
        protocol: Option<HostProtocol>,
        direction: Direction,
        network: Network,
    ) -> Result<Condition, CompileError> {
        if let Some(words) = network.v6() {
            return match protocol {
                None | Some(HostProtocol::Ip6) => self.ip6_network(direction, words),
                Some(_) => Err(CompileError::Qualifier {
                    qualifier: "ip, arp or rarp",
                    what: "an IPv6 address",
                }),
            };
        }
        let Some(address) = network.v4() else {
            return Ok(Condition::Always(false));
        };
        Ok(match protocol {
            Some(HostProtocol::Ip6) => {
                return Err(CompileError::Qualifier { qualifier: "ip6", what: "an IPv4 address" });
            }
            Some(HostProtocol::Ip) => self.ip_network(link::IP, 12, 16, direction, address)?,
            Some(HostProtocol::Arp) => self.ip_network(link::ARP, 14, 24, direction, address)?,
            Some(HostProtocol::Rarp) => self.ip_network(link::RARP, 14, 24, direction, address)?,
            None => {
                let ip = self.ip_network(link::IP, 12, 16, direction, address)?;
                if self.layout.labels > 0 {
                    return Ok(ip);
                }
                let arp = self.ip_network(link::ARP, 14, 24, direction, address)?;
                let rarp = self.ip_network(link::RARP, 14, 24, direction, address)?;
                ip.or(arp).or(rarp)
            }
        })
    }

    fn ip_network(
        &mut self,
        ether_type: u32,
        source: u32,
        destination: u32,
        direction: Direction,
        (address, mask): (u32, u32),
    ) -> Result<Condition, CompileError> {
        let protocol = self.ether_type(ether_type)?;
        let network = self.layout.network();
        let addresses = ends(direction, |is_source| {
            let offset = if is_source { source } else { destination };
            self.masked(network, offset, Width::Four, address, mask)
        });
        Ok(protocol.and(addresses))
    }

    fn ip6_network(
        &mut self,
        direction: Direction,
        words: [(u32, u32); 4],
    ) -> Result<Condition, CompileError> {
        let protocol = self.ether_type(link::IP6)?;
        let network = self.layout.network();
        let addresses = ends(direction, |is_source| {
            let start = if is_source { 8 } else { 24 };
            let mut whole = Condition::Always(true);
            for (offset, (word, mask)) in [0, 4, 8, 12].into_iter().zip(words) {
                whole = whole.and(self.masked(network, start + offset, Width::Four, word, mask));
            }
            whole
        });
        Ok(protocol.and(addresses))
    }

    pub(super) fn mac(
        &mut self,
        direction: Direction,
        address: MacAddress,
        primitive: &'static str,
    ) -> Result<Condition, CompileError> {
        let is_address = |this: &mut Self, offset: u32| this.mac_at(offset, address);
        if matches!(self.layout.framing, Framing::Wireless { .. }) {
            return Ok(ends(direction, |is_source| self.wireless_end(is_source, is_address)));
        }
        let (inside, [destination, source]) = self.addresses(primitive)?;
        let addresses = ends(direction, |is_source| {
            is_address(self, if is_source { source } else { destination })
        });
        Ok(inside.and(addresses))
    }

    /// A test that holds if the link-layer header has this address at an offset.
    pub(super) fn mac_at(&mut self, offset: u32, address: MacAddress) -> Condition {
        let [a, b, c, d, e, f] = address.0;
        let (start, end) =
            (u32::from(u16::from_be_bytes([a, b])), u32::from_be_bytes([c, d, e, f]));
        let header = self.layout.header;
        let end = self.equal(header, offset + 2, Width::Four, end);
        end.and(self.equal(header, offset, Width::Two, start))
    }

    pub(super) fn broadcast(&mut self) -> Result<Condition, CompileError> {
        const PRIMITIVE: &str = "ether broadcast";
        match self.layout.framing {
            Framing::Arcnet => Ok(self.arcnet_broadcast()),
            _ => self.mac(Direction::Destination, MacAddress::BROADCAST, PRIMITIVE),
        }
    }

    /// ARCNET's broadcast address, which is its only group address.
    fn arcnet_broadcast(&mut self) -> Condition {
        self.equal(self.layout.header, 1, Width::One, 0)
    }

    pub(super) fn ip_broadcast(&mut self) -> Result<Condition, CompileError> {
        let netmask = self.options.netmask.ok_or(CompileError::NetmaskUnknown)?;
        let hosts = !netmask.to_bits();
        let protocol = self.ether_type(link::IP)?;
        let network = self.layout.network();
        let zeros = self.masked(network, 16, Width::Four, 0, hosts);
        let ones = self.masked(network, 16, Width::Four, hosts, hosts);
        Ok(protocol.and(zeros.or(ones)))
    }

    pub(super) fn multicast(&mut self, layer: MulticastLayer) -> Result<Condition, CompileError> {
        match layer {
            MulticastLayer::Ether => {
                let is_group = |this: &mut Self, offset: u32| {
                    let value = this.load(this.layout.header, offset, Width::One);
                    test(value, Branch::AnyBit, 1)
                };
                match self.layout.framing {
                    Framing::Arcnet => return Ok(self.arcnet_broadcast()),
                    Framing::Wireless { .. } => return Ok(self.wireless_end(false, is_group)),
                    _ => {}
                }
                let (inside, [destination, _]) = self.addresses("ether multicast")?;
                Ok(inside.and(is_group(self, destination)))
            }
            MulticastLayer::Ip => {
                let protocol = self.ether_type(link::IP)?;
                let value = self.load(self.layout.network(), 16, Width::One);
                Ok(protocol.and(test(value, Branch::GreaterOrEqual, 224)))
            }
            MulticastLayer::Ip6 => {
                let protocol = self.ether_type(link::IP6)?;
                Ok(protocol.and(self.equal(self.layout.network(), 24, Width::One, 255)))
            }
        }
    }

    /// A test for a link-layer header with addresses, and the offsets of destination and source in
    /// it. An error if the link type has none.
    fn addresses(&self, primitive: &'static str) -> Result<(Condition, [u32; 2]), CompileError> {
        let always = Condition::Always(true);
        match (self.layout.framing, self.link_type) {
            (Framing::Ethernet, _) => Ok((always, [0, 6])),
            (Framing::Geneve { ethernet }, _) => Ok((test(ethernet, Branch::Equal, 1), [0, 6])),
            (Framing::Llc, Link::Fddi) => Ok((always, [1, 7])),
            (Framing::Llc, Link::TokenRing) => Ok((always, [2, 8])),
            (Framing::Llc, Link::IpOverFibreChannel) => Ok((always, [2, 10])),
            (Framing::Ppp, _) => Err(CompileError::Encapsulated { primitive, inside: "PPP" }),
            (_, link_type) => {
                Err(CompileError::LinkType { primitive, link_type: link_type.into() })
            }
        }
    }

    /// The transport header of an IPv4 packet.
    pub(super) fn ip_transport(&mut self) -> Offset {
        use crate::expression::BinaryOperator::{Add, And, Multiply};
        let network = self.layout.network();
        let first = self.load(network, 0, Width::One);
        let (mask, words) = (self.values.constant(0xf), self.values.constant(4));
        let length = self.values.binary(And, first, mask);
        let length = self.values.binary(Multiply, length, words);
        let index = match network.index {
            Some(index) => self.values.binary(Add, index, length),
            None => length,
        };
        Offset { index: Some(index), constant: network.constant }
    }
}

/// Tests one end, or both with the source first.
pub(super) fn ends(direction: Direction, mut end: impl FnMut(bool) -> Condition) -> Condition {
    match direction {
        Direction::Source => end(true),
        Direction::Destination => end(false),
        Direction::Either => {
            let source = end(true);
            source.or(end(false))
        }
        Direction::Both => {
            let source = end(true);
            source.and(end(false))
        }
    }
}
