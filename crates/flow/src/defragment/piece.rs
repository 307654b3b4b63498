//! A fragment, and the header that it repeats.

use crate::Fragment;
use crate::checksum;

/// A fragment, validated against its frame.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    pub(super) start: u32,
    pub(super) bytes: &'a [u8],
    header: &'a [u8],
    pub(super) fragment: &'a Fragment,
}

/// The header of the first fragment.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) bytes: Vec<u8>,
    is_ipv4: bool,
    /// IPv6: the offset of the field that names the fragment header, which `protocol` replaces.
    next_header_offset: usize,
    protocol: u8,
}

/// The length of an IPv6 header.
pub(super) const IPV6_HEADER_LEN: u32 = 40;

impl<'a> Piece<'a> {
    /// Creates a piece. `None` if the fragment is empty or not within the frame.
    pub(super) fn of(fragment: &'a Fragment, frame: &'a [u8]) -> Option<Self> {
        let slice = |start: u32, len: u32| frame.get(start as usize..)?.get(..len as usize);
        let mut bytes = slice(fragment.payload_offset, fragment.payload_len)?;
        let header = slice(fragment.network_offset, fragment.header_len)?;
        if fragment.more && bytes.len() % 8 != 0 {
            // An IPv6 host discards the fragment (RFC 8200, section 4.5). In IPv4, the excess bytes
            // are ignored.
            if fragment.source.is_ipv6() {
                return None;
            }
            bytes = &bytes[..bytes.len() / 8 * 8];
        }
        let is_header = if fragment.source.is_ipv4() {
            header.len() >= 20
        } else {
            header.len() >= 40 && (fragment.next_header_offset as usize) < header.len()
        };
        (is_header && !bytes.is_empty()).then_some(Self {
            start: fragment.fragment_offset,
            bytes,
            header,
            fragment,
        })
    }

    pub(super) fn end(&self) -> u32 {
        self.start.saturating_add(self.bytes.len() as u32)
    }
}

impl Header {
    pub(super) fn of(piece: &Piece<'_>) -> Self {
        Self {
            bytes: piece.header.to_vec(),
            is_ipv4: piece.fragment.source.is_ipv4(),
            next_header_offset: piece.fragment.next_header_offset as usize,
            protocol: piece.fragment.protocol,
        }
    }

    /// Completes the header at the start of a datagram: length, protocol and checksum of the whole
    /// datagram.
    pub(super) fn complete(&self, datagram: &mut [u8]) {
        if self.is_ipv4 {
            let len = datagram.len() as u16;
            datagram[2..4].copy_from_slice(&len.to_be_bytes());
            datagram[6..8].fill(0);
            datagram[9] = self.protocol;
            datagram[10..12].fill(0);
            let sum = !checksum::sum(&datagram[..self.bytes.len()]);
            datagram[10..12].copy_from_slice(&sum.to_be_bytes());
        } else {
            let len = (datagram.len() - IPV6_HEADER_LEN as usize) as u16;
            datagram[4..6].copy_from_slice(&len.to_be_bytes());
            datagram[self.next_header_offset] = self.protocol;
        }
    }
}
