//! Damaged packets and noise through the parser, with the invariants that must hold.

#![no_main]

#[path = "../../tests/harness/frame.rs"]
#[allow(dead_code)]
mod frame;
#[path = "../../tests/harness/gallery.rs"]
#[allow(dead_code)]
mod gallery;
#[path = "../../tests/harness/invariants.rs"]
mod invariants;

use flow::Defragmenter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Some((link_type, data, wire_len)) = invariants::packet_of(input) {
        invariants::check(link_type, &data, wire_len, &mut Defragmenter::default());
    }
});
