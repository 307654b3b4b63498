//! DECnet addresses.

use std::fmt;

/// A DECnet Phase IV address, written `area.node`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DecnetAddress(u16);

impl DecnetAddress {
    /// The highest area.
    pub const MAX_AREA: u16 = 63;
    /// The highest node of an area.
    pub const MAX_NODE: u16 = 1023;

    /// Creates the address of a node in an area. `None` if a number is above its maximum.
    pub fn new(area: u16, node: u16) -> Option<Self> {
        (area <= Self::MAX_AREA && node <= Self::MAX_NODE).then_some(Self(area << 10 | node))
    }

    /// The area.
    pub fn area(self) -> u16 {
        self.0 >> 10
    }

    /// The node.
    pub fn node(self) -> u16 {
        self.0 & Self::MAX_NODE
    }

    /// The address as a big-endian load reads it from a header, which stores the low byte first.
    pub(crate) fn loaded(self) -> u32 {
        self.0.swap_bytes().into()
    }
}

impl fmt::Display for DecnetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.area(), self.node())
    }
}
