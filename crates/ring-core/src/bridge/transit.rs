//! A packet on its way across.

use std::fmt;

use crate::{ChecksumStatus, Packet};

/// Which of a bridge's interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The one that was named first.
    Left,
    /// The other.
    Right,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// It goes across as it came.
    Forward,
    /// It ends here.
    Drop,
    /// It goes across as [`Transit::rewrite`] left it.
    Rewrite,
}

/// A packet on its way across.
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

    /// The interface that it came in from.
    #[must_use]
    pub fn from(&self) -> Side {
        self.from
    }

    /// The packet as it came.
    #[must_use]
    pub fn packet(&self) -> &Packet<'a> {
        &self.packet
    }

    /// The packet's bytes as they came.
    #[must_use]
    pub fn data(&self) -> &'a [u8] {
        self.packet.data()
    }

    /// The bytes to be sent with [`Verdict::Rewrite`], to be changed as one likes: the packet's own at first. The VLAN
    /// tag that was taken off is not among them and comes back; checksums are as they are in the bytes, unless
    /// [`fill_checksum`](Self::fill_checksum) says otherwise or the packet came with an unfinished one.
    pub fn rewrite(&mut self) -> &mut Vec<u8> {
        if !self.copied {
            self.changed.clear();
            self.changed.extend_from_slice(self.packet.data());
            self.copied = true;
        }
        self.changed
    }

    /// Has the checksum of a changed packet filled in, if it is TCP or UDP and neither a fragment nor IPv6 with extension
    /// headers. That of the IPv4 header is not.
    pub fn fill_checksum(&mut self) {
        self.fill_checksum = true;
    }

    /// The packet to be sent.
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
                Some(Packet::new(self.changed, meta))
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
