//! Keys and parsers of the crate [`flowscope`](https://docs.rs/flowscope) for this crate's flows.
//!
//! Any of its extractors can be used as a key through [`Key`] or [`Pair`]. Its session and datagram
//! parsers (HTTP, TLS, DNS …) run on streams that this crate reassembled, through [`Sessions`] and
//! [`Datagrams`]. Its tracker, drivers and reassemblers are not used. The features of flowscope
//! that a program enables determine the available parsers.

mod datagrams;
mod key;
mod messages;
mod parsers;
mod sessions;

pub use datagrams::Datagrams;
pub use key::{Key, Pair};
pub use messages::{MessageHandler, ParserStatistics};
pub use sessions::Sessions;

use crate::{FlowSide, Timestamp};

/// Converts a time stamp. Seconds saturate in the year 2106.
fn timestamp(time: Timestamp) -> ::flowscope::Timestamp {
    ::flowscope::Timestamp::new(
        u32::try_from(time.seconds()).unwrap_or(u32::MAX),
        time.subsec_nanos(),
    )
}

fn side(side: FlowSide) -> ::flowscope::FlowSide {
    match side {
        FlowSide::Initiator => ::flowscope::FlowSide::Initiator,
        FlowSide::Responder => ::flowscope::FlowSide::Responder,
    }
}
