//! Zero-copy packet capture and injection on Linux: AF_PACKET rings, AF_XDP, and one trait for all
//! sources. Capture files are in the crate `capture-file`, whose sources and sinks have the same
//! traits.
//!
//! # What the crate has
//!
//! - **Capture**: [`Capture`] receives from an interface, or from all; [`Capture::builder`] lists
//!   the settings. [`CaptureGroup`] shares an interface between threads. [`Block::share`] passes
//!   blocks of one capture to several threads, without a runtime and without a copy:
//!   `examples/workers.rs` does so with bounded queues.
//! - **Injection**: [`Injector`] sends frames through an interface.
//! - **AF_XDP**: [`xdp::Socket`] receives and sends past the kernel's stack, [`xdp::Group`] on all
//!   queues of an interface, and [`xdp::Tap`] observes a wire. See [`xdp`].
//! - **Forwarding**: [`Bridge`] joins two interfaces, with a verdict on each packet, over AF_PACKET
//!   or AF_XDP.
//! - **Filters**: [`CaptureFilter`] filters in the kernel, [`Filtered`] any other source.
//! - **Duplicates**: [`Deduplicated`] removes those of mirror ports and bonds. [`Selected`] applies
//!   a decision of your own ([`Select`]).
//! - **Memory**: [`MemorySource`] delivers packets from memory, for tests or from elsewhere.
//! - **Asynchronous** (feature `tokio`): `AsyncCapture`, with a stream of packets that own their
//!   bytes; `AsyncInjector`, `AsyncBridge` and `xdp::AsyncSocket`.
//! - **Traits**: [`PacketSource`] is the trait of all sources, which lend [`Packet`]s with their
//!   [`PacketMeta`]. [`PacketSink`] is the trait of all destinations.
//!
//! The first line of each:
//!
//! ```no_run
//! # use std::time::Duration;
//! # use ring_core::*;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let capture = Capture::builder("eth0").filter("udp").open()?;
//! let threads = Capture::builder("eth0").group(4, FanoutMode::Hash).open()?;
//! let injector = Injector::open("eth0")?;
//! let bridge = Bridge::open("eth0", "eth1")?;
//! let socket = xdp::Socket::builder("eth0").queue(0).open()?;
//! let queues = xdp::Group::open("eth0")?;
//! let tap = xdp::Tap::open("eth0", "eth1")?;
//! let filtered = Filtered::new(tap, "tcp port 443".parse()?)?;
//! let deduplicated = Deduplicated::new(filtered, Dedup::new(Duration::from_millis(10)));
//! let memory: MemorySource = [&b"one"[..], b"two"].into_iter().collect();
//! # #[cfg(feature = "tokio")] {
//! # async fn asynchronous() -> Result<(), Error> {
//! let capture = AsyncCapture::builder("eth0").filter("udp").open().await?;
//! # Ok(())
//! # }
//! # }
//! # Ok(())
//! # }
//! ```
//!
//! # How packets are lent
//!
//! A source lends a batch of packets, which stay where they were captured: in a block of the ring
//! or in memory. The batch borrows the source, the packets borrow the batch, and the
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
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "tokio")]
mod asynchronous;
mod bridge;
mod capture;
mod checksum;
mod dedup;
mod error;
mod filtered;
mod hardware;
mod inject;
mod interruption;
mod privilege;
#[cfg(feature = "tokio")]
mod reactor;
mod selected;
mod side;
mod wait;
pub mod xdp;

#[cfg(feature = "tokio")]
pub use asynchronous::{
    AsyncBridgeBuilder, AsyncCapture, AsyncCaptureBuilder, AsyncInjectorBuilder, OwnedPacket,
    PacketStream,
};
#[cfg(feature = "tokio")]
pub use bridge::AsyncBridge;
pub use bridge::{
    Bridge, BridgeBuilder, BridgeStatistics, LaneStatistics, Transit, Verdict, XdpBridgeBuilder,
};
pub use capture::{
    Block, Capture, CaptureBuilder, CaptureFilter, CaptureGroup, CaptureGroupBuilder, Fanout,
    FanoutMode, Instruction, Outgoing, Packets, RawFilter, RingGeometry, RingProfile, Rollovers,
    SharedBlock,
};
pub use dedup::{Dedup, DedupStatistics, Deduplicated};
pub use error::{Error, GeometryProblem};
pub use filtered::{CompiledFilter, Filtered};
pub use hardware::link_type_of;
#[cfg(feature = "tokio")]
pub use inject::AsyncInjector;
pub use inject::{
    Injector, InjectorBuilder, Offload, Rejection, Segmentation, SendPath, SentTimestamp, Slot,
};
pub use packet::{
    ChecksumStatus, Direction, Interrupter, IntoPacketSource, LinkType, MemorySource, Next, Packet,
    PacketBatch, PacketMeta, PacketSink, PacketSource, SinkStatistics, Statistics, Timeout,
    Timestamp, TimestampSource, VlanTag,
};
pub use packet_filter::Filter;
#[cfg(feature = "tokio")]
pub use reactor::Reactor;
pub use ring_sys::capability::Capability;
pub use selected::{Select, Selected, SelectedBatch, SelectedError};
pub use side::Side;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
