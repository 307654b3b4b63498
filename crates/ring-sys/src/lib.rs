//! System calls, kernel structures and mappings for packet rings on Linux.
//!
//! Only what the kernel speaks: constants and structures, one safe function a system call, owned descriptors, raw
//! mappings. No policy, nothing that parses packets, nothing asynchronous; `ring-core` is built on this, and so can
//! other things be.
//!
//! - [`packet`]: packet sockets and their rings, packet(7) and `Documentation/networking/packet_mmap.rst`
//! - [`local_time`]: times as people write them, strftime(3)
//! - [`xdp`]: AF_XDP sockets, `Documentation/networking/af_xdp.rst`
//! - [`bpf`]: maps, programs and links, bpf(2)
//! - [`mmap`]: memory that the kernel writes
//! - [`event`]: waiting, epoll(7) and eventfd(2)
//! - [`writable`]: waiting for room, ppoll(2)
//! - [`interface`]: what the kernel knows of network interfaces
//! - [`processor`]: where a thread runs
//! - [`capability`]: what this process may do
//! - [`filter`]: classic BPF as sockets take it
//! - [`clock`]: what time it is
//!
//! # Shared memory
//!
//! What the kernel may write is only ever touched through raw pointers and atomics. A [`mmap::Mapping`] hands out
//! pointers that were checked against its bounds, never slices: whether a part of it is quiet enough for a slice is
//! for the ring's protocol to say, in the crate that knows the protocol.
//!
//! # Example
//!
//! ```
//! let loopback = ring_sys::interface::index("lo")?;
//! println!("lo is interface {loopback}, of type {}", ring_sys::interface::hardware_type("lo")?);
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod bpf;
pub mod capability;
pub mod clock;
pub mod event;
pub mod filter;
pub mod interface;
pub mod local_time;
pub mod mmap;
pub mod packet;
pub mod processor;
mod socket_option;
pub mod terminal;
pub mod writable;
pub mod xdp;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
