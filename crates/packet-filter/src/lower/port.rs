//! Lowers tests of ports.

use super::address::ends;
use super::{Direction, Lowering, Offset, link, test};
use crate::error::CompileError;
use crate::expression::{Transport, Width};
use crate::ir::{Branch, Condition};
use crate::options::ExtensionHeaders;

impl Lowering<'_> {
    pub(super) fn ports(
        &mut self,
        transport: Option<Transport>,
        direction: Direction,
        first: u16,
        last: u16,
    ) -> Result<Condition, CompileError> {
        self.port_tests(transport, direction, &mut |lowering, at, offset| {
            let value = lowering.load(at, offset, Width::Two);
            if first == last {
                test(value, Branch::Equal, first.into())
            } else {
                test(value, Branch::GreaterOrEqual, first.into())
                    .and(test(value, Branch::Greater, last.into()).negated())
            }
        })
    }

    pub(super) fn port_range(
        &mut self,
        transport: Option<Transport>,
        direction: Direction,
        first: u16,
        last: u16,
    ) -> Result<Condition, CompileError> {
        self.ports(transport, direction, first.min(last), first.max(last))
    }

    /// Tests IPv6, then IPv4, each with its transports and then its ports. The ports are tested
    /// separately for each transport, so that the failure edge knows the transport. The optimiser
    /// merges blocks that turn out equal.
    fn port_tests(
        &mut self,
        transport: Option<Transport>,
        direction: Direction,
        port: &mut dyn FnMut(&mut Self, Offset, u32) -> Condition,
    ) -> Result<Condition, CompileError> {
        let network = self.layout.network();
        let mut both = |lowering: &mut Self, at| {
            ends(direction, |is_source| port(lowering, at, if is_source { 0 } else { 2 }))
        };
        let ip6 = self.ether_type(link::IP6)?;
        let ip6 = match self.options.extension_headers {
            ExtensionHeaders::Ignored => {
                let ports = both(self, network.plus(40));
                ip6.and(self.transports(network, 6, transport, &ports))
            }
            ExtensionHeaders::Followed => {
                ip6.and(self.ip6_chain(true, &mut |lowering, next, at| {
                    let ports = both(lowering, at);
                    transport_numbers(transport).fold(Condition::Always(false), |any, number| {
                        any.or(test(next, Branch::Equal, number).and(ports.clone()))
                    })
                }))
            }
        };
        let ip = self.ether_type(link::IP)?;
        let first_fragment = self.first_fragment();
        let at = self.ip_transport();
        let ports = first_fragment.and(both(self, at));
        Ok(ip6.or(ip.and(self.transports(network, 9, transport, &ports))))
    }

    /// A test that holds if the packet is of a transport and passes the tests for it.
    fn transports(
        &mut self,
        network: Offset,
        field: u32,
        transport: Option<Transport>,
        ports: &Condition,
    ) -> Condition {
        let value = self.load(network, field, Width::One);
        transport_numbers(transport).fold(Condition::Always(false), |any, number| {
            any.or(test(value, Branch::Equal, number).and(ports.clone()))
        })
    }

    /// A test that holds if an IPv4 packet is not a fragment or is the first one (RFC 791, section
    /// 3.1).
    pub(super) fn first_fragment(&mut self) -> Condition {
        let value = self.load(self.layout.network(), 6, Width::Two);
        test(value, Branch::AnyBit, 0x1fff).negated()
    }
}

fn transport_numbers(transport: Option<Transport>) -> impl Iterator<Item = u32> {
    let all = [Transport::Sctp, Transport::Tcp, Transport::Udp];
    all.into_iter()
        .filter(move |one| transport.is_none_or(|only| only == *one))
        .map(Transport::number)
}
