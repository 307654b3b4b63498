//! Interprets a program.

use super::code;
use super::decode::Op;
use crate::ir;

/// Kernel metadata of a packet, for ancillary loads (linux/filter.h, `SKF_AD_…`).
///
/// By default no VLAN tag was removed and every number is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ancillary {
    /// The tag control information of the VLAN tag that was removed from the frame: priority, drop
    /// eligibility and identifier (IEEE 802.1Q).
    pub vlan_tag: Option<u16>,
    /// The EtherType of that tag.
    pub vlan_protocol: u16,
    /// The EtherType of the packet.
    pub protocol: u16,
    /// `PACKET_HOST`, `PACKET_OUTGOING` … (linux/if_packet.h).
    pub packet_type: u8,
    /// The interface index.
    pub interface_index: u32,
    /// The hardware type of the interface (linux/if_arp.h).
    pub hardware_type: u16,
    /// The packet's mark.
    pub mark: u32,
    /// The receive queue.
    pub queue: u32,
    /// The receive hash.
    pub receive_hash: u32,
    /// The processor.
    pub cpu: u32,
    /// The offset of the transport layer's payload.
    pub payload_offset: u32,
    /// A random number.
    pub random: u32,
    /// The offset of the network-layer header, for loads relative to it (`SKF_NET_OFF`).
    pub network_offset: u32,
}

impl Ancillary {
    /// The metadata of a packet from which the kernel has removed this VLAN tag, if any.
    pub fn vlan(tag: Option<u16>) -> Self {
        Self { vlan_tag: tag, ..Self::default() }
    }

    /// A metadata field by its number. One of the numbers stands for the exclusive or of both
    /// registers.
    fn datum(&self, number: u32, a: u32, x: u32) -> u32 {
        match number {
            0 => self.protocol.into(),
            4 => self.packet_type.into(),
            8 => self.interface_index,
            20 => self.mark,
            24 => self.queue,
            28 => self.hardware_type.into(),
            32 => self.receive_hash,
            36 => self.cpu,
            40 => a ^ x,
            44 => self.vlan_tag.unwrap_or(0).into(),
            48 => self.vlan_tag.is_some().into(),
            52 => self.payload_offset,
            56 => self.random,
            60 => self.vlan_protocol.into(),
            _ => 0,
        }
    }
}

/// Runs verified operations. Every path goes forward and ends with a return.
///
/// `SCRATCH` is the number of scratch words. Most programs use none, and clearing them would take
/// as long as running a short program.
pub(super) fn run<const SCRATCH: usize>(
    ops: &[Op],
    data: &[u8],
    wire_len: u32,
    ancillary: &Ancillary,
) -> u32 {
    let mut a = 0u32;
    let mut x = 0u32;
    let mut scratch = [0u32; SCRATCH];
    let mut at = 0;
    // A load beyond the end of the packet, or a division by zero, rejects the packet.
    macro_rules! or_reject {
        ($value:expr) => {
            match $value {
                Some(value) => value,
                None => return 0,
            }
        };
    }
    while let Some(op) = ops.get(at) {
        at += 1;
        match *op {
            Op::Word(k) => a = or_reject!(word(data, k.into())),
            Op::Half(k) => a = or_reject!(half(data, k.into())),
            Op::Byte(k) => a = or_reject!(byte(data, k.into())),
            Op::IndexedWord(k) => a = or_reject!(word(data, u64::from(k) + u64::from(x))),
            Op::IndexedHalf(k) => a = or_reject!(half(data, u64::from(k) + u64::from(x))),
            Op::IndexedByte(k) => a = or_reject!(byte(data, u64::from(k) + u64::from(x))),
            Op::Ancillary(number) => a = ancillary.datum(number, a, x),
            Op::Relative { k, width } => {
                a = or_reject!(relative(data, k, width, ancillary.network_offset));
            }
            Op::Immediate(k) => a = k,
            Op::Length => a = wire_len,
            Op::Recall(word) => a = scratch.get(usize::from(word)).copied().unwrap_or(0),
            Op::IndexImmediate(k) => x = k,
            Op::IndexLength => x = wire_len,
            Op::IndexRecall(word) => x = scratch.get(usize::from(word)).copied().unwrap_or(0),
            Op::HeaderLength(k) => x = or_reject!(byte(data, k.into())) % 16 * 4,
            Op::Store(word) => {
                if let Some(slot) = scratch.get_mut(usize::from(word)) {
                    *slot = a;
                }
            }
            Op::StoreIndex(word) => {
                if let Some(slot) = scratch.get_mut(usize::from(word)) {
                    *slot = x;
                }
            }
            Op::Add(k) => a = a.wrapping_add(k),
            Op::And(k) => a &= k,
            Op::ShiftLeft(k) => a <<= k & 31,
            Op::ShiftRight(k) => a >>= k & 31,
            Op::Constant(operator, k) => a = or_reject!(ir::fold(operator, a, k)),
            Op::Indexed(operator) => a = or_reject!(ir::fold(operator, a, x)),
            Op::Negate => a = a.wrapping_neg(),
            Op::ToIndex => x = a,
            Op::FromIndex => a = x,
            Op::Jump(target) => at = target.into(),
            Op::Equal(k, ways) => at = ways.way(a == k),
            Op::Greater(k, ways) => at = ways.way(a > k),
            Op::GreaterOrEqual(k, ways) => at = ways.way(a >= k),
            Op::AnyBit(k, ways) => at = ways.way(a & k != 0),
            Op::EqualIndex(ways) => at = ways.way(a == x),
            Op::GreaterIndex(ways) => at = ways.way(a > x),
            Op::GreaterOrEqualIndex(ways) => at = ways.way(a >= x),
            Op::AnyBitIndex(ways) => at = ways.way(a & x != 0),
            Op::MaskedEqual(mask, k, ways) => {
                a &= mask;
                at = ways.way(a == k);
            }
            Op::WordEqual(offset, k, ways) => {
                a = or_reject!(word(data, offset.into()));
                at = ways.way(a == k);
            }
            Op::HalfEqual(offset, k, ways) => {
                a = or_reject!(half(data, offset.into()));
                at = ways.way(a == k);
            }
            Op::ByteEqual(offset, k, ways) => {
                a = or_reject!(byte(data, offset.into()));
                at = ways.way(a == k);
            }
            Op::HalfGreater(offset, k, ways) => {
                a = or_reject!(half(data, offset.into()));
                at = ways.way(a > k);
            }
            Op::HalfAnyBit(offset, k, ways) => {
                a = or_reject!(half(data, offset.into()));
                at = ways.way(a & k != 0);
            }
            Op::ByteAnyBit(offset, k, ways) => {
                a = or_reject!(byte(data, offset.into()));
                at = ways.way(a & k != 0);
            }
            Op::IndexedHalfEqual(offset, k, ways) => {
                a = or_reject!(half(data, u64::from(offset) + u64::from(x)));
                at = ways.way(a == k);
            }
            Op::Return(k) => return k,
            Op::ReturnAccumulator => return a,
        }
    }
    0
}

#[inline(always)]
fn word(data: &[u8], offset: u64) -> Option<u32> {
    let offset = usize::try_from(offset).ok()?;
    Some(u32::from_be_bytes(*data.get(offset..)?.first_chunk()?))
}

#[inline(always)]
fn half(data: &[u8], offset: u64) -> Option<u32> {
    let offset = usize::try_from(offset).ok()?;
    Some(u16::from_be_bytes(*data.get(offset..)?.first_chunk()?).into())
}

#[inline(always)]
fn byte(data: &[u8], offset: u64) -> Option<u32> {
    data.get(usize::try_from(offset).ok()?).map(|byte| (*byte).into())
}

/// A load relative to the link-layer header, which is at the start of the data, or to the
/// network-layer header.
#[cold]
fn relative(data: &[u8], k: u32, width: u8, network_offset: u32) -> Option<u32> {
    let offset = match k.checked_sub(code::NETWORK) {
        Some(offset) => u64::from(offset) + u64::from(network_offset),
        None => u64::from(k.checked_sub(code::LINK)?),
    };
    match width {
        4 => word(data, offset),
        2 => half(data, offset),
        _ => byte(data, offset),
    }
}
