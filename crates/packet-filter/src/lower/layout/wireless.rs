//! The layout of 802.11, whose header has a variable length, after capture headers of variable
//! length.
//!
//! Everything is computed without branches, so that it can be the index of a load.

use super::{Framing, Layout, Offset};
use crate::expression::{BinaryOperator, Width};
use crate::ir::{ValueId, Values};
use crate::link::Link;

use BinaryOperator::{Add, And, Multiply, ShiftLeft, ShiftRight, Subtract, Xor};

/// The length of a data frame's header (IEEE 802.11, section 9.3.2.1) without the fourth address
/// and quality of service.
const HEADER: u32 = 24;
/// The length of an 802.2 header with SNAP.
const SNAP: u32 = 8;

impl Layout {
    pub(super) fn wireless(link_type: Link, values: &mut Values) -> Self {
        let mut numbers = Numbers(values);
        let prefix = match link_type {
            Link::Radiotap => Some(numbers.radiotap()),
            Link::Avs => Some(numbers.avs()),
            Link::Prism => Some(numbers.prism()),
            _ => None,
        };
        let header = Offset { index: prefix, constant: 0 };
        let control = numbers.0.load(prefix, 0, Width::One);
        let end = numbers.end(prefix, control, link_type == Link::Radiotap);
        let llc = Offset { index: Some(end), constant: HEADER };
        Self::behind(Framing::Wireless { control }, header, llc, llc.plus(SNAP))
    }
}

struct Numbers<'a>(&'a mut Values);

impl Numbers<'_> {
    /// Extracts one bit of a value: 1 or 0.
    fn bit(&mut self, value: ValueId, bit: u32) -> ValueId {
        let [bit, one] = [bit, 1].map(|number| self.0.constant(number));
        let shifted = self.0.binary(ShiftRight, value, bit);
        self.0.binary(And, shifted, one)
    }

    fn shifted(&mut self, value: ValueId, bits: u32) -> ValueId {
        let bits = self.0.constant(bits);
        self.0.binary(ShiftLeft, value, bits)
    }

    /// The length field of a radiotap header: two bytes, little-endian.
    fn radiotap(&mut self) -> ValueId {
        let [low, high] = [2, 3].map(|at| self.0.load(None, at, Width::One));
        let high = self.shifted(high, 8);
        self.0.binary(Add, high, low)
    }

    /// The length field of an AVS header.
    fn avs(&mut self) -> ValueId {
        self.0.load(None, 4, Width::Four)
    }

    /// The length of a Prism header: 144, unless it is an AVS header. Drivers that switched to AVS
    /// kept the link type.
    fn prism(&mut self) -> ValueId {
        const MAGIC: u32 = 0x8021_1000;
        let first = self.0.load(None, 0, Width::Four);
        let [magic, mask, one, most] =
            [MAGIC, 0xffff_f000, 1, 31].map(|number| self.0.constant(number));
        let kind = self.0.binary(And, first, mask);
        let difference = self.0.binary(Xor, kind, magic);
        // 1 if they differ: a non-zero number or its negation has the highest bit set.
        let negative = self.0.negate(difference);
        let either = self.0.binary(BinaryOperator::Or, difference, negative);
        let differs = self.0.binary(ShiftRight, either, most);
        let same = self.0.binary(Xor, differs, one);
        let len = self.avs();
        let len = self.0.binary(Multiply, len, same);
        let prism = self.0.constant(144);
        let prism = self.0.binary(Multiply, prism, differs);
        self.0.binary(Add, len, prism)
    }

    /// The offset of the 802.2 header, less [`HEADER`].
    fn end(&mut self, prefix: Option<ValueId>, control: ValueId, radiotap: bool) -> ValueId {
        // Only data frames (section 9.2.4.1.3) have the fields below.
        let one = self.0.constant(1);
        let [service, data, control_frame] = [7, 3, 2].map(|bit| self.bit(control, bit));
        let other = self.0.binary(Xor, control_frame, one);
        let data = self.0.binary(And, data, other);
        // Quality of service adds two bytes.
        let service = self.0.binary(And, service, data);
        let service = self.shifted(service, 1);
        // A frame between two access points has a fourth address.
        let flags = self.0.load(prefix, 1, Width::One);
        let [to, from] = [0, 1].map(|bit| self.bit(flags, bit));
        let six = self.0.constant(6);
        let between = self.0.binary(And, to, from);
        let between = self.0.binary(And, between, data);
        let fourth = self.0.binary(Multiply, between, six);
        let more = self.0.binary(Add, service, fourth);
        let end = match prefix {
            Some(prefix) => self.0.binary(Add, prefix, more),
            None => more,
        };
        if !radiotap {
            return end;
        }
        // Some adapters pad the header to a multiple of four. The flag is in a radiotap
        // field that is the first, or the second after a time stamp, behind the words that
        // say which fields are present. Like libpcap, take no padding for granted if there are
        // several of these words.
        let present = self.0.load(None, 4, Width::One);
        let [stamp, has_flags] = [0, 1].map(|bit| self.bit(present, bit));
        let stamp = self.shifted(stamp, 3);
        let flags = self.0.load(Some(stamp), 8, Width::One);
        let padded = self.bit(flags, 5);
        let last = self.0.load(None, 7, Width::One);
        let several = self.bit(last, 7);
        let is_single = self.0.binary(Xor, several, one);
        let padded = self.0.binary(And, padded, has_flags);
        let padded = self.0.binary(And, padded, is_single);
        let padded = self.0.binary(And, padded, data);
        let [zero, three] = [0, 3].map(|number| self.0.constant(number));
        let rest = self.0.binary(Subtract, zero, end);
        let rest = self.0.binary(And, rest, three);
        let padding = self.0.binary(Multiply, padded, rest);
        self.0.binary(Add, end, padding)
    }
}
