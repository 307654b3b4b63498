//! What judges packet-filter: libpcap, opened at run time, and the kernel's BPF, over packets of the corpus and
//! packets made here.

mod corpus;
mod expressions;
mod frames;
mod libpcap;
mod xdp;

pub use corpus::{Packet, packets};
pub use expressions::expressions;
pub use frames::frames;
pub use libpcap::{Compiled, Libpcap};
pub use xdp::{LoadError, XdpProgram};

/// Whether what a test needs must be there: then its absence is a failure.
pub fn required() -> bool {
    std::env::var("RINGTAP_REQUIRE_LIVE").is_ok_and(|value| value == "1")
}

/// Says that a test is skipped, or fails if it must not be.
pub fn skip(reason: &str) {
    assert!(!required(), "{reason}");
    eprintln!("SKIPPED: {reason}");
}
