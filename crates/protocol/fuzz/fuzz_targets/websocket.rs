//! [`protocol_fuzz::check`] of the parser of WebSocket.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::websocket::Parser;

/// The memory that the module states for a conversation.
const MEMORY: usize = 130 << 10;

fuzz_target!(|input: &[u8]| protocol_fuzz::check(Parser::new, MEMORY, input));
