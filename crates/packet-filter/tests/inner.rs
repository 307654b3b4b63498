//! Headers that precede another link type.

use packet_filter::{LinkType, has_inner_link_type, inner_link_type, is_supported};

#[test]
fn whatever_they_hold_the_inner_packet_lies_within() {
    // A random generator with a fixed seed and a long period.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let all = || (0..400).map(LinkType);
    for link_type in all().filter(|link_type| has_inner_link_type(*link_type)) {
        assert!(!is_supported(link_type), "{link_type} has programs of its own");
        let mut found = 0;
        for _ in 0..20_000 {
            let mut packet: Vec<u8> = (0..next() % 80).map(|_| next() as u8).collect();
            // Many small numbers, as in real headers, and the magic number of one header.
            packet.iter_mut().for_each(|byte| *byte >>= next() % 8);
            if next() % 2 == 0 && packet.len() > 3 {
                packet[..3].copy_from_slice(b"MGC");
            }
            // A link type in a field of 32 bits, which is small.
            if matches!(link_type, LinkType::PKTAP | LinkType::USER_2) && packet.len() > 12 {
                packet[10..12].fill(0);
            }
            if let Some((_, at)) = inner_link_type(link_type, &packet) {
                assert!(at <= packet.len(), "{link_type}: {packet:02x?}");
                found += 1;
            }
        }
        assert!(found > 0, "{link_type}");
    }
    let long = [0; 100_000];
    let endless = |link_type| inner_link_type(link_type, &long);
    assert!(all().filter_map(endless).all(|(_, at)| at < 1000));
    assert!(all().all(|link_type| inner_link_type(link_type, &[]).is_none()));
}
