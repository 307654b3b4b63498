//! Whatever a record holds, the readers of each format find it.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/judge/mod.rs"]
mod judge;

fuzz_target!(|bytes: &[u8]| judge::judge(bytes));
