//! Errors.

use std::convert::Infallible;
use std::io;

use ring_sys::capability::Capability;
use ring_sys::errno;

use crate::privilege::Needs;
use crate::{LinkType, xdp};

/// The error type of this crate.
///
/// The text of an error does not repeat its cause, which is its
/// [`source`](std::error::Error::source): print the chain of both.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error("{operation}")]
    System {
        /// The operation that failed.
        operation: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// A system call was refused because a capability is missing.
    #[error("{operation}: needs {}", Needs(needs))]
    Permission {
        /// The operation that failed.
        operation: &'static str,
        /// The capabilities that it needs.
        needs: &'static [Capability],
    },
    /// There is no interface of this name in this network namespace.
    #[error("there is no interface {interface:?}; `ip link` lists those of this network namespace")]
    NoInterface {
        /// The requested name.
        interface: String,
    },
    /// The interface was deleted while it was in use.
    #[error("the interface {interface} was deleted")]
    InterfaceGone {
        /// The interface's name.
        interface: String,
    },
    /// The interface's hardware type has no link type here.
    #[error(
        "packets of {interface} are of hardware type {hardware_type} (linux/if_arp.h), which has no link type here"
    )]
    HardwareType {
        /// The interface's name.
        interface: String,
        /// `ARPHRD_*`.
        hardware_type: u16,
    },
    /// Hardware timestamps were requested, but the adapter has none for received packets.
    /// [`TimestampSource::Software`](crate::TimestampSource::Software) is always available.
    #[error(
        "{interface} has no hardware timestamps for received packets; use those of the kernel's clock"
    )]
    NoHardwareTimestamps {
        /// The interface's name.
        interface: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// The kernel cannot have a ring of this geometry.
    #[error("a ring of {blocks} blocks of {block_size} bytes: {problem}")]
    Geometry {
        /// Bytes per block.
        block_size: usize,
        /// Number of blocks.
        blocks: usize,
        /// The problem with the geometry.
        problem: GeometryProblem,
    },
    /// The kernel refused the filter.
    #[error("set the packet filter")]
    Filter {
        /// The kernel's error.
        source: io::Error,
    },
    /// The text of a filter expression is invalid.
    #[error("parse the filter expression")]
    FilterSyntax {
        /// The error, with its position in the text.
        source: packet_filter::ParseError,
    },
    /// The filter expression cannot be compiled for this link type.
    #[error("filter for packets of link type {}", link_type.0)]
    Compile {
        /// The link type of the packets.
        link_type: LinkType,
        /// The compiler's error.
        source: packet_filter::CompileError,
    },
    /// Filter expressions do not support this link type.
    #[error("packets of link type {} cannot be filtered by an expression", link_type.0)]
    FilterLinkType {
        /// The link type.
        link_type: LinkType,
    },
    /// A classic filter program breaks the kernel's rules.
    #[error("the filter program is invalid")]
    FilterProgram(#[from] packet_filter::ProgramError),
    /// The filter was locked when the capture was opened.
    #[error("the filter was locked when the capture was opened")]
    FilterLocked,
    /// A filter program has more instructions than the kernel accepts.
    #[error("the filter has {len} instructions, and the kernel accepts at most {limit}")]
    FilterLength {
        /// Its number of instructions.
        len: usize,
        /// The maximum.
        limit: usize,
    },
    /// A snap length cannot be combined with an eBPF program, or with a filter that computes its
    /// own limit.
    #[error("a snap length cannot limit a filter that decides itself how many bytes to keep")]
    FilterSnaplen,
    /// An error that only AF_XDP has. Errors common to all backends, such as a missing interface or
    /// a failed system call, are the variants of this type.
    #[error(transparent)]
    Xdp(xdp::Error),
    /// An operation was awaited outside a tokio runtime, or in one without `enable_io`.
    #[error(
        "awaited outside a tokio runtime with I/O enabled: enable it, or use the blocking form"
    )]
    NoRuntime,
    /// A frame is too long or too short for the interface. It was not sent.
    #[error("the frame has {len} bytes, and {interface} accepts {least} to {limit}")]
    FrameLength {
        /// The interface's name.
        interface: String,
        /// The frame's length in bytes.
        len: usize,
        /// The minimum: the length of the link-layer header.
        least: usize,
        /// The maximum: the MTU and the link-layer header, without a VLAN tag.
        limit: usize,
    },
    /// The packet's link type differs from the interface's.
    #[error("the packet has link type {}, and {interface} sends packets of link type {}", packet.0, expected.0)]
    SinkLinkType {
        /// The interface's name.
        interface: String,
        /// The packet's link type.
        packet: LinkType,
        /// The interface's link type.
        expected: LinkType,
    },
    /// Both sides of a bridge or tap are the same interface.
    #[error("{interface} cannot be joined with itself")]
    SameInterface {
        /// The interface's name.
        interface: String,
    },
    /// An offload was requested of an injector opened without
    /// [`InjectorBuilder::offloads`](crate::InjectorBuilder::offloads).
    #[error("offloads need an injector that was opened for them")]
    NoOffloads,
}

/// A problem with a ring's geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GeometryProblem {
    /// The block size is not a multiple of the page size from 4 KiB to 1 GiB.
    #[error("blocks have whole pages, from 4 KiB to 1 GiB")]
    BlockSize,
    /// There are too few blocks. While one is lent, the kernel needs another.
    #[error("a ring has at least two blocks")]
    BlockCount,
    /// The ring exceeds 4 GiB.
    #[error("a ring has at most 4 GiB")]
    Size,
    /// The headroom leaves no room for packets.
    #[error("room before packets leaves 512 bytes of a block, and of 64 KiB, for the rest")]
    Headroom,
}

/// The error of looking up an interface: it does not exist, or the lookup failed.
pub(crate) fn no_interface(name: &str, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::NotFound => Error::NoInterface { interface: name.to_owned() },
        _ if source.raw_os_error() == Some(errno::ENODEV) => {
            Error::NoInterface { interface: name.to_owned() }
        }
        _ => Error::System { operation: "find the interface", source },
    }
}

/// The error of a system call for an operation.
pub(crate) fn system(operation: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::System { operation, source }
}

/// The error of a system call that needs a capability, for an operation.
pub(crate) fn privileged(
    operation: &'static str,
    needs: &'static [Capability],
) -> impl FnOnce(io::Error) -> Error {
    move |source| match source.kind() {
        io::ErrorKind::PermissionDenied => Error::Permission { operation, needs },
        _ => Error::System { operation, source },
    }
}

impl From<xdp::Error> for Error {
    fn from(error: xdp::Error) -> Self {
        match error {
            xdp::Error::System { operation, source } => Self::System { operation, source },
            xdp::Error::Permission { operation, needs } => Self::Permission { operation, needs },
            xdp::Error::NoInterface { interface } => Self::NoInterface { interface },
            xdp::Error::InterfaceGone { interface } => Self::InterfaceGone { interface },
            xdp::Error::SameInterface { interface } => Self::SameInterface { interface },
            xdp::Error::FilterSyntax(source) => Self::FilterSyntax { source },
            error => Self::Xdp(error),
        }
    }
}

/// Lets `?` pass on the results of a source that never fails, such as
/// [`MemorySource`](crate::MemorySource).
impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
