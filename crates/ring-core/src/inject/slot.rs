//! A place for a frame.

use std::ops::{Deref, DerefMut};

use super::{Injector, Offload};
use crate::Error;

/// Room for a frame, lent by [`Injector::reserve`]: fill it, then [`commit`](Self::commit). Dropped without that,
/// nothing is sent.
///
/// Its bytes are what an earlier frame left there.
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

    /// Makes the frame shorter; longer it cannot get.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Leaves work on the frame to the kernel or the adapter.
    ///
    /// # Errors
    /// [`Error::NoOffloads`] where the injector was not opened for them.
    pub fn set_offload(&mut self, offload: Offload) -> Result<(), Error> {
        if !self.injector.limits.offloads {
            return Err(Error::NoOffloads);
        }
        self.offload = Some(offload);
        Ok(())
    }

    /// The frame is to be sent, with the next [`flush`](Injector::flush) at the latest.
    ///
    /// # Errors
    /// [`Error::FrameLength`]; the frame is given up then.
    pub fn commit(self) -> Result<(), Error> {
        let Self { injector, len, offload } = self;
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
