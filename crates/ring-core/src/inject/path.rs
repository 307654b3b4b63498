//! A common interface to the two paths to the kernel.

use ring_sys::packet::PacketSocket;

use super::handed::Handed;
use super::messages::Messages;
use super::offload::Offload;
use super::ring::Ring;

#[derive(Debug)]
pub(crate) enum Path {
    Messages(Messages),
    Ring(Ring),
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
    /// Committed frames that the kernel has not accepted yet.
    #[inline]
    pub(crate) fn pending(&self) -> usize {
        either!(self, path => path.pending())
    }

    /// `true` if there is a free slot.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        either!(self, path => path.has_room())
    }

    /// The bytes of the next free slot, mutable.
    #[inline]
    pub(crate) fn frame(&mut self, len: usize) -> &mut [u8] {
        either!(self, path => path.frame(len))
    }

    /// The bytes of the next free slot.
    pub(crate) fn frame_ref(&self, len: usize) -> &[u8] {
        either!(self, path => path.frame_ref(len))
    }

    /// Commits the next free slot.
    #[inline]
    pub(crate) fn commit(&mut self, len: usize, offload: Option<&Offload>) {
        either!(self, path => path.commit(len, offload));
    }

    pub(crate) fn hand_over(&mut self, socket: &PacketSocket) -> Handed {
        either!(self, path => path.hand_over(socket))
    }

    /// Length of the oldest queued frame.
    pub(crate) fn first_len(&self) -> u32 {
        either!(self, path => path.first_len())
    }

    /// Gives up the oldest frame and returns its length.
    pub(crate) fn reject(&mut self) -> u32 {
        either!(self, path => path.reject())
    }

    /// Discards all frames that the kernel has not accepted.
    pub(crate) fn discard(&mut self) {
        either!(self, path => path.discard());
    }
}
