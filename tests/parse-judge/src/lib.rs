//! Compares the packet parser with tshark, packet by packet: addresses, ports, TCP sequence number
//! and payload length.
//!
//! Fragments are left out on both sides. Packets that tshark finds *quoted* (in ICMP errors) or
//! *sampled* (sFlow) are not packets of a flow.

mod compare;
mod reference;

pub use compare::{Difference, Judgement, judge};
pub use reference::{Reference, ReferenceError, Seen};
