//! Zero-copy packet capture and injection on Linux: AF_PACKET rings, capture files, one trait for both.

#[cfg(feature = "tokio")]
mod asynchronous;
mod capture;
mod dedup;
mod error;
#[cfg(feature = "pcap")]
mod file;
mod filtered;
mod inject;
mod interrupter;
mod link_type;
mod memory;
mod packet;
#[cfg(feature = "pcap")]
mod rotate;
mod sink;
mod source;
mod statistics;
mod stored;
mod timestamp;
mod vlan;
#[cfg(feature = "pcap")]
mod write;
mod xdp;

#[cfg(feature = "tokio")]
pub use asynchronous::{AsyncCapture, OwnedPacket, PacketStream};
pub use capture::{
    Block, Capture, CaptureBuilder, CaptureFilter, CaptureGroup, CaptureGroupBuilder, Fanout,
    FanoutMode, Instruction, Outgoing, Packets, RawFilter, RingGeometry, RingProfile, Rollovers,
    SharedBlock,
};
pub use dedup::{Dedup, DedupStatistics, Deduplicated, DeduplicatedBatch};
pub use error::{Damage, Error, ForeignFormat, GeometryProblem, Unwritable};
#[cfg(feature = "pcap")]
pub use file::{CaptureFile, FileFormat, FileInterface};
pub use filtered::{Filtered, FilteredBatch};
pub use inject::{
    Injector, InjectorBuilder, Offload, Rejection, Segmentation, SendPath, SentTimestamp, Slot,
};
pub use interrupter::Interrupter;
pub use link_type::LinkType;
pub use memory::MemorySource;
pub use packet::{ChecksumStatus, Direction, Packet, PacketMeta, VlanTag};
pub use ring_sys::capability::Capability;
#[cfg(feature = "pcap")]
pub use rotate::{RotatingWriter, Rotation};
pub use sink::{PacketSink, SinkStatistics};
pub use source::{IntoPacketSource, Next, PacketBatch, PacketSource, Timeout};
pub use statistics::Statistics;
pub use stored::StoredBatch;
pub use timestamp::{Timestamp, TimestampSource};
#[cfg(feature = "pcap")]
pub use write::{Annotation, CaptureWriter, CaptureWriterBuilder, InterfaceDescription};
pub use xdp::{
    HugePages, KernelVersion, MultiBuffer, RejectReason, SendRejected, SendRequest, SendTimestamp,
    Umem, UmemConfig, XdpAttach, XdpBatch, XdpDirection, XdpError, XdpFrame, XdpMode, XdpOutcome,
    XdpProgram, XdpReceiver, XdpReceiverStatistics, XdpSender, XdpSenderStatistics, XdpSocket,
    XdpSocketBuilder, XdpWait, ZeroCopy,
};
