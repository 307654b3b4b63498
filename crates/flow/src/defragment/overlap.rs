//! The policies of hosts for fragments that overlap.

/// The overlap policy for IPv4 fragments: the fragment whose bytes are used (Novak, "Target-Based
/// Fragmentation Reassembly", 2005). Overlapping IPv6 fragments make their datagram void (RFC
/// 5722).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FragmentOverlap {
    /// The one that arrived first: Windows before version 10, HP-UX.
    #[default]
    First,
    /// The one that arrived last: Cisco routers.
    Last,
    /// The earlier fragment if it starts at or before the later one: BSD, AIX.
    Bsd,
    /// The later fragment if the earlier one starts at or before it: printers, some embedded
    /// systems.
    BsdRight,
    /// The earlier fragment if it starts before the later one: Linux before 4.20.
    Linux,
    /// None: the datagram is dropped. Windows since version 10.
    Reject,
    /// The earlier fragments if they cover the later one completely. Otherwise the datagram is
    /// dropped. Linux since 4.20, which does not compare bytes: a covered fragment with other bytes
    /// counts as a copy, also in IPv6.
    RejectPartial,
}

impl FragmentOverlap {
    /// Returns `true` if the bytes of a fragment that starts at `old` stay when a later one that
    /// starts at `new` overlaps it.
    pub(super) const fn keeps_old(self, old: u32, new: u32) -> bool {
        match self {
            Self::First | Self::Reject | Self::RejectPartial => true,
            Self::Last => false,
            Self::Bsd => old <= new,
            Self::BsdRight => old > new,
            Self::Linux => old < new,
        }
    }

    /// Returns `true` if the policy does not depend on where fragments start.
    pub(super) const fn ignores_starts(self) -> bool {
        matches!(self, Self::First | Self::Last | Self::RejectPartial)
    }

    /// Returns `true` if a copy of earlier bytes changes nothing.
    pub(super) const fn keeps_first(self) -> bool {
        matches!(self, Self::First | Self::Reject | Self::RejectPartial)
    }
}
