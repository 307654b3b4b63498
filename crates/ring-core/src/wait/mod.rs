//! Waiting for packets, blocks and frames.
//!
//! A wake-up costs a thread some microseconds, on a virtual machine fifty: as much as hundreds of
//! packets. Most of what is here exists to have fewer of them without delaying the first packet.
//!
//! # The end of a wait
//!
//! [`Deadline`] turns a [`Timeout`](crate::Timeout) into the time that is left.
//!
//! # A ring of blocks (AF_PACKET)
//!
//! [`BlockWaiter`] waits for a closed block, a returned block or an interruption. It is
//! edge-triggered, since poll(2) reports a ring whose newest block is on loan as readable at once,
//! every time. [`BlockCoalescing`] predicts from the time in which the last block filled up when
//! several more will be full; a wait may sleep until then.
//!
//! # A socket of AF_XDP
//!
//! [`Wait`] is the strategy that the program selects. [`SpinTime`] learns how long spinning is
//! worthwhile. [`PacketCoalescing`] learns for how long a busy link may be left alone.
//! [`FrameReturns`] wakes a receiver that has no frames left when one is returned, on any thread;
//! this is the only part that crosses threads, and has a loom model.
//!
//! # A runtime's reactor
//!
//! A reactor waits with a poller's descriptor, so nobody can sleep on its behalf. [`Pause`] takes
//! the socket out of the poller for a fixed time instead, and a timer ends that.
//!
//! # Where the waits themselves are
//!
//! Beside what they wait for: `capture` (a thread), `capture::wakeup` (a reactor), `xdp::poll` (a
//! thread, and the descriptors for reactors), `xdp::round_robin` (several sockets).

mod block_waiter;
mod coalesce;
mod deadline;
mod frame_return;
mod pause;
mod strategy;

pub(crate) use self::block_waiter::BlockWaiter;
pub(crate) use self::coalesce::BlockCoalescing;
pub(crate) use self::deadline::Deadline;
pub(crate) use self::frame_return::{FrameReturns, FrameWaiter};
pub(crate) use self::pause::Pause;
pub use self::strategy::Wait;
pub(crate) use self::strategy::{PacketCoalescing, SpinTime};
