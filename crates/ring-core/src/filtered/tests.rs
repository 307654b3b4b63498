//! Filtered sources.

use super::*;
use crate::{MemorySource, Next, PacketMeta, SelectedError, Timeout, Timestamp, VlanTag};

fn numbers<S: PacketSource>(source: &mut S) -> Result<Vec<u64>, S::Error> {
    let mut numbers = Vec::new();
    while let Next::Batch(batch) = source.next_batch(Timeout::Now)? {
        numbers.extend(batch.packets().map(|packet| packet.number()));
    }
    Ok(numbers)
}

#[test]
fn each_link_type_and_place_of_the_tag_has_its_program() {
    let mut ethernet = [0; 60];
    ethernet[12..15].copy_from_slice(&[8, 0, 0x45]);
    ethernet[23] = 6;
    let mut tagged = ethernet.to_vec();
    tagged.splice(12..12, [0x81, 0, 0, 7]);
    let meta = |number, link_type| PacketMeta::new(number, Timestamp::default(), link_type);
    let mut apart = meta(4, LinkType::ETHERNET);
    apart.vlan = Some(VlanTag { tpid: 0x8100, tci: 7 });
    let source = || {
        let mut source = MemorySource::new(LinkType::ETHERNET);
        source.push_with(meta(1, LinkType::RAW), &ethernet[14..]);
        source.push_with(meta(2, LinkType::ETHERNET), &ethernet);
        source.push_with(meta(3, LinkType::ETHERNET), &tagged);
        source.push_with(apart, &ethernet);
        source
    };
    let mut tcp = Filtered::new(source(), "ip proto 6".parse().expect("parses")).expect("compiles");
    assert_eq!(numbers(&mut tcp).expect("no error"), [1, 2, 4]);
    assert_eq!(tcp.statistics().expect("always").packets, 3);
    let mut ethernet_alone = MemorySource::new(LinkType::ETHERNET);
    ethernet_alone.push(Timestamp::default(), &ethernet);
    ethernet_alone.push(Timestamp::default(), &tagged);
    let mut third = apart;
    third.number = 3;
    ethernet_alone.push_with(third, &ethernet);
    let filter = "vlan 7 and ip proto 6".parse().expect("parses");
    let mut vlan = Filtered::new(ethernet_alone, filter).expect("compiles");
    assert_eq!(numbers(&mut vlan).expect("no error"), [2, 3]);
    // Raw IP has no VLAN tag, so no such packet passes.
    let mut vlan = Filtered::new(source(), "vlan 7".parse().expect("parses")).expect("compiles");
    assert_eq!(numbers(&mut vlan).expect("no error"), [3, 4]);
    assert_eq!(vlan.untestable(), 1);
}

#[test]
fn what_cannot_be_filtered_is_an_error_if_there_is_nothing_else() {
    let usb = LinkType(189);
    let filter: Filter = "tcp".parse().expect("parses");
    let refused = Filtered::new(MemorySource::new(usb), filter.clone());
    assert!(matches!(refused, Err(Error::FilterLinkType { link_type }) if link_type == usb));
    // A source that learns link types only from its packets, such as a pcapng file.
    let mut later = Unknowing(MemorySource::new(usb));
    later.0.push(Timestamp::default(), b"usb");
    let mut later = Filtered::new(later, filter.clone()).expect("nothing to compile yet");
    assert!(matches!(
        numbers(&mut later),
        Err(SelectedError::Decision(Error::FilterLinkType { .. }))
    ));
    assert_eq!((numbers(&mut later).expect("the end"), later.untestable()), (vec![], 1));
    let mut mixed = Unknowing(MemorySource::new(usb));
    mixed.0.push(Timestamp::default(), b"usb");
    let meta = PacketMeta::new(2, Timestamp::default(), LinkType::RAW);
    mixed.0.push_with(meta, &datagram(0, false, 7, b"\0\0\0\0"));
    let mut mixed = Filtered::new(mixed, filter).expect("nothing to compile yet");
    assert_eq!(numbers(&mut mixed).expect("no error"), [2]);
    assert_eq!(mixed.untestable(), 1);
    let mut everything = MemorySource::new(usb);
    everything.push(Timestamp::default(), b"usb");
    let mut everything =
        Filtered::new(everything, Filter::everything()).expect("nothing to compile");
    assert_eq!(numbers(&mut everything).expect("no error"), [1]);
}

/// A source that knows no link type before its packets.
struct Unknowing(MemorySource);

impl PacketSource for Unknowing {
    type Batch<'a> = <MemorySource as PacketSource>::Batch<'a>;
    type Error = Error;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Self::Batch<'_>>, Error> {
        Ok(self.0.next_batch(timeout)?)
    }

    fn statistics(&mut self) -> Result<Statistics, Error> {
        Ok(self.0.statistics()?)
    }

    fn link_type(&self) -> Option<LinkType> {
        None
    }

    fn is_live(&self) -> bool {
        false
    }
}

/// An IPv4 packet of TCP. It is a fragment at `offset`, in units of eight bytes, of datagram `id`.
fn datagram(offset: u16, more: bool, id: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 20 + payload.len() as u8];
    packet.extend(id.to_be_bytes());
    packet.extend((offset | u16::from(more) << 13).to_be_bytes());
    packet.extend([64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    packet.extend(payload);
    packet
}

/// The same over IPv6, after a destination options header.
fn datagram6(offset: u16, more: bool, id: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 16 + payload.len() as u8, 60, 64];
    packet.extend([0xfd; 32]);
    packet.extend([44, 0, 1, 4, 0, 0, 0, 0]);
    packet.extend([6, 0]);
    packet.extend((offset << 3 | u16::from(more)).to_be_bytes());
    packet.extend(id.to_be_bytes());
    packet.extend(payload);
    packet
}

/// The start of a TCP segment to `port`.
fn segment(port: u16) -> Vec<u8> {
    [&[0x9c, 0x40][..], &port.to_be_bytes(), &[0; 20]].concat()
}

/// Packets of raw IP with their time in seconds; `None` ends a batch.
fn fragments(packets: &[Option<(u64, Vec<u8>)>]) -> MemorySource {
    let mut source = MemorySource::new(LinkType::RAW);
    for packet in packets {
        match packet {
            Some((second, data)) => {
                source.push(Timestamp::from_nanos(second * 1_000_000_000), data);
            }
            None => source.end_batch(),
        }
    }
    source
}

fn to_port_80(source: MemorySource) -> Filtered<MemorySource> {
    let options = Options::file().extension_headers(packet_filter::ExtensionHeaders::Followed);
    Filtered::with_options(source, "port 80".parse().expect("parses"), options).expect("compiles")
}

#[test]
fn later_fragments_share_the_verdict_on_the_first() {
    let at = |second, packet| Some((second, packet));
    let mut source = to_port_80(fragments(&[
        at(0, datagram(0, true, 7, &segment(80))),
        at(0, datagram(0, true, 8, &segment(81))),
        at(0, datagram(3, true, 7, b"middle..")),
        at(0, datagram(3, false, 8, b"other")),
        at(0, datagram6(0, true, 7, &segment(80))),
        None,
        at(1, datagram6(3, false, 7, b"end")),
        at(1, datagram6(3, false, 8, b"other")),
        at(1, datagram(4, false, 7, b"end")),
        // The identification is reused.
        at(2, datagram(0, true, 7, &segment(81))),
        at(2, datagram(3, false, 7, b"end")),
        at(2, datagram(0, false, 9, &segment(80))),
    ]));
    assert_eq!(numbers(&mut source).expect("no error"), [1, 3, 5, 6, 8, 11]);
    assert_eq!(source.statistics().expect("always").packets, 6);
    assert_eq!(source.undecided_fragments(), 1, "of the datagram without a first fragment");
}

#[test]
fn later_fragments_that_come_first_are_kept() {
    let at = |second, packet| Some((second, packet));
    let mut source = to_port_80(fragments(&[
        at(0, datagram(4, false, 7, b"end")),
        at(0, datagram(4, false, 8, b"end")),
        None,
        at(1, datagram(3, true, 7, b"middle..")),
        None,
        at(2, datagram(3, true, 8, b"middle..")),
        at(2, datagram(0, true, 8, &segment(81))),
        at(2, datagram(0, true, 7, &segment(80))),
        None,
        // Within a batch the order is kept.
        at(3, datagram(3, false, 9, b"end")),
        at(3, datagram(0, false, 1, &segment(80))),
        at(3, datagram(0, true, 9, &segment(80))),
    ]));
    assert_eq!(numbers(&mut source).expect("no error"), [1, 3, 6, 7, 8, 9]);
    assert_eq!(source.undecided_fragments(), 0);
}

#[test]
fn fragments_are_awaited_for_a_minute() {
    let at = |second, packet| Some((second, packet));
    let mut source = to_port_80(fragments(&[
        at(0, datagram(3, false, 7, b"too old")),
        at(0, datagram(0, true, 9, &segment(80))),
        None,
        at(50, datagram(3, false, 8, b"not too old")),
        at(59, datagram(3, true, 9, b"not too old")),
        None,
        at(70, datagram(0, true, 7, &segment(80))),
        at(70, datagram(0, true, 8, &segment(80))),
        at(70, datagram(3, false, 9, b"too old")),
    ]));
    assert_eq!(numbers(&mut source).expect("no error"), [2, 4, 3, 5, 6]);
    assert_eq!(source.undecided_fragments(), 2);
}

#[test]
fn fragments_that_wait_have_a_limit() {
    let mut packets = Vec::new();
    for id in 0..20_000u16 {
        packets.push(Some((0, datagram(3, false, id, &[0; 200]))));
        if id % 512 == 511 {
            packets.push(None);
        }
    }
    packets.push(None);
    packets.extend((0..20_000u16).map(|id| Some((0, datagram(0, true, id, &segment(80))))));
    let mut source = to_port_80(fragments(&packets));
    let passed = numbers(&mut source).expect("no error").len() as u64;
    assert!((24_000..25_000).contains(&passed), "{passed}");
    assert_eq!(source.undecided_fragments(), 40_000 - passed);
}

#[test]
fn an_expression_about_fragments_says_which_ones_it_wants() {
    let packets = [
        Some((0, datagram(0, true, 7, &segment(80)))),
        Some((0, datagram(3, false, 7, b"end"))),
        Some((0, datagram(0, false, 8, &segment(80)))),
    ];
    for (expression, expected) in [
        ("tcp port 80", &[1, 2, 3][..]),
        ("tcp[2:2] = 80", &[1, 2, 3]),
        ("not tcp port 81", &[1, 2, 3]),
        ("tcp port 80 and ip[6:2] & 0x1fff = 0", &[1, 3]),
        ("tcp port 80 and ip[6] & 0x20 != 0", &[1]),
        ("tcp port 81", &[]),
    ] {
        let filter = expression.parse().expect("parses");
        let mut source = Filtered::new(fragments(&packets), filter).expect("compiles");
        assert_eq!(numbers(&mut source).expect("no error"), expected, "{expression}");
    }
}

/// Link-layer headers for an IPv4 packet, by link type.
fn link_headers() -> Vec<(u16, Vec<u8>)> {
    let llc = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    let ethernet = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let wireless = |control: u8, flags: u8, len: usize| {
        let mut header = vec![control, flags];
        header.resize(len, 7);
        header.extend(llc);
        header
    };
    let behind = |header: &[u8], rest: &[u8]| [header, rest].concat();
    let plain = wireless(0x08, 1, 24);
    let avs = [&[0x80, 0x21, 0x10, 1, 0, 0, 0, 20][..], &[0; 12]].concat();
    let prism = [&[0x44, 0, 0, 0][..], &[0; 140]].concat();
    let ppi = behind(&[0, 0, 12, 0, 105, 0, 0, 0, 9, 9, 9, 9], &plain);
    let pktap = behind(&[16, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], &ethernet);
    let padded = [&plain[..24], &[7, 7, 0, 0], &llc].concat();
    let radiotap_padded =
        [&[0, 0, 12, 0, 2, 0, 0, 0, 0x20, 0, 0, 0, 0x88][..], &padded[1..]].concat();
    let amateur = [&[2; 6][..], &[0x60], &[4; 6], &[0x61, 0x03, 0xcc]].concat();
    let record = |kind: u8| [&[0; 8][..], &[kind], &[0; 7]].concat();
    let nflog = [2, 0, 0, 0, 8, 0, 1, 0, 8, 0, 3, 0, 48, 0, 9, 0];
    vec![
        (0, vec![2, 0, 0, 0]),
        (1, ethernet.to_vec()),
        (3, amateur.clone()),
        (6, behind(&[0x10, 0x40, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], &llc)),
        (7, vec![1, 2, 212, 0, 0, 1]),
        (8, vec![0; 16]),
        (9, vec![0xff, 3, 0, 0x21]),
        (10, behind(&[0x50, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], &llc)),
        (50, vec![0xff, 3, 0, 0x21]),
        (51, vec![0x11, 0, 0, 7, 0, 48, 0, 0x21]),
        (99, behind(&[0, 0, 0, 0, 0, 0, 8, 0], &[0; 36])),
        (99, behind(&[0; 20], &[&[8, 0][..], &[0; 34]].concat())),
        (100, llc.to_vec()),
        (101, vec![]),
        (104, vec![0x0f, 0, 8, 0]),
        (105, plain.clone()),
        (105, wireless(0x88, 1, 26)),
        (105, wireless(0x08, 3, 30)),
        (106, llc.to_vec()),
        (107, vec![0x18, 0x41, 3, 0xcc]),
        (108, vec![0, 0, 0, 2]),
        (109, behind(&[2, 0, 0, 0], &[0; 8])),
        (113, vec![0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0]),
        (117, behind(&[61, 2], &[0; 62])),
        (119, behind(&prism, &plain)),
        (119, behind(&avs, &plain)),
        (122, behind(&[2; 16], &llc)),
        (123, behind(&[2, 0, 0, 5], &llc)),
        (127, behind(&[0, 0, 8, 0, 0, 0, 0, 0], &plain)),
        (127, radiotap_padded),
        (128, behind(&[1, 0, 0, 1, 10, 1, 5, 0, 1], &ethernet)),
        (128, behind(&[1, 0, 0, 18, 1], &plain)),
        (129, vec![1, 2, 0, 0, 212, 0, 0, 1]),
        (138, behind(&[2; 16], &[8, 0])),
        (143, behind(&[0, 0, 0, 60, 0, 0], &ethernet)),
        (149, pktap.clone()),
        (163, behind(&avs, &plain)),
        (166, vec![0, 3, 0, 0x21]),
        (167, behind(b"MGC\x80\0\x02\x01\x02", &ethernet)),
        (178, behind(b"MGC\0", &ethernet)),
        (178, behind(b"MGC\x02", &[0; 4])),
        (179, behind(b"MGC\0", &[0xff, 3, 0, 0x21])),
        (180, behind(b"MGC\0", &[0x18, 0x41, 3, 0xcc])),
        (181, behind(b"MGC\0", &[0x0f, 0, 8, 0])),
        (182, vec![0xc0, 1, 0x18, 0x41, 3, 0xcc]),
        (192, ppi),
        (197, behind(&record(2), &[&[0, 0][..], &ethernet].concat())),
        (197, behind(&record(1), &[0xff, 3, 0, 0x21])),
        (197, behind(&record(0x81), &[&[0x80; 8][..], &[0; 8], &[0x0f, 0, 8, 0]].concat())),
        (197, behind(&record(4), &[&[0; 4][..], &llc].concat())),
        (197, record(22)),
        (202, behind(&[0], &amateur)),
        (204, vec![1, 0xff, 3, 0, 0x21]),
        (205, vec![1, 0x0f, 0, 8, 0]),
        (206, vec![1, 0x18, 0x41, 3, 0xcc]),
        (219, vec![0, 1, 0, 64, 0, 2, 1, 64]),
        (226, behind(&[1, 2, 0, 1], &[0; 20])),
        (228, vec![]),
        (239, nflog.to_vec()),
        (240, behind(&[0; 4], &ethernet)),
        (241, behind(&[0; 12], &ethernet)),
        (242, behind(&[0; 40], &[8, 0, 0, 0])),
        (258, pktap),
        (259, behind(&[0x55; 8], &ethernet)),
        (274, behind(&[0x55; 8], &ethernet)),
        (276, vec![8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0]),
        (281, [&ethernet[..12], &[1, 2, 3, 4, 8, 0]].concat()),
        (282, behind(&[1, 2, 3, 4], &ethernet)),
        (284, [&ethernet[..12], &[1, 2, 3, 4, 8, 0]].concat()),
        (285, [&ethernet[..12], &[1, 2, 3, 4, 5, 6, 7, 8, 8, 0]].concat()),
        (289, vec![0, 44]),
        (289, vec![8, 44, 0]),
    ]
}

#[test]
fn every_link_type_with_ip_can_be_filtered() {
    for (number, header) in link_headers() {
        let link_type = LinkType(number);
        let first = [&header[..], &datagram(0, true, 7, &segment(80))].concat();
        let second = [&header[..], &datagram(3, false, 7, &[0; 24])].concat();
        let other = [&header[..], &datagram(0, false, 8, &segment(81))].concat();
        for (expression, expected) in [
            ("tcp port 80", &[1, 2][..]),
            ("src host 192.0.2.1 and tcp dst port 81", &[3]),
            ("ip and not udp", &[1, 2, 3]),
            ("net 198.51.100.0/24 or ip6", &[]),
        ] {
            let mut source = MemorySource::new(link_type);
            for packet in [&first, &second, &other] {
                source.push(Timestamp::default(), packet);
            }
            let filter = expression.parse().expect("parses");
            let mut source = Filtered::new(source, filter).expect("compiles");
            let passed = numbers(&mut source).expect("no error");
            assert_eq!(passed, expected, "{expression} on {number}: {header:02x?}");
        }
    }
}
