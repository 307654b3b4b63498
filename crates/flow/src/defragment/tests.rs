//! Tests of internal behaviour.

use std::net::{IpAddr, Ipv4Addr};

use super::*;

fn fragment(identification: u32, offset: u32, more: bool) -> Fragment {
    Fragment {
        source: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        destination: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
        protocol: 17,
        identification,
        scope: Scope::NONE,
        layers: 1,
        network_offset: 0,
        header_len: 20,
        next_header_offset: 9,
        fragment_offset: offset,
        more,
        payload_offset: 20,
        payload_len: 8,
        compressed: false,
        defect: None,
    }
}

#[test]
fn the_queue_does_not_grow_with_what_was_joined() {
    let mut defragmenter = Defragmenter::default();
    for id in 0..10_000 {
        assert!(
            defragmenter.push(&fragment(id, 0, true), &[0; 28], Timestamp::default()).is_none()
        );
        assert!(
            defragmenter.push(&fragment(id, 8, false), &[0; 28], Timestamp::default()).is_some()
        );
    }
    assert!(defragmenter.deadlines.is_empty(), "{}", defragmenter.deadlines.len());
}

#[test]
fn compressed_datagrams_are_expanded() {
    use crate::{LinkType, Packet, Parsed, Parser};
    let parser = Parser::default();
    let mut tcp = vec![0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0, 0, 0, 0];
    tcp.extend(b"hello hello hello hello");
    let packed = miniz_oxide::deflate::compress_to_vec(&tcp, 6);
    let compressed = |payload: &[u8], algorithm: u16| {
        let mut frame = vec![0x45, 0, 0, (24 + payload.len()) as u8, 0, 1, 0x40, 0, 64, 108, 0, 0];
        frame.extend([192, 0, 2, 1, 192, 0, 2, 2, 6, 0]);
        frame.extend(algorithm.to_be_bytes());
        frame.extend(payload);
        frame
    };
    let parse = |frame: &[u8]| {
        parser.parse(&Packet::new(frame, Timestamp::default(), LinkType::RAW)).expect("IP")
    };
    let mut defragmenter = Defragmenter::default();
    for algorithm in [2, 30_000] {
        let frame = compressed(&packed, algorithm);
        let Parsed::Fragment(fragment) = parse(&frame) else { panic!("not compressed") };
        let datagram =
            defragmenter.push(&fragment, &frame, Timestamp::default()).expect("expanded");
        let headers = match parser.parse_datagram(datagram, fragment.scope, fragment.layers) {
            Ok(Parsed::Transport(headers)) => headers,
            other => panic!("{other:?}"),
        };
        assert_eq!(&datagram[20..], tcp);
        assert_eq!((headers.destination_port, headers.payload_len), (80, 23));
        assert_eq!(crate::verify_ipv4_header(&datagram[..20]), Checksum::Valid);
    }
    let Parsed::Transport(other) = parse(&compressed(&packed, 3)) else { panic!("LZS") };
    assert_eq!(other.protocol, 108);
    let bomb = miniz_oxide::deflate::compress_to_vec(&vec![0; 60_000], 9);
    for bad in [&bomb[..], &[0xff; 40]] {
        let frame = compressed(bad, 2);
        let Parsed::Fragment(fragment) = parse(&frame) else { panic!("not compressed") };
        assert!(defragmenter.push(&fragment, &frame, Timestamp::default()).is_none());
    }
    let statistics = defragmenter.statistics();
    assert_eq!((statistics.expanded, statistics.malformed), (2, 2));
    assert_eq!(defragmenter.pending(), 0);
}

#[test]
fn the_books_balance() {
    let mut defragmenter = Defragmenter::default();
    for at in 0..5_000_u32 {
        let one = fragment(at * 7 % 600, at * 11 % 50 * 8, at % 9 != 0);
        defragmenter.push(&one, &[at as u8; 28], Timestamp::default());
        let held: usize = defragmenter.datagrams.values().map(Assembly::cost).sum();
        assert_eq!(held, defragmenter.buffered_bytes());
    }
    assert!(defragmenter.pending() > 100);
}
