//! Which bytes stay where segments overlap.

use std::ops::Range;

/// What a receiving host does with a segment that overlaps one that it holds back, as J. Novak and S. Sturges found
/// out for "Target-Based TCP Stream Reassembly" (2007).
///
/// It matters only where the two differ, and then it is nearly always an attack on whoever watches. Bytes that were
/// delivered stay, whatever the policy: no host takes back what the application has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OverlapPolicy {
    /// The bytes that came first stay (Windows since Vista, and a sound choice where the host is unknown).
    #[default]
    First,
    /// The bytes that came last stay.
    Last,
    /// The held segment stays unless the new one begins before it (FreeBSD, NetBSD, OpenBSD, macOS, IRIX, HP-UX 10).
    Bsd,
    /// The new segment stays unless it begins before the held one: [`Bsd`](Self::Bsd) the other way round.
    BsdRight,
    /// As [`Bsd`](Self::Bsd), and the new segment stays, too, where both begin together and it ends later (Linux 2.4
    /// and later).
    Linux,
    /// As [`Bsd`](Self::Bsd) (Windows 95 to Server 2003).
    Windows,
    /// The new segment stays where it ends after the held one, or with it without beginning after it (Solaris, HP-UX 11).
    Solaris,
}

impl OverlapPolicy {
    /// Whether the new segment's bytes replace those of the held one where both have some.
    pub(crate) const fn prefers_new(self, new: &Range<u64>, held: &Range<u64>) -> bool {
        match self {
            Self::First => false,
            Self::Last => true,
            Self::Bsd | Self::Windows => new.start < held.start,
            Self::BsdRight => new.start >= held.start,
            Self::Linux => {
                new.start < held.start || (new.start == held.start && new.end > held.end)
            }
            Self::Solaris => new.end > held.end || (new.end == held.end && new.start <= held.start),
        }
    }
}
