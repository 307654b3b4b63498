//! Scripts of a fuzzer against the model of reassembly.
#![no_main]

#[path = "../../tests/harness/reassembly.rs"]
mod reassembly;
#[path = "../../tests/harness/segments.rs"]
mod segments;

libfuzzer_sys::fuzz_target!(|script: &[u8]| reassembly::check(script));
