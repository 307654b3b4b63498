//! Zero-copy packet capture and injection on Linux: AF_PACKET rings, capture files, one trait for both.

mod error;
mod interrupter;
mod link_type;
mod packet;
mod source;
mod statistics;
mod timestamp;

pub use error::Error;
pub use interrupter::Interrupter;
pub use link_type::LinkType;
pub use packet::{ChecksumStatus, Direction, Packet, PacketMeta, VlanTag};
pub use source::{IntoPacketSource, Next, PacketBatch, PacketSource, Timeout};
pub use statistics::Statistics;
pub use timestamp::{Timestamp, TimestampSource};
