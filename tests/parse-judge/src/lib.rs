//! Holds the packet parser against tshark, packet by packet: addresses, ports, TCP sequence number and payload length.
//!
//! Fragments are left apart on both sides. Packets that tshark finds *quoted* (in ICMP errors) or *sampled* (sFlow) are
//! no packets of a flow.

mod compare;
mod reference;

pub use compare::{Difference, Judgement, judge};
pub use reference::{Reference, ReferenceError, Seen};
