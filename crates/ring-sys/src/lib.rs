//! System calls, kernel structures and mappings for packet rings on Linux.
//!
//! This crate holds only the kernel's interface: constants and structures, one safe function per
//! system call, owned descriptors, raw mappings. It has no policy, parses no packets and is not
//! asynchronous. `ring-core` is built on it, and other crates can be, too.
//!
//! - [`packet`]: packet sockets and their rings, packet(7) and
//!   `Documentation/networking/packet_mmap.rst`
//! - [`local_time`]: formatting local time, strftime(3)
//! - [`xdp`]: AF_XDP sockets, `Documentation/networking/af_xdp.rst`
//! - [`bpf`]: maps, programs and links, bpf(2)
//! - [`mmap`]: memory that the kernel writes
//! - [`event`]: waiting for descriptors and timers, epoll(7), eventfd(2), timerfd_create(2)
//! - [`writable`]: waiting until a descriptor is writable, ppoll(2)
//! - [`interface`]: properties of network interfaces
//! - [`netlink`]: requests about interfaces, addresses and routes, netlink(7)
//! - [`processor`]: CPU affinity of a thread
//! - [`capability`]: capabilities of this process
//! - [`filter`]: classic BPF programs for sockets
//! - [`clock`]: the system's clocks
//! - [`errno`]: error numbers, errno(3)
//! - [`allocator`]: freed memory, malloc_trim(3)
//!
//! # Shared memory
//!
//! Memory that the kernel may write is accessed only through raw pointers and atomics. A
//! [`mmap::Mapping`] returns pointers that were checked against its bounds, never slices. Only the
//! protocol of the ring decides when a part of it may be borrowed as a slice, and that is for the
//! crate that implements the protocol.
//!
//! # Example
//!
//! ```
//! let loopback = ring_sys::interface::index("lo")?;
//! println!("lo is interface {loopback}, of type {}", ring_sys::interface::hardware_type("lo")?);
//! # Ok::<(), std::io::Error>(())
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod allocator;
pub mod bpf;
pub mod capability;
pub mod clock;
pub mod errno;
pub mod event;
pub mod filter;
pub mod interface;
pub mod local_time;
pub mod mmap;
pub mod netlink;
pub mod packet;
pub mod processor;
mod socket_option;
pub mod terminal;
pub mod writable;
pub mod xdp;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
