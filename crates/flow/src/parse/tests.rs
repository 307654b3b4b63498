//! Parses frames that are built here.

use std::net::IpAddr;

use flow_testkit::frame::Frame;
use flow_testkit::gallery;

use super::*;
use crate::{TcpFlags, TcpHeader, Timestamp, VlanTag, protocol};

trait Parse {
    fn parse(&self) -> Result<Parsed, Unparsed>;
    fn parse_as(&self, link_type: LinkType) -> Result<Parsed, Unparsed>;
    fn headers(&self) -> Headers;
    fn headers_as(&self, link_type: LinkType) -> Headers;
    /// The payload of the flow that was found.
    fn payload(&self, headers: &Headers) -> &[u8];
}

impl Parse for Frame {
    fn parse(&self) -> Result<Parsed, Unparsed> {
        self.parse_as(LinkType::ETHERNET)
    }

    fn parse_as(&self, link_type: LinkType) -> Result<Parsed, Unparsed> {
        parse(&Packet::new(&self.0, Timestamp::default(), link_type))
    }

    fn headers(&self) -> Headers {
        self.headers_as(LinkType::ETHERNET)
    }

    fn headers_as(&self, link_type: LinkType) -> Headers {
        match self.parse_as(link_type) {
            Ok(Parsed::Transport(headers)) => headers,
            other => panic!("{other:?} from {:02x?}", self.0),
        }
    }

    fn payload(&self, headers: &Headers) -> &[u8] {
        &self.0[headers.payload_offset as usize..][..headers.payload_len as usize]
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn tcp_over_ipv4_over_ethernet() {
    let frame = Frame::new(b"hello").tcp(&[], 0x18).ipv4(protocol::TCP).ethernet(0x0800);
    let headers = frame.headers();
    assert_eq!(
        headers,
        Headers {
            source: address("10.0.0.1"),
            destination: address("10.0.0.2"),
            protocol: protocol::TCP,
            source_port: 40000,
            destination_port: 80,
            scope: Scope::NONE,
            network_offset: 14,
            transport_offset: 34,
            payload_offset: 54,
            payload_len: 5,
            payload_wire_len: 5,
            tcp: TcpHeader {
                sequence: 0x0102_0304,
                acknowledgement: 0x0506_0708,
                flags: TcpFlags::PSH | TcpFlags::ACK,
                window: 4096,
                window_scale: None,
                ..TcpHeader::default()
            },
            defect: None,
        }
    );
}

/// The fast path and the slow path must agree: the slow path finds everything that the fast path
/// finds.
#[test]
fn the_short_way_finds_what_the_long_way_finds() {
    let options = [1, 1, 4, 2, 1, 3, 3, 7, 0, 0, 0, 0];
    let mut frames: Vec<(LinkType, Frame)> = gallery::gallery()
        .into_iter()
        .map(|exhibit| (LinkType(exhibit.link_type), exhibit.frame))
        .collect();
    for flags in [0x02, 0x12, 0x10, 0x04] {
        let frame = Frame::new(b"x").tcp(&options, flags).ipv4(6).ethernet(0x0800);
        frames.push((LinkType::ETHERNET, frame));
    }
    for padding in [0, 3] {
        let mut four = Frame::new(b"hello").udp(53, 1000).ipv4(17).ethernet(0x0800);
        let mut six = Frame::new(b"hello").udp(53, 1000).ipv6(17).ethernet(0x86dd);
        four.0.resize(four.0.len() + padding, 0);
        six.0.resize(six.0.len() + padding, 0);
        frames.extend([(LinkType::ETHERNET, four), (LinkType::ETHERNET, six)]);
    }
    let parser = Parser::default();
    let mut found_quickly = 0;
    for (link_type, frame) in frames {
        for at in 0..frame.0.len() {
            for change in [0, 1, 2, 4, 8, 16, 32, 64, 128, 0xff] {
                let mut data = frame.0.clone();
                data[at] ^= change;
                let packet = Packet::new(&data, Timestamp::default(), link_type);
                let quick = parser.parse(&packet);
                assert_eq!(quick, parser.walk_slowly(&packet), "{link_type:?} {data:02x?}");
                found_quickly += u32::from(quick.is_ok());
            }
        }
    }
    assert!(found_quickly > 10_000);
}

#[test]
fn window_scale_is_read_from_a_syn_only_and_counts_to_14() {
    let scaled = |options: &[u8], flags| {
        Frame::new(b"").tcp(options, flags).ipv4(6).ethernet(0x0800).headers().tcp.window_scale
    };
    assert_eq!(scaled(&[2, 4, 5, 180, 1, 3, 3, 7], 0x02), Some(7));
    assert_eq!(scaled(&[2, 4, 5, 180, 1, 3, 3, 200], 0x12), Some(14));
    assert_eq!(scaled(&[2, 4, 5, 180, 1, 3, 3, 7], 0x10), None);
    assert_eq!(scaled(&[0, 3, 3, 7], 0x02), None, "after the end of the list");
    assert_eq!(scaled(&[9, 0, 3, 3], 0x02), None, "an option of length 0");
    assert_eq!(scaled(&[9, 40, 3, 3], 0x02), None, "an option that is too long");
}

#[test]
fn padding_is_no_payload() {
    let mut frame = Frame::new(b"").tcp(&[], 0x10).ipv4(6).ethernet(0x0800);
    frame.0.extend([0; 6]);
    let headers = frame.headers();
    assert_eq!((headers.payload_len, headers.payload_wire_len), (0, 0));
    let mut frame = Frame::new(b"").tcp(&[], 0x10).ipv6(6).ethernet(0x86dd);
    frame.0.extend([0; 6]);
    assert_eq!(frame.headers().payload_wire_len, 0);
}

#[test]
fn a_total_length_of_0_lasts_to_the_end_of_the_frame() {
    let mut frame = Frame::new(&[7; 3000]).tcp(&[], 0x10).ipv4(6).ethernet(0x0800);
    frame.0[16..18].fill(0);
    assert_eq!(frame.headers().payload_wire_len, 3000);
    let mut frame = Frame::new(&[7; 3000]).tcp(&[], 0x10).ipv6(6).ethernet(0x86dd);
    frame.0[18..20].fill(0);
    assert_eq!(frame.headers().payload_wire_len, 3000);
}

#[test]
fn a_cut_packet_knows_how_long_it_was() {
    let frame = Frame::new(&[7; 100]).tcp(&[], 0x10).ipv4(6).ethernet(0x0800);
    for captured in 0..frame.0.len() {
        let mut packet =
            Packet::new(&frame.0[..captured], Timestamp::default(), LinkType::ETHERNET);
        packet.meta_mut().wire_len = frame.0.len() as u32;
        match parse(&packet) {
            Ok(Parsed::Transport(headers)) => {
                assert!(captured >= 54);
                assert_eq!(headers.payload_len as usize, captured - 54);
                assert_eq!(headers.payload_wire_len, 100);
            }
            Err(Unparsed::Truncated) => assert!(captured < 54),
            other => panic!("{other:?} at {captured}"),
        }
    }
}

#[test]
fn contradicting_lengths_are_malformed() {
    let frame = Frame::new(b"hello").tcp(&[], 0x18).ipv4(6).ethernet(0x0800);
    for (at, value) in [(14, 0x44), (14, 0x65), (17, 10), (17, 39), (46, 0x40), (46, 0xf0)] {
        let mut bad = Frame(frame.0.clone());
        bad.0[at] = value;
        assert_eq!(bad.parse(), Err(Unparsed::Malformed), "byte {at} = {value:#x}");
    }
}

#[test]
fn vlans_are_scopes_whatever_carries_the_tag() {
    let plain = Frame::new(b"x").tcp(&[], 0x10).ipv4(6);
    let tagged = |types: &[u16], ids: &[u16]| {
        let mut frame = Frame(plain.0.clone()).within(&0x0800_u16.to_be_bytes());
        for (ether_type, id) in types.iter().zip(ids).rev() {
            frame = frame.within(&id.to_be_bytes()).within(&ether_type.to_be_bytes());
        }
        frame.within(&[0; 12])
    };
    let one = tagged(&[0x8100], &[5]).headers();
    assert_eq!(one.network_offset, 18);
    assert_ne!(one.scope, Scope::NONE);
    assert_eq!(one.scope, tagged(&[0x88a8], &[0x6005]).headers().scope, "priority bits");
    assert_eq!(tagged(&[0x8100], &[0]).headers().scope, Scope::NONE, "a priority tag");
    let two = tagged(&[0x88a8, 0x8100], &[5, 6]).headers().scope;
    assert_ne!(two, tagged(&[0x88a8, 0x8100], &[6, 5]).headers().scope);
    assert_ne!(two, one.scope);
    let bytes = Frame(plain.0.clone()).ethernet(0x0800).0;
    let mut packet = Packet::new(&bytes, Timestamp::default(), LinkType::ETHERNET);
    packet.meta_mut().vlan = Some(VlanTag { tpid: 0x8100, tci: 5 });
    let Ok(Parsed::Transport(stripped)) = parse(&packet) else { panic!("not parsed") };
    assert_eq!(stripped.scope, one.scope);
    assert_eq!(stripped.network_offset, 14);
    for (link_type, tag) in [
        (LinkType::DSA_TAG_DSA, &[0x20, 8, 0xe0, 5][..]),
        (LinkType::DSA_TAG_EDSA, &[0xda, 0xda, 0, 0, 0x20, 8, 0, 5]),
    ] {
        let mut frame = Frame(plain.0.clone()).ethernet(0x0800);
        frame.0.splice(12..12, tag.iter().copied());
        assert_eq!(frame.headers_as(link_type).scope, one.scope, "in a switch's tag");
    }
    let many = tagged(&[0x8100; 10], &[1; 10]).headers().scope;
    assert_ne!(many, tagged(&[0x8100; 11], &[1; 11]).headers().scope);
    assert_eq!(tagged(&[0x8100; 40], &[1; 40]).parse(), Err(Unparsed::TooDeep));
}

#[test]
fn link_types_lead_to_the_same_flow() {
    let v4 = Frame::new(b"hello").tcp(&[], 0x18).ipv4(6);
    let v6 = Frame::new(b"hello").tcp(&[], 0x18).ipv6(6);
    let sll = |ether_type: u16| {
        [&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0][..], &ether_type.to_be_bytes()].concat()
    };
    let sll2 = |ether_type: u16| [&ether_type.to_be_bytes()[..], &[0; 18]].concat();
    let cases: [(LinkType, Vec<u8>, &Frame); 14] = [
        (LinkType::RAW, vec![], &v4),
        (LinkType::RAW, vec![], &v6),
        (LinkType(12), vec![], &v6),
        (LinkType(14), vec![], &v4),
        (LinkType::IPV4, vec![], &v4),
        (LinkType::IPV6, vec![], &v6),
        (LinkType::NULL, vec![2, 0, 0, 0], &v4),
        (LinkType::NULL, vec![0, 0, 0, 30], &v6),
        (LinkType::LOOP, vec![0, 0, 0, 2], &v4),
        (LinkType::LOOP, vec![0, 0, 0, 24], &v6),
        (LinkType::LINUX_SLL, sll(0x0800), &v4),
        (LinkType::LINUX_SLL, sll(0x86dd), &v6),
        (LinkType::LINUX_SLL2, sll2(0x0800), &v4),
        (LinkType::LINUX_SLL2, sll2(0x86dd), &v6),
    ];
    for (link_type, header, packet) in cases {
        let frame = Frame(packet.0.clone()).within(&header);
        let headers = frame.headers_as(link_type);
        assert_eq!(frame.payload(&headers), b"hello", "{link_type:?}");
        assert_eq!(headers.network_offset as usize, header.len());
        assert_eq!(headers.source.is_ipv4(), packet.0[0] >> 4 == 4);
    }
    assert_eq!(v4.parse_as(LinkType(147)), Err(Unparsed::UnsupportedLinkType(LinkType(147))));
}

#[test]
fn extension_headers_are_passed() {
    let frame = Frame::new(b"hello")
        .tcp(&[], 0x18)
        .within(&[6, 0, 0, 0, 0, 0, 0, 0]) // destination options, padding only
        .within(&[60, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) // routing, unknown type
        .within(&[43, 0, 0, 0, 0, 0, 0, 9]) // an atomic fragment's header is passed, too
        .within(&[44, 0, 1, 4, 0, 0, 0, 0]) // hop by hop
        .ipv6(0)
        .ethernet(0x86dd);
    let headers = frame.headers();
    assert_eq!(headers.protocol, protocol::TCP);
    assert_eq!(headers.transport_offset, 14 + 40 + 8 + 8 + 16 + 8);
    assert_eq!(frame.payload(&headers), b"hello");
    for (count, kind) in [(15, 60), (16, 60), (17, 60), (100, 43), (4000, 60), (7000, 135)] {
        let mut frame = Frame::new(b"hello").tcp(&[], 0x18).within(&[6, 0, 1, 4, 0, 0, 0, 0]);
        let more = [kind, 0, 1, 4, 0, 0, 0, 0].repeat(count - 1);
        frame = frame.within(&more).ipv6(kind).ethernet(0x86dd);
        let headers = frame.headers();
        assert_eq!(headers.transport_offset as usize, 54 + 8 * count);
        assert_eq!(frame.payload(&headers), b"hello");
        // Names one more header than there is.
        let end = frame.0.len() - 25 - 8;
        frame.0[end] = kind;
        frame.0.truncate(end + 8);
        let len = frame.0.len() - 54;
        frame.0[18..20].copy_from_slice(&(len as u16).to_be_bytes());
        assert_eq!(frame.parse(), Err(Unparsed::Malformed));
    }
}

#[test]
fn source_routes_end_at_the_last_hop() {
    let route = [131, 11, 4, 10, 0, 0, 7, 10, 0, 0, 9, 0];
    let with = |route: &[u8]| {
        Frame::new(b"").tcp(&[], 0x10).ipv4_with(6, route, 0, 0).ethernet(0x0800).headers()
    };
    assert_eq!(with(&route).destination, address("10.0.0.9"));
    let mut exhausted = route;
    exhausted[2] = 12;
    assert_eq!(with(&exhausted).destination, address("10.0.0.2"));
    let mut header = vec![6, 2, 4, 1, 0, 0, 0, 0];
    header.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    let frame = Frame::new(b"").tcp(&[], 0x10).within(&header).ipv6(43).ethernet(0x86dd);
    assert_eq!(frame.headers().destination, address("fd00::9"));
}

#[test]
fn fragments_are_told_from_whole_packets() {
    let frame = Frame::new(&[7; 64]).ipv4_with(6, &[1, 1, 1, 0], 77, 0x2005).ethernet(0x0800);
    let Ok(Parsed::Fragment(fragment)) = frame.parse() else { panic!("{:?}", frame.parse()) };
    assert_eq!((fragment.identification, fragment.fragment_offset, fragment.more), (77, 40, true));
    assert_eq!((fragment.network_offset, fragment.header_len), (14, 24));
    assert_eq!((fragment.payload_offset, fragment.payload_len), (38, 64));
    let dont_fragment = Frame::new(b"").tcp(&[], 0x10).ipv4_with(6, &[], 1, 0x4000);
    dont_fragment.ethernet(0x0800).headers();

    let frame = Frame::new(&[7; 64])
        .within(&[6, 0, 0, 41, 0xde, 0xad, 0xbe, 0xef])
        .within(&[44, 0, 1, 4, 0, 0, 0, 0])
        .ipv6(0)
        .ethernet(0x86dd);
    let Ok(Parsed::Fragment(fragment)) = frame.parse() else { panic!("{:?}", frame.parse()) };
    assert_eq!((fragment.identification, fragment.fragment_offset), (0xdead_beef, 40));
    assert_eq!((fragment.protocol, fragment.more), (6, true));
    assert_eq!((fragment.header_len, fragment.next_header_offset), (48, 40));
}

#[test]
fn a_fragment_that_the_capture_cut_is_of_no_use() {
    let frame = Frame::new(&[7; 64]).tcp(&[], 0x10).ipv4_with(6, &[], 77, 0x2000).ethernet(0x0800);
    let mut packet = Packet::new(&frame.0[..60], Timestamp::default(), LinkType::ETHERNET);
    packet.meta_mut().wire_len = frame.0.len() as u32;
    assert_eq!(parse(&packet), Err(Unparsed::TruncatedFragment));

    // Nothing follows the options, which were not captured themselves.
    let frame = Frame::new(&[]).ipv4_with(6, &[1, 1, 1, 0], 77, 0x2005).ethernet(0x0800);
    let mut packet = Packet::new(&frame.0[..34], Timestamp::default(), LinkType::ETHERNET);
    packet.meta_mut().wire_len = frame.0.len() as u32;
    assert!(matches!(parse(&packet), Err(Unparsed::Truncated | Unparsed::TruncatedFragment)));
}

#[test]
fn ip_in_ip_is_opened_and_scoped_alike_in_both_directions() {
    let inner = || Frame::new(b"hello").tcp(&[], 0x18).ipv4(6);
    let outer = inner().ipv4(4).ethernet(0x0800);
    let headers = outer.headers();
    assert_eq!((headers.protocol, headers.network_offset), (6, 34));
    assert_eq!(outer.payload(&headers), b"hello");
    let mut back = outer.0.clone();
    back[29] = 2;
    back[33] = 1;
    assert_eq!(Frame(back).headers().scope, headers.scope);
    let mut other = outer.0;
    other[33] = 3;
    assert_ne!(Frame(other).headers().scope, headers.scope);
    let six = inner().ipv6(4).ethernet(0x86dd).headers();
    assert_ne!(six.scope, headers.scope);
    let mut not_ip = inner();
    not_ip.0[0] = 0x15;
    let headers = not_ip.ipv4(4).ethernet(0x0800).headers();
    assert_eq!((headers.protocol, headers.network_offset, headers.scope), (4, 14, Scope::NONE));
}

#[test]
fn udp_believes_its_own_length_only_within_the_packet() {
    let mut frame = Frame::new(b"hello").udp(1000, 2000).ipv4(17).ethernet(0x0800);
    let headers = frame.headers();
    assert_eq!((headers.source_port, headers.destination_port), (1000, 2000));
    assert_eq!(frame.payload(&headers), b"hello");
    frame.0[39] = 8 + 3;
    assert_eq!(frame.headers().payload_len, 3);
    frame.0[39] = 200;
    assert_eq!(frame.headers().payload_len, 5);
    frame.0[39] = 0;
    assert_eq!(frame.headers().payload_len, 5);
    frame.0[39] = 7;
    assert_eq!(frame.parse(), Err(Unparsed::Malformed));
}

/// With the option set, ESP with NULL encryption is parsed: with every length of check value and
/// initialisation vector, in tunnels and between hosts, over IP and UDP.
#[test]
fn esp_without_encryption_is_read_on_request() {
    let parser = Parser::new(ParseOptions { esp_null: true, ..ParseOptions::default() });
    let segment = || Frame::new(b"hello").tcp(&[], 0x18);
    let payloads = [
        (4, segment().ipv4(6).ipv4_checksum(), true),
        (41, segment().ipv6(6), true),
        (6, segment(), false),
    ];
    for (next, payload, scoped) in payloads {
        for (vector, check_value) in [(0, 12), (0, 16), (0, 24), (0, 32), (0, 0), (8, 16)] {
            for more_padding in [0, 4, 200] {
                for udp in [false, true] {
                    let padding = (4 - (payload.0.len() + 2) % 4) % 4 + more_padding;
                    let mut frame = payload.clone().within(&[7; 8][..vector]);
                    frame.0.extend((1..=padding).map(|number| number as u8));
                    frame.0.extend([padding as u8, next]);
                    frame.0.extend([0xa5; 32].iter().take(check_value));
                    let esp = frame.within(&[0, 0, 16, 1, 0, 0, 0, 1]);
                    let frame = if udp {
                        esp.udp(4500, 4500).ipv4(17).ethernet(0x0800)
                    } else {
                        esp.ipv6(50).ethernet(0x86dd)
                    };
                    let data = &frame.0;
                    let packet = Packet::new(data, Timestamp::default(), LinkType::ETHERNET);
                    let Ok(Parsed::Transport(headers)) = parser.parse(&packet) else { panic!() };
                    let name = format!("{next} {vector} {check_value} {padding} {udp}");
                    assert_eq!((headers.protocol, headers.destination_port), (6, 80), "{name}");
                    assert_eq!(frame.payload(&headers), b"hello", "{name}");
                    assert_eq!(headers.payload_wire_len, 5, "{name}");
                    assert_eq!(headers.scope != Scope::NONE, scoped, "{name}");
                    let opaque = frame.headers();
                    assert_eq!(opaque.protocol, if udp { 17 } else { 50 }, "not asked for");
                    for len in 14..data.len() {
                        let mut cut =
                            Packet::new(&data[..len], packet.timestamp(), LinkType::ETHERNET);
                        cut.meta_mut().wire_len = data.len() as u32;
                        if let Ok(Parsed::Transport(headers)) = parser.parse(&cut) {
                            assert!(matches!(headers.protocol, 6 | 17 | 50));
                        }
                    }
                }
            }
        }
    }
    // Noise is accepted as a packet only by chance.
    let mut noise = 1_u32;
    let mut found = 0;
    for _ in 0..20_000 {
        let mut bytes = [0; 120];
        for byte in &mut bytes {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (noise >> 24) as u8;
        }
        let frame = Frame::new(&bytes).ipv4(50).ethernet(0x0800);
        let packet = Packet::new(&frame.0, Timestamp::default(), LinkType::ETHERNET);
        match parser.parse(&packet) {
            Ok(Parsed::Transport(headers)) => found += u32::from(headers.protocol != 50),
            other => panic!("{other:?}"),
        }
    }
    assert!(found < 20, "{found}");
}

/// The inner segment is the same inside every encapsulation, and a tunnel has the same scope from
/// both ends.
#[test]
fn every_wrapping_comes_off() {
    for exhibit in gallery::gallery() {
        let link_type = LinkType(exhibit.link_type);
        let name = exhibit.name;
        let parsed = exhibit.frame.parse_as(link_type);
        let Ok(Parsed::Transport(headers)) = parsed else { panic!("{name}: {parsed:?}") };
        assert_eq!((headers.source_port, headers.destination_port), (40000, 80), "{name}");
        assert_eq!(exhibit.frame.payload(&headers), b"hello", "{name}");
        assert_eq!(headers.payload_wire_len, 5, "{name}");
        assert_eq!(headers.scope != Scope::NONE, exhibit.scoped, "{name}");
    }
}

/// A tunnel's scope covers its ends, in no particular order, and the number that separates networks
/// in it.
#[test]
fn tunnels_are_told_apart_by_ends_and_identifier() {
    let inner = || Frame::new(b"hello").tcp(&[], 0x18).ipv4(6).ethernet(0x0800);
    let vxlan = |id: u8, from: u8, to: u8| {
        let mut frame = inner().within(&[8, 0, 0, 0, 0, 0, id, 0]).udp(5, 4789).ipv4(17);
        (frame.0[15], frame.0[19]) = (from, to);
        frame.ethernet(0x0800).headers().scope
    };
    assert_eq!(vxlan(9, 1, 2), vxlan(9, 2, 1));
    assert_ne!(vxlan(9, 1, 2), vxlan(8, 1, 2));
    assert_ne!(vxlan(9, 1, 2), vxlan(9, 1, 3));
    let gtp = |endpoint: u8| {
        let packet = Frame::new(b"hello").tcp(&[], 0x18).ipv4(6);
        let len = packet.0.len() as u8;
        let frame = packet.within(&[0x30, 0xff, 0, len, 0, 0, 0, endpoint]).udp(2152, 2152);
        frame.ipv4(17).ethernet(0x0800).headers().scope
    };
    assert_eq!(gtp(1), gtp(2), "endpoint identifiers differ by direction");
    let mpls = |label: u8| {
        let packet = Frame::new(b"hello").tcp(&[], 0x18).ipv4(6);
        packet.within(&[0, label, 1, 64]).ethernet(0x8847).headers().scope
    };
    assert_eq!(mpls(1), mpls(2), "labels differ by direction");
}

/// A payload on a tunnel's port that is not a tunnel stays a datagram of that port.
#[test]
fn payloads_that_are_no_tunnels_stay_payloads() {
    let ports = [
        434, 1701, 2152, 3386, 3544, 4341, 4500, 4754, 4789, 4790, 5072, 5247, 6080, 6081, 6635,
        8472, 37008,
    ];
    let text = b"GET / HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\n";
    let mut fixed = vec![0; 80];
    let mut noise = 1_u32;
    for port in ports {
        for payload in [&text[..], &[0xff; 60], &[0; 60], b"", b"x"] {
            let headers = Frame::new(payload).udp(port, port).ipv4(17).ethernet(0x0800).headers();
            assert_eq!((headers.destination_port, headers.scope), (port, Scope::NONE));
            assert_eq!(headers.payload_len as usize, payload.len());
        }
        for _ in 0..2000 {
            for byte in &mut fixed {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = (noise >> 24) as u8;
            }
            let headers = Frame::new(&fixed).udp(port, 53).ipv4(17).ethernet(0x0800).headers();
            assert_eq!((headers.source_port, headers.scope), (port, Scope::NONE), "{fixed:02x?}");
        }
    }
}

#[test]
fn without_decapsulation_the_outermost_ip_packet_counts() {
    let parser = Parser::new(ParseOptions { decapsulate: false, ..ParseOptions::default() });
    for exhibit in gallery::gallery() {
        let packet =
            Packet::new(&exhibit.frame.0, Timestamp::default(), LinkType(exhibit.link_type));
        let Ok(Parsed::Transport(headers)) = parser.parse(&packet) else {
            panic!("{}", exhibit.name);
        };
        let is_tunnel = exhibit.scoped && matches!(packet.data()[12..14], [8, 0] | [0x86, 0xdd]);
        if is_tunnel {
            assert_eq!((headers.network_offset, headers.scope), (14, Scope::NONE));
        } else {
            assert_eq!(
                Ok(Parsed::Transport(headers)),
                parse(&packet).map(|mut parsed| {
                    // Scopes of two parsers cannot be compared.
                    if let Parsed::Transport(found) = &mut parsed {
                        found.scope = headers.scope;
                    }
                    parsed
                })
            );
        }
    }
}
