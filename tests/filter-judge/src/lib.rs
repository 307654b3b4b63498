//! The references for packet-filter: libpcap, opened at run time, and the kernel's BPF, over
//! packets of the corpus and generated packets.

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

/// Returns `true` if the requirements of a test must be met, so that a missing one is a failure.
pub fn required() -> bool {
    std::env::var("RINGTAP_REQUIRE_LIVE").is_ok_and(|value| value == "1")
}

/// Reports that a test is skipped. Fails if skipping is not allowed.
pub fn skip(reason: &str) {
    assert!(!required(), "{reason}");
    eprintln!("SKIPPED: {reason}");
}
