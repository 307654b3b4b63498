//! Filters as a capture takes them.

use std::fmt;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use ring_sys::filter as bpf;
pub use ring_sys::filter::Instruction;
use ring_sys::packet::abi::PACKET_OUTGOING;

use crate::{Error, LinkType};

/// Which packets a capture delivers.
///
/// A classic program, an eBPF program's descriptor, or everything. It runs in the kernel, before a packet takes any
/// room in the ring.
#[derive(Clone)]
pub struct CaptureFilter(Kind);

#[derive(Clone)]
enum Kind {
    Everything,
    Classic(RawFilter),
    Descriptor(Arc<OwnedFd>),
}

/// A classic BPF program.
///
/// It returns the number of bytes to keep of a packet, 0 to drop it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFilter(Vec<Instruction>);

/// A filter as the socket takes it.
#[derive(Debug)]
pub(crate) enum Prepared<'a> {
    Nothing,
    Classic(Vec<Instruction>),
    Descriptor(BorrowedFd<'a>),
}

impl RawFilter {
    /// A program of these instructions; the kernel checks it when it is attached.
    ///
    /// # Errors
    /// [`Error::FilterLength`].
    pub fn new(program: impl Into<Vec<Instruction>>) -> Result<Self, Error> {
        let program = program.into();
        if program.is_empty() || program.len() > bpf::LONGEST_PROGRAM {
            return Err(Error::FilterLength { len: program.len(), limit: bpf::LONGEST_PROGRAM });
        }
        Ok(Self(program))
    }

    /// The instructions.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }

    /// The program with what it keeps limited to `snaplen`.
    fn limited(&self, snaplen: u32) -> Result<Vec<Instruction>, Error> {
        let mut program = self.0.clone();
        if snaplen == u32::MAX {
            return Ok(program);
        }
        for instruction in &mut program {
            match instruction.code {
                bpf::RET_K => instruction.k = instruction.k.min(snaplen),
                bpf::RET_A => return Err(Error::FilterSnaplen),
                _ => {}
            }
        }
        Ok(program)
    }
}

impl CaptureFilter {
    /// Every packet.
    #[must_use]
    pub const fn everything() -> Self {
        Self(Kind::Everything)
    }

    /// An eBPF program of the type `SOCKET_FILTER`, loaded elsewhere.
    #[must_use]
    pub fn descriptor(program: OwnedFd) -> Self {
        Self(Kind::Descriptor(Arc::new(program)))
    }

    /// What to attach to a socket: no more than `snaplen` bytes a packet, `u32::MAX` for all; with `once`, outgoing
    /// copies of loopback interfaces are left out.
    pub(crate) fn prepare(
        &self,
        _: Option<LinkType>,
        snaplen: u32,
        once: bool,
    ) -> Result<Prepared<'_>, Error> {
        let program = match &self.0 {
            Kind::Everything if snaplen == u32::MAX && !once => return Ok(Prepared::Nothing),
            Kind::Everything => vec![Instruction::statement(bpf::RET_K, snaplen)],
            Kind::Classic(program) => program.limited(snaplen)?,
            Kind::Descriptor(_) if snaplen != u32::MAX => return Err(Error::FilterSnaplen),
            Kind::Descriptor(program) => return Ok(Prepared::Descriptor(program.as_fd())),
        };
        let program = if once { [&ONCE_ON_LOOPBACK[..], &program].concat() } else { program };
        if program.len() > bpf::LONGEST_PROGRAM {
            return Err(Error::FilterLength { len: program.len(), limit: bpf::LONGEST_PROGRAM });
        }
        Ok(Prepared::Classic(program))
    }
}

impl From<RawFilter> for CaptureFilter {
    fn from(program: RawFilter) -> Self {
        Self(Kind::Classic(program))
    }
}

impl fmt::Debug for CaptureFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Everything => f.write_str("CaptureFilter(everything)"),
            Kind::Classic(program) => f.debug_tuple("CaptureFilter").field(program).finish(),
            Kind::Descriptor(program) => f.debug_tuple("CaptureFilter").field(program).finish(),
        }
    }
}

/// Drops outgoing copies of loopback interfaces and goes on with the accumulator as a program starts with it.
const ONCE_ON_LOOPBACK: [Instruction; 6] = [
    Instruction::statement(bpf::LD_W_ABS, bpf::ANCILLARY_PACKET_TYPE),
    Instruction::jump(bpf::JMP_JEQ_K, PACKET_OUTGOING as u32, 0, 3),
    Instruction::statement(bpf::LD_W_ABS, bpf::ANCILLARY_HARDWARE_TYPE),
    Instruction::jump(bpf::JMP_JEQ_K, ring_sys::interface::ARPHRD_LOOPBACK as u32, 0, 1),
    Instruction::statement(bpf::RET_K, 0),
    Instruction::statement(bpf::LD_IMM, 0),
];
