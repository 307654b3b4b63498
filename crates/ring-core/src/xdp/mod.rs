//! AF_XDP: packets that bypass the kernel's stack (`Documentation/networking/af_xdp.rst`).
//!
//! A socket is bound to one queue of an interface. A program in the driver redirects packets to it,
//! which the kernel writes into frames of a packet memory. Frames filled by this process are sent
//! from the same memory.
//!
//! - [`Socket`] receives and sends on one queue. [`SocketBuilder`] has its settings. It splits into
//!   a [`Receiver`] and a [`Sender`] for two threads.
//! - [`Group`] opens a socket for each queue of an interface.
//! - [`Tap`] joins two interfaces and shows all packets that cross.
//!   [`Bridge`](crate::Bridge::xdp_builder) decides on each of them.
//! - [`Umem`] is the packet memory. Several sockets can share one. A [`Frame`] is the right to use
//!   one of its frames, which is always in exactly one place: free, in a ring of the kernel's, or
//!   here.
//! - [`Program`] stands for the program in the driver. By default each interface gets one of ours;
//!   [`SocketBuilder::steer`] selects the packets that it redirects.
//! - [`Wait`] selects how to wait for packets, [`Error`] is the error type.
//! - With the feature `tokio`, `AsyncSocket` awaits packets.
//!
//! Names are short, so import the module: `use ring_core::xdp;`, then `xdp::Socket`.
//!
//! ```no_run
//! use ring_core::{Next, PacketBatch as _, PacketSource as _, Timeout, xdp};
//!
//! let mut socket = xdp::Socket::builder("eth0").queue(0).open()?;
//! while let Next::Batch(batch) = socket.next_batch(Timeout::Never)? {
//!     println!("{} packets", batch.packets().count());
//! }
//! # Ok::<(), ring_core::Error>(())
//! ```

// Only `ring` (shared words and entries) and `memory` (slices of frames) contain unsafe code.

mod all_queues;
mod assembly;
#[cfg(feature = "tokio")]
mod asynchronous;
mod batch;
mod builder;
mod completions;
mod cursor;
mod endpoint;
mod error;
mod fill;
mod frame;
mod group;
mod memory;
mod mtu;
mod opening;
mod pass;
mod poll;
mod program;
mod queue;
mod receiver;
mod ring;
mod round_robin;
mod sender;
mod sink;
mod socket;
mod sockets;
mod steering;
mod tap;
#[cfg(all(test, not(loom)))]
mod tests;
mod umem;

pub(crate) use self::all_queues::{counterpart, open_both};
#[cfg(feature = "tokio")]
pub use self::asynchronous::AsyncSocket;
pub use self::batch::Batch;
pub use self::builder::{Direction, MultiBuffer, SocketBuilder, ZeroCopy};
pub use self::completions::SendTimestamp;
pub(crate) use self::error::unless_down;
pub use self::error::{DriverFeature, Error, GeometryProblem, KernelVersion, ProgramDifference};
pub use self::frame::Frame;
pub use self::group::{Group, GroupBuilder};
pub use self::mtu::{MtuReports, RaisedMtu};
pub(crate) use self::pass::{Passed, can_pass, pass_on, put_in_place};
pub use self::program::{Attach, Mode, Program};
pub use self::receiver::{Receiver, ReceiverStatistics};
pub use self::sender::{RejectReason, SendRejected, SendRequest, Sender, SenderStatistics};
pub use self::socket::{Outcome, Socket};
pub use self::steering::SteeringFilter;
pub use self::tap::{Tap, TapBatch, TapBuilder, TapCounters, TapStatistics};
pub use self::umem::{HugePages, Umem, UmemConfig};
#[cfg(feature = "tokio")]
pub use crate::asynchronous::AsyncSocketBuilder;
pub use crate::wait::Wait;
