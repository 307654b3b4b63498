//! Random trees.

#![allow(dead_code, reason = "not every test that takes this module in uses all of it")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use packet_filter::{
    Arithmetic, BinaryOperator, Comparison, DecnetAddress, Direction, Expression, Header,
    HostProtocol, Layer, LlcType, MacAddress, MulticastLayer, Network, Primitive, Protocol,
    ProtocolLayer, Transport, Width, WirelessAddress,
};
use proptest::prelude::*;
use proptest::sample::select;

/// Trees of every kind of node. `constants` are values that occur in the test packets, so that
/// conditions sometimes hold.
pub(crate) fn expressions() -> impl Strategy<Value = Expression> {
    let leaf = prop_oneof![3 => primitives().prop_map(Expression::from), 1 => relations()];
    leaf.prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(Expression::negated),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| one.and(other)),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| one.or(other)),
            prop::collection::vec(inner.clone(), 2..5)
                .prop_map(|all| all.into_iter().reduce(Expression::or).expect("two or more")),
            prop::collection::vec(inner, 2..5)
                .prop_map(|all| all.into_iter().reduce(Expression::and).expect("two or more")),
        ]
    })
}

fn directions() -> impl Strategy<Value = Direction> {
    select(vec![Direction::Source, Direction::Destination, Direction::Either, Direction::Both])
}

fn ip4() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        select(vec![[192, 0, 2, 1], [10, 1, 2, 255], [224, 0, 0, 1]]).prop_map(Ipv4Addr::from),
        any::<Ipv4Addr>()
    ]
}

fn ip6() -> impl Strategy<Value = Ipv6Addr> {
    let known =
        ["fe80::1", "2001:db8::2", "ff02::2", "::"].map(|text| text.parse().expect("an address"));
    prop_oneof![select(known.to_vec()), any::<Ipv6Addr>()]
}

fn networks() -> impl Strategy<Value = Network> {
    let four = (ip4(), 0..=32u8).prop_map(|(address, prefix)| {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        Network::new(IpAddr::from(Ipv4Addr::from_bits(address.to_bits() & mask)), prefix)
            .expect("no host bits")
    });
    let masked = (ip4(), any::<u32>()).prop_map(|(address, mask)| {
        let address = Ipv4Addr::from_bits(address.to_bits() & mask);
        Network::with_mask(address, Ipv4Addr::from_bits(mask)).expect("no host bits")
    });
    let six = (ip6(), 0..=128u8).prop_map(|(address, prefix)| {
        let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
        Network::new(IpAddr::from(Ipv6Addr::from_bits(address.to_bits() & mask)), prefix)
            .expect("no host bits")
    });
    prop_oneof![4 => four, 1 => masked, 2 => six]
}

fn decnet_addresses() -> impl Strategy<Value = DecnetAddress> {
    prop_oneof![Just((10, 123)), Just((1, 1023)), (0..64u16, 0..1024u16)]
        .prop_map(|(area, node)| DecnetAddress::new(area, node).expect("in range"))
}

fn llc() -> impl Strategy<Value = Primitive> {
    use LlcType::{
        Disconnect, DisconnectedMode, ExchangeIdentification, FrameReject, Information,
        ReceiverNotReady, ReceiverReady, Reject, SetBalancedMode, Supervisory, Test, Unnumbered,
        UnnumberedAcknowledgement, UnnumberedInformation,
    };
    let types = vec![
        Information,
        Supervisory,
        Unnumbered,
        ReceiverReady,
        ReceiverNotReady,
        Reject,
        UnnumberedInformation,
        UnnumberedAcknowledgement,
        Disconnect,
        DisconnectedMode,
        SetBalancedMode,
        Test,
        ExchangeIdentification,
        FrameReject,
    ];
    prop::option::of(select(types)).prop_map(Primitive::Llc)
}

/// Fields of 802.11 frames and of packet filter logs.
fn fields() -> impl Strategy<Value = Primitive> {
    use WirelessAddress::{First, Fourth, Receiver, Second, Third, Transmitter};
    let known = [[2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]].to_vec();
    let addresses = prop_oneof![select(known), any::<[u8; 6]>()].prop_map(MacAddress);
    let fields = select(vec![First, Second, Third, Fourth, Receiver, Transmitter]);
    let subtypes = prop::option::of((0..16u8).prop_map(|subtype| subtype << 4));
    let names = || "[a-z0-9][a-z0-9.:_-]{0,14}".prop_map(Box::from);
    prop_oneof![
        (fields, addresses).prop_map(|(field, address)| Primitive::WirelessHost { field, address }),
        ((0..4u8).prop_map(|kind| kind << 2), subtypes)
            .prop_map(|(kind, subtype)| Primitive::WirelessType { kind, subtype }),
        (0..4u8).prop_map(Primitive::WirelessDirection),
        names().prop_map(Primitive::LogInterface),
        names().prop_map(Primitive::LogRuleset),
        select(vec!["ip", "port", "80", "em-", "10.0.0.1", "fe80::1"])
            .prop_map(|name| Primitive::LogInterface(name.into())),
        any::<u32>().prop_map(Primitive::LogRule),
        (0..10u32).prop_map(Primitive::LogSubrule),
        prop_oneof![0..20u32, any::<u32>()].prop_map(Primitive::LogReason),
        (0..11u8).prop_map(Primitive::LogAction),
    ]
}

fn ports() -> impl Strategy<Value = u16> {
    prop_oneof![select(vec![80u16, 443, 53, 67, 22, 1024, 6005]), any::<u16>()]
}

fn primitives() -> impl Strategy<Value = Primitive> {
    use Protocol::{
        Aarp, Ah, Arp, Atalk, Esp, Icmp, Icmp6, Igmp, Ip, Ip6, Ipx, Isis, IsisLevel1, Iso, Netbeui,
        Pim, Rarp, Sctp, Stp, Tcp, Udp, Vrrp,
    };
    let protocols = vec![
        Ip, Ip6, Arp, Rarp, Tcp, Udp, Sctp, Icmp, Icmp6, Igmp, Pim, Vrrp, Ah, Esp, Atalk, Aarp,
        Iso, Isis, IsisLevel1, Stp, Ipx, Netbeui,
    ];
    let transport =
        || prop::option::of(select(vec![Transport::Tcp, Transport::Udp, Transport::Sctp]));
    let four =
        || prop::option::of(select(vec![HostProtocol::Ip, HostProtocol::Arp, HostProtocol::Rarp]));
    let six = || prop::option::of(Just(HostProtocol::Ip6));
    prop_oneof![
        4 => select(protocols).prop_map(Primitive::Protocol),
        2 => (four(), directions(), ip4())
            .prop_map(|(protocol, direction, address)| Primitive::Host { protocol, direction, address: address.into() }),
        1 => (six(), directions(), ip6())
            .prop_map(|(protocol, direction, address)| Primitive::Host { protocol, direction, address: address.into() }),
        2 => (directions(), networks())
            .prop_map(|(direction, network)| Primitive::Net { protocol: None, direction, network }),
        1 => (directions(), any::<[u8; 6]>())
            .prop_map(|(direction, address)| Primitive::EtherHost { direction, address: MacAddress(address) }),
        1 => (directions(), decnet_addresses())
            .prop_map(|(direction, address)| Primitive::DecnetHost { direction, address }),
        1 => llc(),
        3 => (transport(), directions(), ports())
            .prop_map(|(transport, direction, port)| Primitive::Port { transport, direction, port }),
        1 => (transport(), directions(), ports(), ports()).prop_map(|(transport, direction, one, other)| {
            Primitive::PortRange { transport, direction, first: one.min(other), last: one.max(other) }
        }),
        2 => (
            select(vec![ProtocolLayer::Any, ProtocolLayer::Ip, ProtocolLayer::Ip6, ProtocolLayer::Iso, ProtocolLayer::Isis]),
            0..256u32
        ).prop_map(|(layer, number)| Primitive::Proto { layer, number }),
        1 => (0..0x1_0000u32).prop_map(|number| Primitive::Proto { layer: ProtocolLayer::Ether, number }),
        1 => select(vec![
            Primitive::Broadcast,
            Primitive::IpBroadcast,
            Primitive::Multicast(MulticastLayer::Ether),
            Primitive::Multicast(MulticastLayer::Ip),
            Primitive::Multicast(MulticastLayer::Ip6),
        ]),
        1 => fields(),
        1 => (0..200u32).prop_map(Primitive::Less),
        1 => (0..200u32).prop_map(Primitive::Greater),
    ]
}

/// Primitives that move the offsets of those after them, or that libpcap compiles differently.
pub(crate) fn moving() -> impl Strategy<Value = Primitive> {
    prop_oneof![
        prop::option::of(0..0x1000u16).prop_map(Primitive::Vlan),
        prop::option::of(0..0x10_0000u32).prop_map(Primitive::Mpls),
        prop::option::of(any::<u16>()).prop_map(Primitive::PppoeSession),
        prop::option::of(0..0x100_0000u32).prop_map(Primitive::Geneve),
        Just(Primitive::PppoeDiscovery),
        Just(Primitive::Inbound),
        Just(Primitive::Outbound),
        any::<u32>().prop_map(Primitive::InterfaceIndex),
        (select(vec![Layer::Any, Layer::Ip, Layer::Ip6]), any::<u8>())
            .prop_map(|(layer, number)| Primitive::ProtoChain { layer, number }),
    ]
}

fn relations() -> impl Strategy<Value = Expression> {
    let comparisons = vec![
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ];
    (numbers(), select(comparisons), numbers())
        .prop_map(|(left, comparison, right)| left.compare(comparison, right))
}

fn numbers() -> impl Strategy<Value = Arithmetic> {
    let headers = vec![
        Header::Link,
        Header::Ip,
        Header::Ip6,
        Header::Arp,
        Header::Rarp,
        Header::Tcp,
        Header::Udp,
        Header::Sctp,
        Header::Icmp,
        Header::Icmp6,
        Header::Igmp,
        Header::Pim,
    ];
    let widths = || select(vec![Width::One, Width::Two, Width::Four]);
    let leaf = prop_oneof![
        3 => prop_oneof![0..300u32, any::<u32>()].prop_map(Arithmetic::Number),
        1 => Just(Arithmetic::Length),
        4 => (select(headers.clone()), 0..40u32, widths())
            .prop_map(|(header, offset, width)| Arithmetic::load(header, offset, width)),
    ];
    leaf.prop_recursive(3, 8, 2, move |inner| {
        let operators = vec![
            BinaryOperator::Add, BinaryOperator::Subtract, BinaryOperator::Multiply, BinaryOperator::And,
            BinaryOperator::Or, BinaryOperator::Xor,
        ];
        let shifts = vec![BinaryOperator::ShiftLeft, BinaryOperator::ShiftRight];
        let divisions = vec![BinaryOperator::Divide, BinaryOperator::Modulo];
        prop_oneof![
            4 => (inner.clone(), select(operators), inner.clone())
                .prop_map(|(left, operator, right)| left.binary(operator, right)),
            1 => (inner.clone(), select(shifts), 0..32u32)
                .prop_map(|(left, operator, right)| left.binary(operator, Arithmetic::Number(right))),
            1 => (inner.clone(), select(divisions), 1..100u32)
                .prop_map(|(left, operator, right)| left.binary(operator, Arithmetic::Number(right))),
            1 => inner.clone().prop_map(|inner| Arithmetic::Negate(Box::new(inner))),
            1 => (select(headers.clone()), inner, widths())
                .prop_map(|(header, offset, width)| Arithmetic::Load {
                    header,
                    // Keeps the offset within every packet that is long enough.
                    offset: Box::new(offset.binary(BinaryOperator::And, Arithmetic::Number(0xff))),
                    width,
                }),
        ]
    })
}
