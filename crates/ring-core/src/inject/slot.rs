//! Slots for frames.

use std::ops::{Deref, DerefMut};

use super::{Injector, Offload};
use crate::Error;

/// A slot for a frame, lent by [`Injector::reserve`]. Fill it, then [`commit`](Self::commit) it. If
/// it is dropped without a commit, nothing is sent.
///
/// It initially contains the bytes of an earlier frame.
#[derive(Debug)]
#[must_use = "nothing is sent before `commit`"]
pub struct Slot<'a> {
    injector: &'a mut Injector,
    len: usize,
    offload: Option<Offload>,
}

impl<'a> Slot<'a> {
    pub(crate) fn new(injector: &'a mut Injector, len: usize) -> Self {
        Self { injector, len, offload: None }
    }

    /// Shortens the frame to `len` bytes. Does nothing if it is not longer.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Leaves work on the frame to the kernel or the adapter.
    ///
    /// # Errors
    /// [`Error::NoOffloads`] if the injector was not opened for them.
    pub fn set_offload(&mut self, offload: Offload) -> Result<(), Error> {
        if !self.injector.limits.offloads {
            return Err(Error::NoOffloads);
        }
        self.offload = Some(offload);
        Ok(())
    }

    /// Queues the frame. It is sent by the next [`flush`](Injector::flush) at the latest.
    ///
    /// # Errors
    /// [`Error::FrameLength`]; the frame is discarded then.
    pub fn commit(self) -> Result<(), Error> {
        let Self { injector, len, offload } = self;
        // Checked here and not by the kernel, whose refusal would come with a later call, when the
        // caller no longer knows the frame.
        injector.check_length(len, offload.as_ref())?;
        injector.path.commit(len, offload.as_ref());
        Ok(())
    }
}

impl Deref for Slot<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.injector.path.frame_ref(self.len)
    }
}

impl DerefMut for Slot<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.injector.path.frame(self.len)
    }
}
