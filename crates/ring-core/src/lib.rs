//! Zero-copy packet capture and injection on Linux: AF_PACKET rings, capture files, one trait for both.
//!
//! # Where to start
//!
//! - [`Capture`] receives from an interface; [`Capture::builder`] lists all that can be set. [`CaptureGroup`] shares an
//!   interface between threads.
//! - [`Block::share`] hands blocks to other threads, without a runtime and without a copy: `examples/workers.rs` has a
//!   thread that captures and several that work, with bounded queues between them.
//! - With the feature `tokio`, `AsyncCapture` is awaited, and gives a stream of packets that own their bytes.
//! - With the feature `pcap`, `CaptureFile` reads pcap and pcapng.
//! - [`MemorySource`] gives packets that a program made: for tests, or from elsewhere.
//! - [`Filtered`] filters what does not come through a kernel filter.
//! - [`PacketSource`] is what all of these are; [`Packet`] is what they lend, and [`PacketMeta`] what they know of it.
//!
//! # How packets are lent
//!
//! A source lends a batch of packets, which lie where they were captured: in a block of the ring, in a chunk of a file.
//! The batch borrows the source, the packets borrow the batch, and the next batch cannot be asked for while one is in
//! use. This costs nothing, and the compiler checks it.
//!
//! What is to live longer is kept by [`PacketBatch::retain`]: a reference-counted handle to the memory of the whole batch,
//! from which any packet's bytes are cut without a copy. A ring has only so many blocks, and the kernel fills them in
//! turn: it stops at one that is kept, whatever is free beyond. So `retain` gives `None` once a kept block comes up within
//! half the ring; then copy, and let go of what is kept.
//!
//! # Waiting
//!
//! [`Capture::next_block`] waits for a block, for a time, or for good; an [`Interrupter`] ends the wait from another
//! thread. Those who wait for several things find a descriptor for `epoll` in [`PacketSource::readiness`]; they must ask
//! with [`Timeout::Now`] until nothing comes, and not poll the socket itself: poll(2) reports it readable for as long as
//! its newest block is kept.
//!
//! # Time stamps
//!
//! Nanoseconds since the Unix epoch, whatever the source: [`Timestamp`]. Each packet says which clock it was.
//!
//! # Soundness
//!
//! Unsafe code is in the files that touch the memory of a ring, and in one that hands a descriptor to the reactor. The
//! rules are stated at the top of each: status words are atomics behind raw pointers; a slice of a block exists only
//! between the moment the kernel handed it over and the moment it is given back. A process that forks keeps its rings to
//! itself: the child does not get the mapping.

#[cfg(feature = "tokio")]
mod asynchronous;
mod bridge;
mod capture;
mod checksum;
mod dedup;
mod error;
#[cfg(feature = "pcap")]
mod file;
mod filtered;
mod inject;
mod interrupter;
mod link_type;
mod memory;
mod nap;
mod packet;
#[cfg(feature = "tokio")]
mod reactor;
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
#[cfg(feature = "tokio")]
pub use bridge::AsyncBridge;
pub use bridge::{Bridge, BridgeBuilder, BridgeStatistics, LaneStatistics, Side, Transit, Verdict};
pub use capture::{
    Block, Capture, CaptureBuilder, CaptureFilter, CaptureGroup, CaptureGroupBuilder, Fanout,
    FanoutMode, Instruction, Outgoing, Packets, RawFilter, RingGeometry, RingProfile, Rollovers,
    SharedBlock,
};
pub use dedup::{Dedup, DedupStatistics, Deduplicated, DeduplicatedBatch};
pub use error::{Damage, Error, ForeignFormat, GeometryProblem, Unwritable};
#[cfg(feature = "pcap")]
pub use file::{CaptureFile, FileFormat};
pub use filtered::{Filtered, FilteredBatch};
#[cfg(feature = "tokio")]
pub use inject::AsyncInjector;
pub use inject::{
    Injector, InjectorBuilder, Offload, Rejection, Segmentation, SendPath, SentTimestamp, Slot,
};
pub use interrupter::Interrupter;
pub use link_type::LinkType;
pub use memory::MemorySource;
pub use packet::{ChecksumStatus, Direction, Packet, PacketMeta, VlanTag};
#[cfg(feature = "tokio")]
pub use reactor::Reactor;
pub use ring_sys::capability::Capability;
#[cfg(feature = "pcap")]
pub use rotate::{RotatingWriter, Rotation};
pub use sink::{PacketSink, SinkStatistics};
pub use source::{IntoPacketSource, Next, PacketBatch, PacketSource, Timeout};
pub use statistics::Statistics;
pub use stored::{FileInterface, StoredBatch};
pub use timestamp::{Timestamp, TimestampSource};
#[cfg(feature = "pcap")]
pub use write::{Annotation, CaptureWriter, CaptureWriterBuilder, InterfaceDescription};
#[cfg(feature = "tokio")]
pub use xdp::AsyncXdp;
pub use xdp::{
    ForwardStatistics, HugePages, KernelVersion, MultiBuffer, RaisedMtu, RejectReason,
    SendRejected, SendRequest, SendTimestamp, Umem, UmemConfig, XdpAttach, XdpBatch, XdpDirection,
    XdpError, XdpForwarder, XdpFrame, XdpGroup, XdpMode, XdpMtuReports, XdpOutcome, XdpProgram,
    XdpReceiver, XdpReceiverStatistics, XdpSender, XdpSenderStatistics, XdpSocket,
    XdpSocketBuilder, XdpTap, XdpTapBatch, XdpTapCounters, XdpWait, ZeroCopy,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
