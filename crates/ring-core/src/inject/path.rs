//! The two ways to the kernel behind one interface.

use std::io;

use ring_sys::packet::PacketSocket;

use super::messages::Messages;
use super::offload::Offload;
use super::ring::Ring;

#[derive(Debug)]
pub(crate) enum Path {
    Messages(Messages),
    Ring(Ring),
}

/// What came of handing frames to the kernel.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// Frames that the kernel took and refused without saying which.
    pub(crate) skipped: u64,
    /// Why it did not take more: about the oldest that is left.
    pub(crate) error: Option<io::Error>,
}

impl Handed {
    pub(crate) fn count(&mut self, lens: &[u32]) {
        self.packets += lens.len() as u64;
        self.bytes += lens.iter().map(|&len| u64::from(len)).sum::<u64>();
    }
}

macro_rules! either {
    ($path:expr, $inner:ident => $call:expr) => {
        match $path {
            Path::Messages($inner) => $call,
            Path::Ring($inner) => $call,
        }
    };
}

impl Path {
    /// Frames that are committed and that the kernel has not taken.
    #[inline]
    pub(crate) fn pending(&self) -> usize {
        either!(self, path => path.pending())
    }

    /// There is a free place.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        either!(self, path => path.has_room())
    }

    /// Bytes of the next free place.
    #[inline]
    pub(crate) fn frame(&mut self, len: usize) -> &mut [u8] {
        either!(self, path => path.frame(len))
    }

    /// The same, to be read.
    pub(crate) fn frame_ref(&self, len: usize) -> &[u8] {
        either!(self, path => path.frame_ref(len))
    }

    /// The next free place is filled.
    #[inline]
    pub(crate) fn commit(&mut self, len: usize, offload: Option<&Offload>) {
        either!(self, path => path.commit(len, offload));
    }

    pub(crate) fn hand_over(&mut self, socket: &PacketSocket) -> Handed {
        either!(self, path => path.hand_over(socket))
    }

    /// Length of the oldest frame in line.
    pub(crate) fn first_len(&self) -> u32 {
        either!(self, path => path.first_len())
    }

    /// Gives up the oldest frame; its length.
    pub(crate) fn reject(&mut self) -> u32 {
        either!(self, path => path.reject())
    }

    /// Gives up all that the kernel has not taken.
    pub(crate) fn discard(&mut self) {
        either!(self, path => path.discard());
    }
}
