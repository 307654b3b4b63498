#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

#[cfg(feature = "source")]
mod interrupter;
mod link_type;
mod mac_address;
#[cfg(feature = "source")]
mod memory;
mod packet;
#[cfg(feature = "serde")]
mod serde;
#[cfg(feature = "source")]
mod sink;
#[cfg(feature = "source")]
mod source;
#[cfg(feature = "source")]
mod statistics;
#[cfg(feature = "source")]
mod stored;
mod tagged;
mod timestamp;

#[cfg(feature = "source")]
pub use interrupter::{Interrupt, Interrupter};
pub use link_type::{LinkType, LinkTypeError};
pub use mac_address::{MacAddress, MacAddressError};
#[cfg(feature = "source")]
pub use memory::MemorySource;
pub use packet::{ChecksumStatus, Direction, Packet, PacketMeta, VlanTag};
#[cfg(feature = "source")]
pub use sink::{PacketSink, SinkStatistics};
#[cfg(feature = "source")]
pub use source::{IntoPacketSource, Next, PacketBatch, PacketSource, Timeout};
#[cfg(feature = "source")]
pub use statistics::Statistics;
#[cfg(feature = "source")]
pub use stored::{StoredBatch, StoredPacket};
pub use tagged::TaggedBytes;
pub use timestamp::{Timestamp, TimestampError, TimestampSource};
