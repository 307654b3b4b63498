//! Zero-copy packet capture and injection on Linux: AF_PACKET rings, capture files, one trait for both.

mod error;
#[cfg(feature = "pcap")]
mod file;
mod interrupter;
mod link_type;
mod memory;
mod packet;
mod source;
mod statistics;
mod stored;
mod timestamp;

pub use error::{Damage, Error, ForeignFormat};
#[cfg(feature = "pcap")]
pub use file::{CaptureFile, FileFormat, FileInterface};
pub use interrupter::Interrupter;
pub use link_type::LinkType;
pub use memory::MemorySource;
pub use packet::{ChecksumStatus, Direction, Packet, PacketMeta, VlanTag};
pub use source::{IntoPacketSource, Next, PacketBatch, PacketSource, Timeout};
pub use statistics::Statistics;
pub use stored::StoredBatch;
pub use timestamp::{Timestamp, TimestampSource};
