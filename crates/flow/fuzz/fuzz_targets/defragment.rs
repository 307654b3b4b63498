//! Fragments of arbitrary positions and sizes, compared with an array of bytes.

#![no_main]

use flow_testkit::fragments;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fragments::check(input));
