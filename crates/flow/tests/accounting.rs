//! Each captured byte of a flow is accounted for: random segments. The fuzz target `accounting` runs the same.

#[path = "harness/accounting.rs"]
mod accounting;
#[path = "harness/segments.rs"]
#[allow(unreachable_pub)]
mod segments;

use proptest::prelude::*;

/// `PROPTEST_CASES` asks for more, or for fewer.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_captured_byte_is_told_once(script in prop::collection::vec(any::<u8>(), 0..300)) {
        accounting::check(&script);
    }
}
