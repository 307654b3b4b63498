//! What cannot be seen from outside.

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
    assert!(defragmenter.by_age.len() < 100, "{}", defragmenter.by_age.len());
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
