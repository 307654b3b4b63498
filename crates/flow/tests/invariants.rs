//! Damaged packets and noise, for which the invariants must hold. The fuzz target `parse` runs the
//! same code for longer.

use flow::Defragmenter;
use flow_testkit::{gallery, invariants};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn hold_for_damaged_packets(input in prop::collection::vec(any::<u8>(), 2..12)) {
        if let Some((link_type, data, wire_len)) = invariants::packet_of(&input) {
            invariants::check(link_type, &data, wire_len, &mut Defragmenter::default());
        }
    }

    #[test]
    fn hold_for_noise(link_type in 0_u16..300, noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let link_type = flow::LinkType(link_type);
        let wire_len = noise.len() as u32 + 50;
        invariants::check(link_type, &noise, wire_len, &mut Defragmenter::default());
    }
}

/// Truncates every exhibit at every byte, and sets every byte to a few values.
#[test]
fn hold_for_every_cut_and_every_byte() {
    for exhibit in gallery::gallery() {
        let link_type = flow::LinkType(exhibit.link_type);
        let whole = &exhibit.frame.0;
        let mut defragmenter = Defragmenter::default();
        for cut in 0..whole.len() {
            let wire_len = whole.len() as u32;
            invariants::check(link_type, &whole[..cut], wire_len, &mut defragmenter);
            for value in [0, 1, 0x40, 0x60, 0x7f, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[cut] = value;
                invariants::check(link_type, &damaged, wire_len, &mut defragmenter);
            }
        }
    }
}
