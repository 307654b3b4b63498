//! Random scripts, compared with the model. The fuzz target `reassembly` runs the same code.

use proptest::prelude::*;

use crate::harness::check;

/// The number of cases, which `PROPTEST_CASES` overrides.
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
