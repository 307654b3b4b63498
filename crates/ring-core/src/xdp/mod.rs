//! AF_XDP: packets that bypass the kernel's stack (`Documentation/networking/af_xdp.rst`).
//!
//! A socket is bound to one queue of an interface. A program in the driver redirects packets to it,
//! which the kernel writes into frames of a packet memory ([`Umem`]). Frames filled by this process
//! are sent from the same memory. A frame is always in exactly one place, see [`memory`].
//!
//! Only [`ring`] (shared words and entries) and [`memory`] (slices of frames) contain unsafe code.

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
mod forward;
mod frame;
mod group;
mod memory;
mod mtu;
mod opening;
mod program;
mod queue;
mod receiver;
mod returns;
mod ring;
mod rota;
mod sender;
mod sink;
mod socket;
mod steering;
mod tap;
#[cfg(all(test, not(loom)))]
mod tests;
mod umem;
mod wait;
mod waiting;

#[cfg(feature = "tokio")]
pub use self::asynchronous::AsyncXdp;
pub use self::batch::XdpBatch;
pub use self::builder::{MultiBuffer, XdpDirection, XdpSocketBuilder, ZeroCopy};
pub use self::completions::SendTimestamp;
pub(crate) use self::error::libc_errno;
pub use self::error::{KernelVersion, XdpError};
pub use self::forward::{ForwardStatistics, XdpForwarder};
pub(crate) use self::forward::{Passed, can_pass, pass_on, put_in_place, unless_down};
pub use self::frame::XdpFrame;
pub use self::group::XdpGroup;
pub(crate) use self::group::{counterpart, open_both};
pub use self::mtu::{RaisedMtu, XdpMtuReports};
pub use self::program::{XdpAttach, XdpMode, XdpProgram};
pub use self::receiver::{XdpReceiver, XdpReceiverStatistics};
pub use self::sender::{RejectReason, SendRejected, SendRequest, XdpSender, XdpSenderStatistics};
pub use self::socket::{XdpOutcome, XdpSocket};
pub use self::tap::{XdpTap, XdpTapBatch, XdpTapCounters};
pub use self::umem::{HugePages, Umem, UmemConfig};
pub use self::waiting::XdpWait;
