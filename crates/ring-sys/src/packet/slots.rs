//! Sending packets from fixed slots of memory.

use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::ptr::NonNull;
use std::slice;

use super::PacketSocket;
use crate::mmap::Mapping;
use crate::socket_option::check;

/// Slots of one size, together with the structures that sendmmsg(2) needs to send them. All are
/// allocated once, so sending a packet only writes its bytes and its length.
pub struct SendSlots {
    memory: Mapping,
    size: usize,
    /// Each vector points to a slot. Only its length changes, through the messages' pointers. This
    /// is not a `Box`, which would assert unique access.
    vectors: Vec<libc::iovec>,
    /// Each message points to a vector.
    messages: Box<[libc::mmsghdr]>,
}

// SAFETY: the pointers lead into the mapping and the vector, which keep their addresses when the
// structure moves. Only `send_slots` uses them, and it has exclusive access to the structure.
unsafe impl Send for SendSlots {}
// SAFETY: as above; a shared reference gives access to numbers only.
unsafe impl Sync for SendSlots {}

impl SendSlots {
    /// Allocates `count` slots of `size` bytes.
    ///
    /// # Errors
    /// `EINVAL` if `count` or `size` is 0, `ENOMEM`.
    pub fn new(count: usize, size: usize) -> io::Result<Self> {
        let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
        let len = count.checked_mul(size).filter(|&len| len > 0).ok_or_else(invalid)?;
        let memory = Mapping::anonymous(len)?;
        let mut vectors: Vec<libc::iovec> = (0..count)
            .map(|slot| {
                let start = memory.pointer(slot * size, size, 1).ok_or_else(invalid)?;
                Ok(libc::iovec { iov_base: start.as_ptr().cast(), iov_len: 0 })
            })
            .collect::<io::Result<_>>()?;
        let first = vectors.as_mut_ptr();
        let messages = (0..count)
            .map(|slot| {
                // SAFETY: null pointers and zero lengths are a message without address, data or
                // control data.
                let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
                // SAFETY: `slot` is less than the number of vectors.
                message.msg_hdr.msg_iov = unsafe { first.add(slot) };
                message.msg_hdr.msg_iovlen = 1;
                message
            })
            .collect();
        Ok(Self { memory, size, vectors, messages })
    }

    /// The number of slots.
    #[must_use]
    pub fn count(&self) -> usize {
        self.vectors.len()
    }

    /// The bytes of a slot.
    ///
    /// # Panics
    /// If there is no such slot.
    #[must_use]
    pub fn slot(&self, slot: usize) -> &[u8] {
        let start = self.start(slot);
        // SAFETY: as in `slot_mut`.
        unsafe { slice::from_raw_parts(start.as_ptr(), self.size) }
    }

    /// The bytes of a slot, mutable.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn slot_mut(&mut self, slot: usize) -> &mut [u8] {
        let start = self.start(slot);
        // SAFETY: the memory belongs to this structure, was initialised with zeroes, and is
        // borrowed with it. The kernel reads it only during `send_slots`.
        unsafe { slice::from_raw_parts_mut(start.as_ptr(), self.size) }
    }

    /// Sets the number of bytes of a slot to send. Larger values are reduced to the slot's size.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn set_len(&mut self, slot: usize, len: usize) {
        // Written through the same pointer that the messages use.
        let vector = self.messages[slot].msg_hdr.msg_iov;
        let len = len.min(self.size);
        // SAFETY: the pointer leads to a vector of this structure, which is borrowed for writing.
        unsafe { (*vector).iov_len = len };
    }

    fn start(&self, slot: usize) -> NonNull<u8> {
        self.memory.pointer(slot * self.size, self.size, 1).expect("a slot of these")
    }
}

impl PacketSocket {
    /// Sends the packets in `count` slots starting at `first`, without waiting (sendmmsg(2) with
    /// `MSG_DONTWAIT`). Returns how many were sent; these are the first ones.
    ///
    /// # Errors
    /// As send(2), for the first packet: `ENOBUFS` if the device's queue is full, `EAGAIN` if the
    /// socket's send buffer is full, `EMSGSIZE` and `EINVAL` for a packet that cannot be sent,
    /// `ENETDOWN`, `ENXIO` if the interface is gone.
    ///
    /// # Panics
    /// If there are no such slots.
    pub fn send_slots(
        &self,
        slots: &mut SendSlots,
        first: usize,
        count: usize,
    ) -> io::Result<usize> {
        let messages = &mut slots.messages[first..first + count];
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let fd = self.as_fd().as_raw_fd();
        // SAFETY: there are `count` messages. Each points to its vector, and the vector to bytes of
        // the mapping, no more than the slot has. The kernel writes the messages' lengths, which
        // are borrowed for writing.
        let sent = unsafe { libc::sendmmsg(fd, messages.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
        Ok(check(sent)? as usize)
    }
}

impl fmt::Debug for SendSlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendSlots")
            .field("count", &self.count())
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_do_not_overlap() {
        let mut slots = SendSlots::new(5, 100).expect("memory");
        for slot in 0..5 {
            slots.slot_mut(slot).fill(slot as u8);
            slots.set_len(slot, 1000);
        }
        for slot in 0..5 {
            assert_eq!(slots.slot(slot), [slot as u8; 100]);
            assert_eq!(slots.vectors[slot].iov_len, 100);
        }
        assert!(SendSlots::new(0, 100).is_err());
        assert!(SendSlots::new(usize::MAX, 2).is_err());
    }
}
