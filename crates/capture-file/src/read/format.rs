//! File formats, and the fields that they have in common.

use std::array;

use crate::LinkType;

/// A format that [`CaptureFile`](crate::CaptureFile) reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileFormat {
    /// pcap with timestamps in microseconds.
    PcapMicroseconds,
    /// pcap with timestamps in nanoseconds.
    PcapNanoseconds,
    /// pcap as modified by Alexey Kuznetsov, with eight more bytes per record.
    PcapModified,
    /// pcapng.
    PcapNg,
}

/// The first `N` 32-bit words of `bytes`, which must be long enough.
#[inline]
pub(crate) fn words<const N: usize>(bytes: &[u8], big_endian: bool) -> [u32; N] {
    let bytes = &bytes[..4 * N];
    let words =
        array::from_fn(|at| u32::from_le_bytes(array::from_fn(|byte| bytes[4 * at + byte])));
    if big_endian { words.map(u32::swap_bytes) } else { words }
}

/// The link type in a file's 32-bit field, whose upper 16 bits are the length of a frame check
/// sequence and reserved bits (draft-ietf-opsawg-pcap, section 4). Some systems used 12 and 14 for
/// raw IP before the registry had a number for it.
pub(crate) fn link_type(field: u32) -> LinkType {
    match field as u16 {
        12 | 14 => LinkType::RAW,
        number => LinkType(number),
    }
}

/// The length of the frame check sequence in bytes, from the link type field of a pcap file. The
/// field holds 16-bit words, and a flag that says if the length is known (draft-ietf-opsawg-pcap,
/// section 4).
pub(crate) const fn fcs_len(field: u32) -> u8 {
    const KNOWN: u32 = 0x0400_0000;
    if field & KNOWN != 0 { 2 * (field >> 28) as u8 } else { 0 }
}

/// The maximum captured length of a packet, as in libpcap and Wireshark.
pub(crate) fn longest_packet(link_type: LinkType) -> u32 {
    const USBPCAP: LinkType = LinkType(249);
    const DBUS: LinkType = LinkType(231);
    match link_type {
        DBUS | USBPCAP => 128 << 20,
        _ => 256 << 10,
    }
}
