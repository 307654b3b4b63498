//! Packets that cross a bridge.

use std::fmt;

use crate::{ChecksumStatus, Packet, Side};

/// The decision on a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// Forward the packet unchanged.
    Forward,
    /// Drop the packet.
    Drop,
    /// Forward the packet with the changes made by [`Transit::rewrite`].
    Rewrite,
}

/// A packet that is about to cross a bridge.
pub struct Transit<'a> {
    packet: Packet<'a>,
    from: Side,
    changed: &'a mut Vec<u8>,
    copied: bool,
    fill_checksum: bool,
}

impl<'a> Transit<'a> {
    pub(crate) fn new(packet: Packet<'a>, from: Side, changed: &'a mut Vec<u8>) -> Self {
        Self { packet, from, changed, copied: false, fill_checksum: false }
    }

    /// The interface that the packet was received on.
    #[must_use]
    pub fn from(&self) -> Side {
        self.from
    }

    /// The packet as received.
    #[must_use]
    pub fn packet(&self) -> &Packet<'a> {
        &self.packet
    }

    /// The packet's bytes as received.
    #[must_use]
    pub fn data(&self) -> &'a [u8] {
        self.packet.data()
    }

    /// A buffer with the bytes to send for [`Verdict::Rewrite`], initially the packet's own. A VLAN
    /// tag that was removed on receipt is not in the buffer; it is reinserted later. Checksums are
    /// sent as they are in the buffer, unless [`fill_checksum`](Self::fill_checksum) was called or
    /// the packet arrived with an unfinished checksum.
    pub fn rewrite(&mut self) -> &mut Vec<u8> {
        if !self.copied {
            self.changed.clear();
            self.changed.extend_from_slice(self.packet.data());
            self.copied = true;
        }
        self.changed
    }

    /// Requests that the transport checksum of the changed packet is filled in. This applies to TCP
    /// and UDP, except for fragments and IPv6 extension headers. The IPv4 header checksum is not
    /// changed.
    pub fn fill_checksum(&mut self) {
        self.fill_checksum = true;
    }

    /// The packet to send. `None` if the verdict drops it.
    pub(crate) fn outcome(&mut self, verdict: Verdict) -> Option<Packet<'_>> {
        match verdict {
            Verdict::Drop => None,
            Verdict::Forward => Some(self.packet),
            Verdict::Rewrite => {
                self.rewrite();
                let mut meta = *self.packet.meta();
                meta.wire_len = 0;
                if self.fill_checksum {
                    meta.checksum = ChecksumStatus::Partial;
                }
                Some(Packet::with_meta(self.changed, meta))
            }
        }
    }
}

impl fmt::Debug for Transit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transit")
            .field("packet", &self.packet)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}
