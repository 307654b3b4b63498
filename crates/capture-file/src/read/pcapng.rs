//! The pcapng format (draft-ietf-opsawg-pcapng).

use packet::StoredPacket;

use super::format::{self, words};
use super::reader::ChunkReader;
use super::{Found, Stop};
use crate::{Damage, Direction, Error, FileInterface, LinkType, PacketMeta, Timestamp};

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
/// Nanoseconds per second.
const SECOND: u128 = 1_000_000_000;
/// Length of a block's type and first length field. The length is repeated after the body.
const BLOCK_START: usize = 8;
const BLOCK_FRAME: usize = 12;
/// Maximum length of a block that holds no packet, as in Wireshark.
const LONGEST_BLOCK: u32 = 16 << 20;
/// Maximum number of interfaces in a file, over all sections. Bounds memory.
const MOST_INTERFACES: usize = 1 << 16;
/// Maximum length of an interface's name; the rest is cut off.
const LONGEST_NAME: usize = 256;

pub(crate) struct PcapNgParser {
    big_endian: bool,
    /// Interfaces of all sections; `interfaces[section_start..]` are those of the current one.
    interfaces: Vec<FileInterface>,
    /// Parsing state for each of `interfaces`.
    origins: Vec<Origin>,
    section_start: usize,
}

/// The properties of an interface that parsing its packets needs.
struct Origin {
    link_type: LinkType,
    longest_packet: u32,
    clock: Clock,
    fcs_len: u8,
}

/// Converts an interface's timestamps to nanoseconds.
#[derive(Clone, Copy)]
struct Clock {
    tick: Tick,
    /// Seconds to add to each timestamp.
    offset: i64,
}

/// The duration of one timestamp unit.
#[derive(Clone, Copy)]
enum Tick {
    Nanoseconds(u64),
    /// A fraction of a second with this denominator.
    OfSecond(u128),
}

/// The body of a block.
struct Body<'a> {
    bytes: &'a [u8],
    /// Offset of the body in the chunk.
    start: usize,
    big_endian: bool,
}

impl PcapNgParser {
    /// Reads the first section header, whose type was checked already.
    pub(crate) fn open(reader: &mut ChunkReader) -> Result<Self, Error> {
        let mut parser = Self {
            big_endian: false,
            interfaces: Vec::new(),
            origins: Vec::new(),
            section_start: 0,
        };
        loop {
            let present = reader.unread().len() as u64;
            let mut len = 0;
            let damage = match parser.step(reader.unread(), &mut len, &mut Found::default()) {
                Ok(()) => {
                    reader.advance(len);
                    return Ok(parser);
                }
                Err(Stop::Need(needed)) if reader.read(needed)? => continue,
                Err(Stop::Need(needed)) => Damage::CutShort { present, needed: needed as u64 },
                Err(Stop::Damaged(damage)) => damage,
            };
            return Err(Error::Damaged { record: 1, offset: 0, damage });
        }
    }

    /// Parses one block and moves `at` past it.
    #[inline]
    pub(crate) fn step(
        &mut self,
        chunk: &[u8],
        at: &mut usize,
        found: &mut Found,
    ) -> Result<(), Stop> {
        let bytes = &chunk[*at..];
        if bytes.len() < BLOCK_START {
            return Err(Stop::Need(BLOCK_FRAME));
        }
        let mut big_endian = self.big_endian;
        let [block_type, mut length] = words(bytes, big_endian);
        // The type of a section header reads the same in both byte orders.
        if block_type == SECTION_HEADER {
            let Some(magic) = bytes.get(BLOCK_START..BLOCK_FRAME) else {
                return Err(Stop::Need(BLOCK_FRAME));
            };
            big_endian = match words(magic, false) {
                [BYTE_ORDER_MAGIC] => false,
                [magic] if magic.swap_bytes() == BYTE_ORDER_MAGIC => true,
                [magic] => return Err(Damage::ByteOrder(magic).into()),
            };
            [_, length] = words(bytes, big_endian);
        }
        let (least, limit) = bounds(block_type);
        if length < least || length > limit {
            return Err(Damage::BlockLength { block_type, length, least, limit }.into());
        }
        // Some writers do not include the body's padding in the length.
        let total = (length as usize).next_multiple_of(4);
        let Some(block) = bytes.get(..total) else { return Err(Stop::Need(total)) };
        let (body, last) = block[BLOCK_START..].split_at(total - BLOCK_FRAME);
        let [last] = words(last, big_endian);
        if last != length {
            return Err(Damage::BlockEnd { first: length, last }.into());
        }
        let body = Body { bytes: body, start: *at + BLOCK_START, big_endian };
        match block_type {
            ENHANCED_PACKET | OBSOLETE_PACKET => {
                self.packet(&body, block_type == ENHANCED_PACKET, found)?;
            }
            SIMPLE_PACKET => self.simple_packet(&body, found)?,
            // These are not packets, but Wireshark assigns frame numbers to them.
            JOURNAL_EXPORT | CUSTOM | CUSTOM_NOT_COPIED => found.frames += 1,
            SECTION_HEADER => self.section(&body)?,
            INTERFACE_DESCRIPTION => self.interface(&body)?,
            INTERFACE_STATISTICS => self.interface_statistics(&body),
            _ => {}
        }
        *at += total;
        Ok(())
    }

    pub(crate) fn interfaces(&self) -> &[FileInterface] {
        &self.interfaces
    }

    /// Parses an enhanced or an obsolete packet block. They differ only in the first word and the
    /// code of one option.
    #[inline]
    fn packet(&self, body: &Body<'_>, enhanced: bool, found: &mut Found) -> Result<(), Damage> {
        const FIXED: usize = 20;
        let [first, high, low, captured, wire] = words(body.bytes, body.big_endian);
        let interface = match (enhanced, body.big_endian) {
            (true, _) => first,
            (false, true) => first >> 16,
            (false, false) => first & 0xffff,
        };
        let (interface, origin) = self.known(interface)?;
        let len = origin.packet_length(captured, body.bytes.len() - FIXED)?;
        let (mut direction, mut losing) = (Direction::Unknown, false);
        let mut fcs_len = origin.fcs_len;
        let options = FIXED + len.next_multiple_of(4);
        if options < body.bytes.len() {
            body.options(options, |code, value| match (code, value) {
                // Option 2 holds the flags in both block types.
                (2, &[_, _, _, _]) => {
                    let [flags] = words(value, body.big_endian);
                    direction = self::direction(flags);
                    // 0 means unknown; the interface's length applies then.
                    if flags & FCS != 0 {
                        fcs_len = ((flags & FCS) >> 5) as u8;
                    }
                }
                // epb_dropcount: packets lost since the previous packet.
                (4, value) if value.len() == 8 => losing = value.iter().any(|&byte| byte != 0),
                _ => {}
            });
        }
        let timestamp = origin.clock.time(u64::from(high) << 32 | u64::from(low));
        let mut meta = PacketMeta::new(0, timestamp, origin.link_type);
        (meta.wire_len, meta.interface) = (wire, interface as u32);
        (meta.direction, meta.losing, meta.fcs_len) = (direction, losing, fcs_len);
        found.packet(StoredPacket { start: body.start + FIXED, len, meta });
        Ok(())
    }

    /// Parses a simple packet block: a packet of the section's first interface, without a
    /// timestamp.
    fn simple_packet(&self, body: &Body<'_>, found: &mut Found) -> Result<(), Damage> {
        const FIXED: usize = 4;
        let (interface, origin) = self.known(0)?;
        let [wire] = words(body.bytes, body.big_endian);
        let room = body.bytes.len() - FIXED;
        let captured = match self.interfaces[interface].snaplen {
            0 => wire,
            snaplen => wire.min(snaplen),
        };
        let len = origin.packet_length(captured.min(room as u32), room)?;
        let mut meta = PacketMeta::new(0, Timestamp::default(), origin.link_type);
        (meta.wire_len, meta.interface) = (wire, interface as u32);
        meta.fcs_len = origin.fcs_len;
        found.packet(StoredPacket { start: body.start + FIXED, len, meta });
        Ok(())
    }

    fn section(&mut self, body: &Body<'_>) -> Result<(), Damage> {
        let (major, minor) = (body.u16(4), body.u16(6));
        // Some writers use 1.2 for 1.0 (draft-ietf-opsawg-pcapng, section 4.1).
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
        let mut clock = Clock { tick: Tick::Nanoseconds(1_000), offset: 0 };
        let mut name = None;
        let mut fcs_len = 0;
        body.options(8, |code, value| match (code, value) {
            (2, value) => {
                let value = &value[..value.len().min(LONGEST_NAME)];
                name = Some(String::from_utf8_lossy(value).trim_end_matches('\0').to_owned());
            }
            (13, &[len, ..]) => fcs_len = check_sequence(len),
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
        let [_, snaplen] = words(body.bytes, body.big_endian);
        let link_type = format::link_type(u32::from(body.u16(0)));
        self.interfaces.push(FileInterface { link_type, snaplen, name, drops: 0, fcs_len });
        let longest_packet = format::longest_packet(link_type);
        self.origins.push(Origin { link_type, longest_packet, clock, fcs_len });
        Ok(())
    }

    /// Parses interface statistics. They are totals, so each block replaces the previous one.
    /// Blocks of an unknown interface are ignored.
    fn interface_statistics(&mut self, body: &Body<'_>) {
        let [interface] = words(body.bytes, body.big_endian);
        let Ok((at, ..)) = self.known(interface) else { return };
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

    /// Finds an interface of this section and returns its index over all sections.
    #[inline]
    fn known(&self, index: u32) -> Result<(usize, &Origin), Damage> {
        let at = self.section_start + index as usize;
        let known = (self.origins.len() - self.section_start) as u32;
        let origin = self.origins.get(at).ok_or(Damage::UnknownInterface { index, known })?;
        Ok((at, origin))
    }
}

impl Origin {
    #[inline]
    fn packet_length(&self, length: u32, room: usize) -> Result<usize, Damage> {
        let limit = self.longest_packet;
        if length > limit {
            return Err(Damage::PacketLength { length, limit });
        }
        if length as usize > room {
            return Err(Damage::PacketInBlock { length, room: room as u32 });
        }
        Ok(length as usize)
    }
}

impl Clock {
    /// `if_tsresol`: a negative power of ten, or of two if the highest bit is set, in seconds.
    fn new(resolution: u8) -> Self {
        let exponent = u32::from(resolution & 0x7f);
        let ticks = if resolution & 0x80 != 0 {
            1_u128 << exponent
        } else {
            10_u128.checked_pow(exponent).unwrap_or(u128::MAX)
        };
        let tick = if SECOND.is_multiple_of(ticks) {
            Tick::Nanoseconds((SECOND / ticks) as u64)
        } else {
            Tick::OfSecond(ticks)
        };
        Self { tick, offset: 0 }
    }

    #[inline]
    fn time(&self, ticks: u64) -> Timestamp {
        let nanos = match self.tick {
            Tick::Nanoseconds(nanos) => ticks.saturating_mul(nanos),
            Tick::OfSecond(parts) => {
                u64::try_from(u128::from(ticks) * SECOND / parts).unwrap_or(u64::MAX)
            }
        };
        let offset = self.offset.unsigned_abs().saturating_mul(SECOND as u64);
        Timestamp::from_nanos(if self.offset < 0 {
            nanos.saturating_sub(offset)
        } else {
            nanos.saturating_add(offset)
        })
    }
}

impl Body<'_> {
    /// Callers must stay within the minimum length that [`bounds`] guarantees.
    #[inline]
    fn u16(&self, at: usize) -> u16 {
        let bytes = [self.bytes[at], self.bytes[at + 1]];
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    /// Passes each option from `at` on to `show`. Stops silently at a malformed option, because
    /// packets do not depend on options.
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

/// The minimum and maximum length of a block of this type.
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

/// The bits of `epb_flags` that hold the length of the frame check sequence in bytes.
const FCS: u32 = 0x0000_01e0;

/// Converts `if_fcslen` to bytes. The draft counts bits, but Wireshark writes and reads bytes. No
/// check sequence has a length that is plausible in both units.
const fn check_sequence(len: u8) -> u8 {
    if len > 8 { len / 8 } else { len }
}

/// Parses `epb_flags`: the lowest two bits are inbound and outbound, the next three the reception
/// type.
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
