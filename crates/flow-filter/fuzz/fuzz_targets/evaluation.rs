//! The evaluation of any expression over any flows, compared with a naive one that looks at each
//! flow afterwards.

#![no_main]

#[path = "../../tests/oracle/mod.rs"]
mod oracle;

use flow_filter::Expression;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &[u8])| {
    let (text, script) = input;
    // Large counted repetitions take long to compile, and find nothing here.
    if text.len() > 200 || text.contains('{') && text.contains("matches") {
        return;
    }
    if let Ok(expression) = text.parse::<Expression>() {
        oracle::check(&expression, script);
    }
});
