//! The pcapng writer: one section in little-endian byte order, timestamps in nanoseconds
//! (draft-ietf-opsawg-pcapng).

use std::collections::HashMap;

use super::record::{self, Recorded};
use super::{Annotation, InterfaceDescription, Section};
use crate::{Direction, Error, LinkType, Packet, Statistics, Timestamp, Unwritable};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// The limit of this crate's reader.
const MOST_INTERFACES: usize = 1 << 16;
/// `if_tsresol`: ten to the power of minus nine seconds.
const NANOSECONDS: u8 = 9;

const COMMENT: u16 = 1;

pub(crate) struct PcapNgEncoder {
    section: Section,
    interfaces: Vec<Interface>,
    /// Maps the source's interface and the link type to the interface's number in the file.
    numbers: HashMap<(u32, LinkType), u32>,
    /// The first interface in the file for each of the source's interfaces. It gets the statistics.
    first: HashMap<u32, u32>,
    /// The key and number of the previous packet, since the next packet usually has the same.
    last: Option<((u32, LinkType), u32)>,
}

struct Interface {
    description: InterfaceDescription,
    statistics: Option<(Statistics, Timestamp)>,
    /// `true` if this file has these statistics already.
    told: bool,
}

impl PcapNgEncoder {
    pub(crate) fn new(section: Section) -> Result<Self, Error> {
        let Section { application, hardware, os, comment } = &section;
        check([application, hardware, os, comment])?;
        Ok(Self {
            section,
            interfaces: Vec::new(),
            numbers: HashMap::new(),
            first: HashMap::new(),
            last: None,
        })
    }

    /// Starts a file with a section and the interfaces known so far.
    pub(crate) fn begin(&mut self, out: &mut Vec<u8>) {
        block(out, SECTION_HEADER, |out| {
            out.extend(BYTE_ORDER_MAGIC.to_le_bytes());
            out.extend([1_u16, 0].map(u16::to_le_bytes).as_flattened());
            // The section's length is not known yet.
            out.extend([0xff; 8]);
            let Section { application, hardware, os, comment } = &self.section;
            texts(out, [(COMMENT, comment), (2, hardware), (3, os), (4, application)]);
        });
        for interface in &mut self.interfaces {
            interface.told = false;
            describe(out, &interface.description);
        }
    }

    /// Adds an interface. From now on, packets with its source interface and link type belong to
    /// it.
    pub(crate) fn add(
        &mut self,
        source: u32,
        description: InterfaceDescription,
        out: &mut Vec<u8>,
    ) -> Result<u32, Error> {
        if self.interfaces.len() >= MOST_INTERFACES {
            return Err(Unwritable::TooManyInterfaces { limit: MOST_INTERFACES as u32 }.into());
        }
        let InterfaceDescription {
            name, description: about, filter, os, hardware, comment, ..
        } = &description;
        check([name, about, os, hardware, comment])?;
        // The filter option starts with one more byte.
        limited(filter.as_ref().map_or(0, |filter| filter.len() + 1))?;
        let number = self.interfaces.len() as u32;
        describe(out, &description);
        self.numbers.insert((source, description.link_type), number);
        self.first.entry(source).or_insert(number);
        self.last = None;
        self.interfaces.push(Interface { description, statistics: None, told: false });
        Ok(number)
    }

    pub(crate) fn packet(
        &mut self,
        packet: &Packet<'_>,
        annotation: &Annotation<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Recorded, Error> {
        limited(annotation.comment.map_or(0, str::len))?;
        let key = (packet.meta().interface, packet.link_type());
        let number = match self.last {
            Some((last, number)) if last == key => number,
            _ => match self.numbers.get(&key) {
                Some(&number) => number,
                None => {
                    let mut description = InterfaceDescription::new(key.1);
                    description.fcs_len = packet.meta().fcs_len;
                    self.add(key.0, description, out)?
                }
            },
        };
        self.last = Some((key, number));
        let description = &self.interfaces[number as usize].description;
        let limit = super::limit(description);
        // Written only if it differs from the interface's.
        let fcs_len = packet.meta().fcs_len;
        let fcs_len = if fcs_len == description.fcs_len { 0 } else { fcs_len };
        Ok(block(out, ENHANCED_PACKET, |out| {
            let start = out.len();
            let time = packet.timestamp().as_nanos();
            let fields = [number, (time >> 32) as u32, time as u32, 0, 0];
            out.extend(fields.map(u32::to_le_bytes).as_flattened());
            let recorded = record::append(out, packet, limit);
            let lengths = [recorded.captured, recorded.wire].map(u32::to_le_bytes);
            out[start + 12..start + 20].copy_from_slice(lengths.as_flattened());
            pad(out);
            let flags = flags(packet.meta().direction) | u32::from(fcs_len & 0x0f) << 5;
            if flags != 0 || !annotation.is_empty() {
                if let Some(comment) = annotation.comment {
                    option(out, COMMENT, comment.as_bytes());
                }
                if flags != 0 {
                    option(out, 2, &flags.to_le_bytes());
                }
                if let Some(dropped) = annotation.dropped {
                    option(out, 4, &dropped.to_le_bytes());
                }
                option(out, 0, &[]);
            }
            recorded
        }))
    }

    /// Sets the totals of a source's interface for the next statistics block. Returns `false` if
    /// the interface is unknown.
    pub(crate) fn set_statistics(
        &mut self,
        source: u32,
        totals: Statistics,
        at: Timestamp,
    ) -> bool {
        let Some(&number) = self.first.get(&source) else { return false };
        let interface = &mut self.interfaces[number as usize];
        interface.statistics = Some((totals, at));
        interface.told = false;
        true
    }

    /// Writes the totals that this file does not have yet.
    pub(crate) fn statistics(&mut self, out: &mut Vec<u8>) {
        for (number, interface) in self.interfaces.iter_mut().enumerate() {
            let (false, Some((totals, at))) = (interface.told, interface.statistics) else {
                continue;
            };
            interface.told = true;
            block(out, INTERFACE_STATISTICS, |out| {
                let time = at.as_nanos();
                let fields = [number as u32, (time >> 32) as u32, time as u32];
                out.extend(fields.map(u32::to_le_bytes).as_flattened());
                // The end time of the capture so far. Times have their upper half first in this
                // format.
                let end = [(time >> 32) as u32, time as u32].map(u32::to_le_bytes);
                option(out, 3, end.as_flattened());
                // isb_ifrecv, isb_ifdrop and isb_usrdeliv. Like Wireshark and dumpcap, this counts
                // the kernel's drops as those of the interface.
                // interface's as well.
                option(out, 4, &totals.packets.to_le_bytes());
                option(out, 5, &totals.drops.to_le_bytes());
                let delivered = totals.packets.saturating_sub(totals.drops);
                option(out, 8, &delivered.to_le_bytes());
                option(out, 0, &[]);
            });
        }
    }
}

fn describe(out: &mut Vec<u8>, description: &InterfaceDescription) {
    block(out, INTERFACE_DESCRIPTION, |out| {
        out.extend(description.link_type.0.to_le_bytes());
        out.extend([0; 2]);
        out.extend(description.snaplen.to_le_bytes());
        if let Some(mac) = description.mac {
            option(out, 6, &mac);
        }
        if let Some(speed) = description.speed {
            option(out, 8, &speed.to_le_bytes());
        }
        option(out, 9, &[NANOSECONDS]);
        if description.fcs_len != 0 {
            option(out, 13, &[description.fcs_len]);
        }
        // A zero byte says that the filter is an expression, not a program.
        let filter = description.filter.as_ref().map(|filter| format!("\0{filter}"));
        let InterfaceDescription { name, description, os, hardware, comment, .. } = description;
        texts(
            out,
            [
                (COMMENT, comment),
                (2, name),
                (3, description),
                (11, &filter),
                (12, os),
                (15, hardware),
            ],
        );
    });
}

/// `epb_flags`: inbound or outbound in the lowest two bits, the reception type in the next three.
fn flags(direction: Direction) -> u32 {
    const INBOUND: u32 = 1;
    match direction {
        Direction::Unknown => 0,
        Direction::Host => INBOUND | 1 << 2,
        Direction::Multicast => INBOUND | 2 << 2,
        Direction::Broadcast => INBOUND | 3 << 2,
        Direction::OtherHost => INBOUND | 4 << 2,
        Direction::Outgoing => 2,
    }
}

/// Appends a block: its type, its length, the body, and the length again.
fn block<T>(out: &mut Vec<u8>, block_type: u32, body: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let start = out.len();
    out.extend(block_type.to_le_bytes());
    out.extend([0; 4]);
    let result = body(out);
    pad(out);
    let length = (out.len() - start + 4) as u32;
    out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
    out.extend(length.to_le_bytes());
    result
}

/// Pads to a multiple of four. All blocks have such lengths, so the buffer's length will do.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Appends an option. The caller has checked that its length fits.
fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend(code.to_le_bytes());
    out.extend((value.len() as u16).to_le_bytes());
    out.extend(value);
    pad(out);
}

/// Appends the texts that are present as options, and the end of the options.
fn texts<const N: usize>(out: &mut Vec<u8>, texts: [(u16, &Option<String>); N]) {
    for (code, text) in texts {
        if let Some(text) = text {
            option(out, code, text.as_bytes());
        }
    }
    option(out, 0, &[]);
}

fn check<const N: usize>(texts: [&Option<String>; N]) -> Result<(), Unwritable> {
    texts.into_iter().try_for_each(|text| limited(text.as_ref().map_or(0, String::len)))
}

fn limited(length: usize) -> Result<(), Unwritable> {
    let limit = usize::from(u16::MAX);
    if length > limit { Err(Unwritable::TextLength { length, limit }) } else { Ok(()) }
}
