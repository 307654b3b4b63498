//! Scripts of a fuzzer against the model of reassembly.
#![no_main]

use flow_testkit::reassembly;

libfuzzer_sys::fuzz_target!(|script: &[u8]| reassembly::check(script));
