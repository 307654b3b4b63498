//! Iteration over the packets of a block.
//!
//! Nothing in a block is trusted: every offset and length is checked against the bytes that are
//! there, in release builds too. An invalid packet ends its block, and the error is counted.

use packet_filter::Program;
use ring_sys::packet::abi;

use super::counts::Counts;
use super::filter;
use super::ring::{self, Extent};
use crate::{
    ChecksumStatus, Direction, LinkType, Packet, PacketMeta, Timestamp, TimestampSource, VlanTag,
    hardware,
};

/// Length of a packet's header and the address that follows it.
const HEADER: usize = abi::TPACKET3_HDRLEN;

/// Alignment of headers (`V3_ALIGNMENT` of `af_packet.c`).
const ALIGNMENT: usize = 8;

/// Number of packets to prefetch ahead, about a page of the smallest packets. If packets are close
/// together, the hardware prefetcher recognises sequential reads, but only up to the end of a page.
/// Each page also needs one address translation.
const AHEAD: usize = 24;

/// Size of a cache line.
const LINE: usize = 64;

/// The packets of a block in the order of capture.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    counts: &'a Counts,
    index: usize,
    data: &'a [u8],
    walk: Walk,
    filter: Option<&'a Program>,
}

/// The state of a walk, and what all packets of the block have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    /// Offset of the next packet's header in the block's data.
    at: usize,
    /// Number of packets left, as stated by the block.
    left: u32,
    packets: u32,
    /// The number of the block's first packet.
    number: u64,
    losing: bool,
    hash: bool,
    link_type: Option<LinkType>,
}

impl Walk {
    /// Starts at a block whose first packet gets `number`. `link_type` is `None` if each packet has
    /// its own.
    pub(crate) fn new(
        extent: &Extent,
        number: u64,
        link_type: Option<LinkType>,
        hash: bool,
    ) -> Self {
        let Extent { packets, first, losing, .. } = *extent;
        Self { at: first, left: packets, packets, number, losing, hash, link_type }
    }

    /// The number of packets left, as stated by the block.
    pub(crate) fn left(&self) -> u32 {
        self.left
    }

    /// The next packet that passes the filter. `None` at the end, or if the rest of the block is
    /// invalid.
    // Inlined into the caller's loop, so that fields which the caller does not use are not even
    // read.
    #[inline(always)]
    pub(crate) fn next<'a>(
        &mut self,
        counts: &Counts,
        index: usize,
        data: &'a [u8],
        filter: Option<&Program>,
    ) -> Option<Packet<'a>> {
        match filter {
            None => self.step(counts, index, data).map(|(_, packet)| packet),
            Some(filter) => {
                let packet;
                (*self, packet) = self.next_passing(counts, index, data, filter);
                packet
            }
        }
    }

    /// Used after a change of the filter. Takes the walk by value, so that a walk without a filter
    /// can stay in registers.
    #[cold]
    #[inline(never)]
    fn next_passing<'a>(
        mut self,
        counts: &Counts,
        index: usize,
        data: &'a [u8],
        filter: &Program,
    ) -> (Self, Option<Packet<'a>>) {
        while let Some((header, packet)) = self.step(counts, index, data) {
            if passes(filter, header, &packet) {
                return (self, Some(packet));
            }
        }
        (self, None)
    }

    #[inline(always)]
    fn step<'a>(
        &mut self,
        counts: &Counts,
        index: usize,
        data: &'a [u8],
    ) -> Option<(&'a [u8; HEADER], Packet<'a>)> {
        if self.left == 0 {
            return None;
        }
        let Some((header, bytes, next)) = frame(data, self.at) else {
            self.left = 0;
            counts.count_malformed(index);
            return None;
        };
        let position = self.packets - self.left;
        self.left -= 1;
        self.at = next;

        let wire_len = u32_at(header, 16);
        if wire_len as usize > bytes.len() {
            counts.count_truncated(index, position);
        }
        Some((header, Packet::with_meta(bytes, self.meta(header, bytes.len(), wire_len, position))))
    }

    #[inline(always)]
    fn meta(&self, header: &[u8; HEADER], len: usize, wire_len: u32, position: u32) -> PacketMeta {
        let status = u32_at(header, 20);
        let hardware_type = u16_at(header, abi::TPACKET3_SOCKADDR + 8);
        let link_type = self.link_type.unwrap_or_else(|| hardware::of_hardware(hardware_type));
        let timestamp = Timestamp::from_parts(u64::from(u32_at(header, 4)), u32_at(header, 8));
        let mut meta = PacketMeta::new(self.number + u64::from(position), timestamp, link_type);
        meta.timestamp_source = if status & abi::TP_STATUS_TS_RAW_HARDWARE != 0 {
            TimestampSource::RawHardware
        } else if status & abi::TP_STATUS_TS_SYS_HARDWARE != 0 {
            TimestampSource::Hardware
        } else {
            TimestampSource::Software
        };
        meta.wire_len = wire_len;
        let network = u16_at(header, 26).checked_sub(u16_at(header, 24));
        meta.network_offset = network.filter(|&offset| usize::from(offset) <= len);
        meta.interface = u32_at(header, abi::TPACKET3_SOCKADDR + 4);
        meta.direction = match header[abi::TPACKET3_SOCKADDR + 10] {
            abi::PACKET_HOST => Direction::Host,
            abi::PACKET_BROADCAST => Direction::Broadcast,
            abi::PACKET_MULTICAST => Direction::Multicast,
            abi::PACKET_OTHERHOST => Direction::OtherHost,
            abi::PACKET_OUTGOING => Direction::Outgoing,
            _ => Direction::Unknown,
        };
        if status & abi::TP_STATUS_VLAN_VALID != 0 {
            // Kernels before 3.14 removed a tag without reporting its type; then only 802.1Q was
            // removed.
            let given = status & abi::TP_STATUS_VLAN_TPID_VALID != 0;
            let tpid = if given { u16_at(header, 36) } else { 0x8100 };
            meta.vlan = Some(VlanTag { tpid, tci: u32_at(header, 32) as u16 });
        }
        if self.hash {
            meta.hash = Some(u32_at(header, 28));
        }
        meta.checksum = if status & abi::TP_STATUS_CSUMNOTREADY != 0 {
            ChecksumStatus::Partial
        } else if status & abi::TP_STATUS_CSUM_VALID != 0 {
            ChecksumStatus::Valid
        } else {
            ChecksumStatus::Unknown
        };
        // The loss was somewhere before this block's first packet. The kernel does not say where.
        meta.losing = self.losing && position == 0;
        meta
    }
}

impl<'a> Packets<'a> {
    pub(crate) fn new(
        counts: &'a Counts,
        index: usize,
        data: &'a [u8],
        walk: Walk,
        filter: Option<&'a Program>,
    ) -> Self {
        Self { counts, index, data, walk, filter }
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Packet<'a>> {
        self.walk.next(self.counts, self.index, self.data, self.filter)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let room = self.data.len().saturating_sub(self.walk.at) / HEADER;
        (0, Some(room.min(self.walk.left as usize)))
    }
}

impl std::iter::FusedIterator for Packets<'_> {}

/// `true` if a packet that was captured under another filter passes this one.
fn passes(filter: &Program, header: &[u8; HEADER], packet: &Packet<'_>) -> bool {
    let hardware_type = u16_at(header, abi::TPACKET3_SOCKADDR + 8);
    let protocol = u16::from_be(u16_at(header, abi::TPACKET3_SOCKADDR + 2));
    filter.run(
        packet.data(),
        packet.wire_len(),
        &filter::ancillary(packet, hardware_type, protocol),
    ) != 0
}

/// The header at `at`, the packet's bytes, and the offset of the next header. `None` if any of it
/// is outside of the data.
#[inline(always)]
fn frame(data: &[u8], at: usize) -> Option<(&[u8; HEADER], &[u8], usize)> {
    let rest = data.get(at..)?;
    let header = rest.first_chunk::<HEADER>()?;
    let next = u32_at(header, 0) as usize;
    // Packets often come in runs of equal length. Guess where a later packet has its header and its
    // first bytes, and prefetch them, since the kernel wrote them on another processor.
    let later = at.wrapping_add(next.wrapping_mul(AHEAD));
    ring::prefetch(data, later);
    ring::prefetch(data, later.wrapping_add(LINE));
    let start = usize::from(u16_at(header, 24));
    // On 32-bit targets a sum that overflows is less than `start`, so the range is invalid.
    let end = start.wrapping_add(u32_at(header, 12) as usize);
    if start < HEADER {
        return None;
    }
    let bytes = rest.get(start..end)?;
    // Within the block, each packet must follow the previous one, aligned. These are branches, not
    // conditional moves, so that the load of the next header does not wait for the comparisons.
    if next < end {
        return Some((header, bytes, nowhere(data)));
    }
    if next > rest.len() {
        return Some((header, bytes, nowhere(data)));
    }
    if !next.is_multiple_of(ALIGNMENT) {
        return Some((header, bytes, nowhere(data)));
    }
    Some((header, bytes, at + next))
}

/// The offset after an invalid step or the last packet: the end of the data, where no header fits.
#[cold]
fn nowhere(data: &[u8]) -> usize {
    data.len()
}

#[inline]
fn u32_at(header: &[u8; HEADER], at: usize) -> u32 {
    u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

#[inline]
fn u16_at(header: &[u8; HEADER], at: usize) -> u16 {
    u16::from_ne_bytes([header[at], header[at + 1]])
}
