//! Random scripts against the model; the fuzz target `reassembly` runs the same.

use proptest::prelude::*;

use crate::harness::check;

/// `PROPTEST_CASES` asks for more, or for fewer.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_agrees_with_an_array_of_bytes(script in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&script);
    }
}
