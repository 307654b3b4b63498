//! Damaged packets and noise through the parser, with the invariants that must hold.

#![no_main]

use flow::Defragmenter;
use flow_testkit::invariants;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Some((link_type, data, wire_len)) = invariants::packet_of(input) {
        invariants::check(link_type, &data, wire_len, &mut Defragmenter::default());
    }
});
