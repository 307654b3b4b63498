//! Headers that precede another link type.

use packet_filter::{LinkType, has_inner_link_type, inner_link_type};

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
    for number in (0..400).filter(|number| has_inner_link_type(*number)) {
        assert!(LinkType::try_from(number).is_err(), "{number} has programs of its own");
        let mut found = 0;
        for _ in 0..20_000 {
            let mut packet: Vec<u8> = (0..next() % 80).map(|_| next() as u8).collect();
            // Many small numbers, as in real headers, and the magic number of one header.
            packet.iter_mut().for_each(|byte| *byte >>= next() % 8);
            if next() % 2 == 0 && packet.len() > 3 {
                packet[..3].copy_from_slice(b"MGC");
            }
            if let Some((_, at)) = inner_link_type(number, &packet) {
                assert!(at <= packet.len(), "{number}: {packet:02x?}");
                found += 1;
            }
        }
        assert!(found > 0, "{number}");
    }
    let long = [0; 100_000];
    let endless = |number| inner_link_type(number, &long);
    assert!((0..400).filter_map(endless).all(|(_, at)| at < 1000));
    assert!((0..400).all(|number| inner_link_type(number, &[]).is_none()));
}
