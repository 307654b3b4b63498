//! Segments of a fuzzer, after which every captured byte must be accounted for.
#![no_main]

use flow_testkit::accounting;

libfuzzer_sys::fuzz_target!(|script: &[u8]| accounting::check(script));
