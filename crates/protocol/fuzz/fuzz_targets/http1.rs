//! [`protocol_fuzz::check`] of the parser of HTTP/1.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::http1::{Limits, Parser};

/// The memory that the module states for a conversation.
const MEMORY: usize = 3 << 19;

fuzz_target!(|input: &[u8]| protocol_fuzz::check(|| Parser::new(Limits::default()), MEMORY, input));
