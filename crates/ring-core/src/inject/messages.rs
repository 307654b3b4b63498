//! Sending through sendmmsg(2).

use std::io;

use ring_sys::packet::{PacketSocket, SendSlots};

use super::handed::Handed;
use super::offload::{Offload, VIRTIO_HEADER, virtio_header};

/// Frames in slots that are used as a ring.
#[derive(Debug)]
pub(crate) struct Messages {
    slots: SendSlots,
    lens: Box<[u32]>,
    /// The oldest committed frame, and the number of committed frames.
    first: usize,
    pending: usize,
    /// `true` if a virtio-net header precedes each frame.
    headers: bool,
    /// Maximum number of frames per system call.
    at_once: usize,
}

impl Messages {
    pub(crate) fn new(
        count: usize,
        longest: usize,
        headers: bool,
        at_once: usize,
    ) -> io::Result<Self> {
        // Whole cache lines, so that filling a slot does not touch one that the kernel is reading.
        let size = (longest + VIRTIO_HEADER).next_multiple_of(64);
        Ok(Self {
            slots: SendSlots::new(count, size)?,
            lens: vec![0; count].into(),
            first: 0,
            pending: 0,
            headers,
            at_once,
        })
    }

    pub(crate) fn pending(&self) -> usize {
        self.pending
    }

    pub(crate) fn has_room(&self) -> bool {
        self.pending < self.lens.len()
    }

    /// The bytes of the next free slot, mutable.
    pub(crate) fn frame(&mut self, len: usize) -> &mut [u8] {
        let before = self.before();
        let slot = self.at(self.pending);
        &mut self.slots.slot_mut(slot)[before..before + len]
    }

    /// The bytes of the next free slot.
    pub(crate) fn frame_ref(&self, len: usize) -> &[u8] {
        let before = self.before();
        &self.slots.slot(self.at(self.pending))[before..before + len]
    }

    pub(crate) fn commit(&mut self, len: usize, offload: Option<&Offload>) {
        let before = self.before();
        let slot = self.at(self.pending);
        if self.headers {
            self.slots.slot_mut(slot)[..before].copy_from_slice(&virtio_header(offload, 0));
        }
        self.slots.set_len(slot, before + len);
        self.lens[slot] = len as u32;
        self.pending += 1;
    }

    pub(crate) fn hand_over(&mut self, socket: &PacketSocket) -> Handed {
        let mut handed = Handed::default();
        // At most two calls, because the ring wraps around.
        while self.pending > 0 {
            let count = self.pending.min(self.lens.len() - self.first).min(self.at_once);
            match socket.send_slots(&mut self.slots, self.first, count) {
                Ok(sent) => {
                    let sent = sent.min(count);
                    // sendmmsg(2) reports an error only if it concerns the first message, otherwise
                    // the number before it. So the next call returns the error, with the frame it
                    // belongs to at the front.
                    handed.count(&self.lens[self.first..self.first + sent]);
                    self.remove(sent);
                    if sent == 0 {
                        break;
                    }
                }
                Err(error) => {
                    handed.error = Some(error);
                    break;
                }
            }
        }
        handed
    }

    pub(crate) fn first_len(&self) -> u32 {
        self.lens[self.first]
    }

    /// Gives up the oldest frame and returns its length.
    pub(crate) fn reject(&mut self) -> u32 {
        let len = self.first_len();
        self.remove(1);
        len
    }

    pub(crate) fn discard(&mut self) {
        self.remove(self.pending);
    }

    fn remove(&mut self, count: usize) {
        self.first = self.at(count);
        self.pending -= count;
    }

    fn at(&self, offset: usize) -> usize {
        (self.first + offset) % self.lens.len()
    }

    fn before(&self) -> usize {
        if self.headers { VIRTIO_HEADER } else { 0 }
    }
}
