//! Segments of a fuzzer, after which every captured byte must be accounted for.
#![no_main]

#[path = "../../tests/harness/accounting.rs"]
mod accounting;
#[path = "../../tests/harness/ledger.rs"]
mod ledger;
#[path = "../../tests/harness/segments.rs"]
mod segments;

libfuzzer_sys::fuzz_target!(|script: &[u8]| accounting::check(script));
