//! Any text is either parsed or refused with a place in it. A parsed expression prints to a text
//! that parses to the same tree.

#![no_main]

use flow_filter::Expression;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match text.parse::<Expression>() {
        Ok(expression) => {
            assert_eq!(expression.to_string().parse::<Expression>().as_ref(), Ok(&expression));
        }
        Err(error) => assert!(error.pointed(text).contains('^')),
    }
});
