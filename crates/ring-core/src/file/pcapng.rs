//! The pcapng format (draft-ietf-opsawg-pcapng).

use super::Step;
use super::format::{self, FileInterface};
use super::reader::ChunkReader;
use crate::stored::Record;
use crate::{Damage, Direction, Error, LinkType, PacketMeta, Timestamp};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const JOURNAL_EXPORT: u32 = 9;
const CUSTOM: u32 = 0xbad;
const CUSTOM_NOT_COPIED: u32 = 0x4000_0bad;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Type and length before a block's body; the length again after it.
const BLOCK_START: usize = 8;
const BLOCK_FRAME: usize = 12;
/// Longest block that is not a packet's, as in Wireshark.
const LONGEST_BLOCK: u32 = 16 << 20;
/// Interfaces that a file describes at most, over all its sections: a bound for memory.
const MOST_INTERFACES: usize = 1 << 16;
/// Bytes of an interface's name that are kept.
const LONGEST_NAME: usize = 256;

pub(crate) struct PcapNgParser {
    big_endian: bool,
    /// Of all sections: `interfaces[section_start..]` are those of this one.
    interfaces: Vec<FileInterface>,
    clocks: Vec<Clock>,
    section_start: usize,
}

/// How an interface's time stamps become nanoseconds.
#[derive(Clone, Copy)]
struct Clock {
    /// `ticks * numerator / denominator` nanoseconds.
    numerator: u64,
    denominator: u128,
    /// Seconds to add.
    offset: i64,
}

/// A block's body, cut from bytes that hold the whole block.
struct Body<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl PcapNgParser {
    /// Reads up to the end of the first section header, of which the type has been seen.
    pub(crate) fn open(reader: &mut ChunkReader) -> Result<Self, Error> {
        let mut parser = Self {
            big_endian: false,
            interfaces: Vec::new(),
            clocks: Vec::new(),
            section_start: 0,
        };
        loop {
            let present = reader.unread().len();
            match parser
                .step(reader.unread(), 1)
                .map_err(|damage| Error::Damaged { offset: 0, damage })?
            {
                Step::Need(needed) => {
                    if !reader.read(needed)? {
                        let damage =
                            Damage::CutShort { present: present as u64, needed: needed as u64 };
                        return Err(Error::Damaged { offset: 0, damage });
                    }
                }
                Step::Skip(len) | Step::Frame(len) | Step::Packet(_, len) => {
                    reader.advance(len);
                    return Ok(parser);
                }
            }
        }
    }

    #[inline]
    pub(crate) fn step(&mut self, unread: &[u8], number: u64) -> Result<Step, Damage> {
        let Some(start) = unread.first_chunk::<BLOCK_START>() else {
            return Ok(Step::Need(BLOCK_FRAME));
        };
        // A section header's type is the same in both byte orders.
        let mut block_type = u32::from_le_bytes([start[0], start[1], start[2], start[3]]);
        let mut big_endian = self.big_endian;
        if block_type == SECTION_HEADER {
            let Some(magic) = unread.get(8..12) else { return Ok(Step::Need(BLOCK_FRAME)) };
            let magic = u32::from_le_bytes([magic[0], magic[1], magic[2], magic[3]]);
            big_endian = match magic {
                BYTE_ORDER_MAGIC => false,
                _ if magic.swap_bytes() == BYTE_ORDER_MAGIC => true,
                _ => return Err(Damage::ByteOrder(magic)),
            };
        } else if big_endian {
            block_type = block_type.swap_bytes();
        }
        let length = u32::from_le_bytes([start[4], start[5], start[6], start[7]]);
        let length = if big_endian { length.swap_bytes() } else { length };
        let (least, limit) = bounds(block_type);
        if length < least || length > limit {
            return Err(Damage::BlockLength { block_type, length, least, limit });
        }
        // Some writers do not count the padding of the body.
        let total = (length as usize).next_multiple_of(4);
        if unread.len() < total {
            return Ok(Step::Need(total));
        }
        let body = Body { bytes: &unread[BLOCK_START..total - 4], big_endian };
        let last = Body { bytes: &unread[total - 4..total], big_endian }.u32(0);
        if last != length {
            return Err(Damage::BlockEnd { first: length, last });
        }
        match block_type {
            ENHANCED_PACKET => self.packet(&body, body.u32(0), number, total),
            OBSOLETE_PACKET => self.packet(&body, u32::from(body.u16(0)), number, total),
            SIMPLE_PACKET => self.simple_packet(&body, number, total),
            JOURNAL_EXPORT | CUSTOM | CUSTOM_NOT_COPIED => Ok(Step::Frame(total)),
            _ => {
                match block_type {
                    SECTION_HEADER => self.section(&body)?,
                    INTERFACE_DESCRIPTION => self.interface(&body)?,
                    INTERFACE_STATISTICS => self.interface_statistics(&body),
                    _ => {}
                }
                Ok(Step::Skip(total))
            }
        }
    }

    pub(crate) fn interfaces(&self) -> &[FileInterface] {
        &self.interfaces
    }

    /// Enhanced and obsolete packet blocks: they differ in the first word alone, and in the number of the options.
    #[inline]
    fn packet(
        &self,
        body: &Body<'_>,
        interface: u32,
        number: u64,
        total: usize,
    ) -> Result<Step, Damage> {
        const FIXED: usize = 20;
        let (at, clock, link_type) = self.known(interface)?;
        let ticks = u64::from(body.u32(4)) << 32 | u64::from(body.u32(8));
        let (captured, wire) = (body.u32(12), body.u32(16));
        let len = packet_length(captured, link_type, body.bytes.len() - FIXED)?;
        let mut meta = PacketMeta::new(number, clock.time(ticks), link_type);
        meta.wire_len = wire;
        meta.interface = at as u32;
        let options = FIXED + len.next_multiple_of(4);
        if options < body.bytes.len() {
            body.options(options, |code, value| match (code, value) {
                // Of both blocks option 2 holds the flags.
                (2, &[_, _, _, _]) => meta.direction = direction(value_u32(value, body.big_endian)),
                // epb_dropcount: packets lost between this and the one before.
                (4, value) if value.len() == 8 => meta.losing = value.iter().any(|&byte| byte != 0),
                _ => {}
            });
        }
        Ok(Step::Packet(Record { start: BLOCK_START + FIXED, len, meta }, total))
    }

    /// A packet of the section's first interface without a time stamp.
    fn simple_packet(&self, body: &Body<'_>, number: u64, total: usize) -> Result<Step, Damage> {
        const FIXED: usize = 4;
        let (at, _, link_type) = self.known(0)?;
        let wire = body.u32(0);
        let room = body.bytes.len() - FIXED;
        let captured = match self.interfaces[at].snaplen {
            0 => wire,
            snaplen => wire.min(snaplen),
        };
        let len = packet_length(captured.min(room as u32), link_type, room)?;
        let mut meta = PacketMeta::new(number, Timestamp::default(), link_type);
        meta.wire_len = wire;
        meta.interface = at as u32;
        Ok(Step::Packet(Record { start: BLOCK_START + FIXED, len, meta }, total))
    }

    fn section(&mut self, body: &Body<'_>) -> Result<(), Damage> {
        let (major, minor) = (body.u16(4), body.u16(6));
        // 1.2 is what some writers put for 1.0 (draft-ietf-opsawg-pcapng, section 4.1).
        if major != 1 || !matches!(minor, 0 | 2) {
            return Err(Damage::Version { major, minor });
        }
        self.big_endian = body.big_endian;
        self.section_start = self.interfaces.len();
        Ok(())
    }

    fn interface(&mut self, body: &Body<'_>) -> Result<(), Damage> {
        if self.interfaces.len() >= MOST_INTERFACES {
            return Err(Damage::TooManyInterfaces { limit: MOST_INTERFACES as u32 });
        }
        let mut clock = Clock { numerator: 1_000, denominator: 1, offset: 0 };
        let mut name = None;
        body.options(8, |code, value| match (code, value) {
            (2, value) => {
                let value = &value[..value.len().min(LONGEST_NAME)];
                name = Some(String::from_utf8_lossy(value).trim_end_matches('\0').to_owned());
            }
            (9, &[resolution, ..]) => {
                clock = Clock { offset: clock.offset, ..Clock::new(resolution) }
            }
            (14, &[a, b, c, d, e, f, g, h]) => {
                let bytes = [a, b, c, d, e, f, g, h];
                clock.offset = if body.big_endian {
                    i64::from_be_bytes(bytes)
                } else {
                    i64::from_le_bytes(bytes)
                };
            }
            _ => {}
        });
        let link_type = format::link_type(u32::from(body.u16(0)));
        self.interfaces.push(FileInterface { link_type, snaplen: body.u32(4), name, drops: 0 });
        self.clocks.push(clock);
        Ok(())
    }

    /// Statistics are totals, so that the last block of an interface counts. One of an unknown interface says nothing.
    fn interface_statistics(&mut self, body: &Body<'_>) {
        let Ok((at, ..)) = self.known(body.u32(0)) else { return };
        let mut drops = 0_u64;
        body.options(12, |code, value| {
            // isb_ifdrop and isb_osdrop.
            if let (5 | 7, &[a, b, c, d, e, f, g, h]) = (code, value) {
                let bytes = [a, b, c, d, e, f, g, h];
                let count = if body.big_endian {
                    u64::from_be_bytes(bytes)
                } else {
                    u64::from_le_bytes(bytes)
                };
                drops = drops.saturating_add(count);
            }
        });
        self.interfaces[at].drops = drops;
    }

    /// An interface of this section: its index over all sections, its clock and its link type.
    #[inline]
    fn known(&self, index: u32) -> Result<(usize, Clock, LinkType), Damage> {
        let at = self.section_start + index as usize;
        match (self.clocks.get(at), self.interfaces.get(at)) {
            (Some(&clock), Some(interface)) => Ok((at, clock, interface.link_type)),
            _ => {
                let known = (self.interfaces.len() - self.section_start) as u32;
                Err(Damage::UnknownInterface { index, known })
            }
        }
    }
}

impl Clock {
    /// `if_tsresol`: the negative power of ten, or of two where the highest bit is set, of a second.
    fn new(resolution: u8) -> Self {
        let exponent = u32::from(resolution & 0x7f);
        let ticks = if resolution & 0x80 != 0 {
            1_u128 << exponent
        } else {
            10_u128.checked_pow(exponent).unwrap_or(u128::MAX)
        };
        let second = 1_000_000_000;
        if second % ticks == 0 {
            Self { numerator: (second / ticks) as u64, denominator: 1, offset: 0 }
        } else {
            Self { numerator: second as u64, denominator: ticks, offset: 0 }
        }
    }

    #[inline]
    fn time(self, ticks: u64) -> Timestamp {
        let nanos = match ticks.checked_mul(self.numerator) {
            Some(nanos) if self.denominator == 1 => nanos,
            _ => {
                let nanos = u128::from(ticks) * u128::from(self.numerator) / self.denominator;
                u64::try_from(nanos).unwrap_or(u64::MAX)
            }
        };
        let offset = self.offset.unsigned_abs().saturating_mul(1_000_000_000);
        Timestamp::from_nanos(if self.offset < 0 {
            nanos.saturating_sub(offset)
        } else {
            nanos.saturating_add(offset)
        })
    }
}

impl Body<'_> {
    /// The callers read within what [`bounds`] has checked.
    #[inline]
    fn u32(&self, at: usize) -> u32 {
        value_u32(&self.bytes[at..at + 4], self.big_endian)
    }

    #[inline]
    fn u16(&self, at: usize) -> u16 {
        let bytes = [self.bytes[at], self.bytes[at + 1]];
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    /// Shows each option from `at` on; a list that breaks off is taken as far as it goes, since packets do not hang
    /// on it.
    fn options(&self, mut at: usize, mut show: impl FnMut(u16, &[u8])) {
        while at + 4 <= self.bytes.len() {
            let (code, len) = (self.u16(at), usize::from(self.u16(at + 2)));
            let Some(value) = self.bytes.get(at + 4..at + 4 + len) else { return };
            if code == 0 {
                return;
            }
            show(code, value);
            at += 4 + len.next_multiple_of(4);
        }
    }
}

/// The least length of a block of this type, and the most.
#[inline]
fn bounds(block_type: u32) -> (u32, u32) {
    const LONGEST_PACKET_BLOCK: u32 = (128 << 20) + LONGEST_BLOCK;
    match block_type {
        ENHANCED_PACKET | OBSOLETE_PACKET => (32, LONGEST_PACKET_BLOCK),
        SECTION_HEADER => (28, LONGEST_BLOCK),
        INTERFACE_DESCRIPTION => (20, LONGEST_BLOCK),
        SIMPLE_PACKET => (16, LONGEST_PACKET_BLOCK),
        INTERFACE_STATISTICS => (24, LONGEST_BLOCK),
        _ => (BLOCK_FRAME as u32, LONGEST_BLOCK),
    }
}

#[inline]
fn packet_length(length: u32, link_type: LinkType, room: usize) -> Result<usize, Damage> {
    let limit = format::longest_packet(link_type);
    if length > limit {
        return Err(Damage::PacketLength { length, limit });
    }
    if length as usize > room {
        return Err(Damage::PacketInBlock { length, room: room as u32 });
    }
    Ok(length as usize)
}

/// `epb_flags`: the lowest two bits are inbound and outbound, the next three the reception type.
fn direction(flags: u32) -> Direction {
    match (flags & 3, flags >> 2 & 7) {
        (2, _) => Direction::Outgoing,
        (_, 2) => Direction::Multicast,
        (_, 3) => Direction::Broadcast,
        (_, 4) => Direction::OtherHost,
        (1, _) => Direction::Host,
        _ => Direction::Unknown,
    }
}

#[inline]
fn value_u32(bytes: &[u8], big_endian: bool) -> u32 {
    let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
    if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}
