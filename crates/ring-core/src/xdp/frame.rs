//! Frames owned by a user.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::error::Error;
use super::memory::Lease;
use super::umem::{Shared, Umem};

/// A frame of packet memory owned by the caller. It was received and taken out of its batch, or
/// allocated to be filled and sent.
///
/// Dropping it, on any thread, returns it to its memory; sending passes it to the kernel. There is
/// never a second `Frame` of the same frame.
///
/// ```compile_fail
/// # use ring_core::xdp;
/// # fn used_after_it_was_sent(mut sender: xdp::Sender, mut frame: xdp::Frame) {
/// sender.send(frame);
/// frame.data_mut()[0] = 0;
/// # }
/// ```
///
/// ```compile_fail
/// # fn twice(frame: ring_core::xdp::Frame) {
/// let another = frame.clone();
/// # }
/// ```
pub struct Frame {
    umem: Arc<Shared>,
    /// `None` only while the frame is being consumed.
    lease: Option<Lease>,
    start: u32,
    len: u32,
    continues: bool,
}

impl Frame {
    /// Wraps a lease of the same memory.
    pub(crate) fn new(
        umem: Arc<Shared>,
        lease: Lease,
        start: u32,
        len: u32,
        continues: bool,
    ) -> Self {
        umem.memory.held.fetch_add(1, Ordering::Relaxed);
        Self { umem, lease: Some(lease), start, len, continues }
    }

    /// The packet's bytes.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        let Some(lease) = &self.lease else { return &[] };
        self.umem.memory.bytes(lease, self.start, self.len)
    }

    /// The packet's bytes, mutable.
    #[must_use]
    pub fn data_mut(&mut self) -> &mut [u8] {
        let Some(lease) = &mut self.lease else { return &mut [] };
        self.umem.memory.bytes_mut(lease, self.start, self.len)
    }

    /// The packet's length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// `true` if the packet has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The maximum length of the packet at its current start, in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        (self.umem.memory.layout().frame_size - self.start) as usize
    }

    /// The number of bytes before the packet that [`extend_front`](Self::extend_front) can add.
    #[must_use]
    pub fn headroom(&self) -> usize {
        (self.start - self.umem.memory.layout().metadata.min(self.start)) as usize
    }

    /// Replaces the packet by these bytes.
    ///
    /// # Errors
    /// [`Error::PacketTooLong`] above [`capacity`](Self::capacity).
    pub fn write(&mut self, data: &[u8]) -> Result<(), Error> {
        self.set_len(data.len())?;
        self.data_mut().copy_from_slice(data);
        Ok(())
    }

    /// Changes the packet's length at its end. Added bytes keep the frame's previous content.
    ///
    /// # Errors
    /// [`Error::PacketTooLong`] above [`capacity`](Self::capacity).
    pub fn set_len(&mut self, len: usize) -> Result<(), Error> {
        let limit = self.capacity();
        if len > limit {
            return Err(Error::PacketTooLong { len, limit });
        }
        self.len = len as u32;
        Ok(())
    }

    /// Extends the packet at its front, for another header.
    ///
    /// # Errors
    /// [`Error::PacketTooLong`] above [`headroom`](Self::headroom).
    pub fn extend_front(&mut self, bytes: usize) -> Result<(), Error> {
        let limit = self.headroom();
        if bytes > limit {
            return Err(Error::PacketTooLong { len: bytes, limit });
        }
        self.start -= bytes as u32;
        self.len += bytes as u32;
        Ok(())
    }

    /// Removes bytes from the packet's front, at most all of them.
    pub fn trim_front(&mut self, bytes: usize) {
        let bytes = bytes.min(self.len()) as u32;
        self.start += bytes;
        self.len -= bytes;
    }

    /// `true` if the packet continues in the next frame, because it is longer than a frame.
    #[must_use]
    pub fn continues(&self) -> bool {
        self.continues
    }

    /// Sets if the packet continues in the next frame that is sent.
    pub fn set_continues(&mut self, continues: bool) {
        self.continues = continues;
    }

    /// The frame's memory.
    #[must_use]
    pub fn umem(&self) -> Umem {
        Umem { shared: self.umem.clone() }
    }

    /// Converts into bytes that can be shared and sliced without a copy. The frame is released when
    /// the last of them is dropped.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.umem
    }

    pub(crate) fn start(&self) -> u32 {
        self.start
    }

    pub(crate) fn lease_mut(&mut self) -> Option<&mut Lease> {
        self.lease.as_mut()
    }

    /// Converts into the lease.
    pub(crate) fn into_lease(mut self) -> Option<Lease> {
        self.umem.memory.held.fetch_sub(1, Ordering::Relaxed);
        self.lease.take()
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self.data()
    }
}

impl AsMut<[u8]> for Frame {
    fn as_mut(&mut self) -> &mut [u8] {
        self.data_mut()
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.umem.memory.held.fetch_sub(1, Ordering::Relaxed);
            self.umem.memory.give_back(lease);
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("len", &self.len)
            .field("continues", &self.continues)
            .finish_non_exhaustive()
    }
}
