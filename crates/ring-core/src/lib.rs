//! Zero-copy packet capture and injection on Linux: AF_PACKET rings, AF_XDP, capture files, and one
//! trait for all sources.
//!
//! # Where to start
//!
//! - [`Capture`] receives from an interface; [`Capture::builder`] lists all settings.
//!   [`CaptureGroup`] shares an interface between threads.
//! - [`Block::share`] passes blocks to other threads without a runtime and without a copy.
//!   `examples/workers.rs` has one capturing thread and several workers, with bounded queues
//!   between them.
//! - [`Injector`] sends frames through an interface.
//! - [`Bridge`] forwards packets between two interfaces, with a verdict on each packet.
//! - [`XdpSocket`] receives and sends through AF_XDP, [`XdpGroup`] on all queues of an interface.
//! - With the feature `tokio`, `AsyncCapture` is an asynchronous capture and offers a stream of
//!   packets that own their bytes.
//! - With the feature `pcap`, `CaptureFile` reads pcap and pcapng, and `CaptureWriter` writes them.
//! - [`MemorySource`] delivers packets from memory, for tests or from elsewhere.
//! - [`Filtered`] filters sources without a kernel filter.
//! - [`PacketSource`] is the trait of all sources. They lend [`Packet`]s with their [`PacketMeta`].
//!
//! # How packets are lent
//!
//! A source lends a batch of packets, which stay where they were captured: in a block of the ring
//! or in a chunk of a file. The batch borrows the source, the packets borrow the batch, and the
//! next batch can be requested only once the previous one is dropped. This costs nothing, and the
//! compiler checks it.
//!
//! To keep packets longer, call [`PacketBatch::retain`]. It returns a reference-counted handle to
//! the memory of the whole batch, from which any packet's bytes are cut without a copy. A ring has
//! a fixed number of blocks, and the kernel fills them in turn. It stops at a block that is kept,
//! even if later ones are free. So `retain` returns `None` if the next kept block is less than half
//! the ring ahead; copy the packets then, and release kept blocks.
//!
//! # Waiting
//!
//! [`Capture::next_block`] waits for a block, with or without a timeout, and an [`Interrupter`]
//! ends the wait from another thread. To wait for several things, use the descriptor of
//! [`PacketSource::readiness`] with `epoll`. When it is readable, call the source with
//! [`Timeout::Now`] until it returns no more batches. Do not poll the socket itself: poll(2)
//! reports it readable as long as its newest block is kept.
//!
//! # Time stamps
//!
//! A [`Timestamp`] counts nanoseconds since the Unix epoch, for every source. Each packet's
//! metadata names the clock that the timestamp is from.
//!
//! # Soundness
//!
//! Unsafe code is only in the files that access the memory of a ring, and in one that passes a
//! descriptor to the reactor. The rules are stated at the top of each file. Status words are
//! atomics behind raw pointers. A slice of a block exists only from the time when the kernel hands
//! the block over until it is returned. A forked process does not inherit the mapping of a ring.

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
