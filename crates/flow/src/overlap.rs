//! Overlap policies: the bytes that win if segments overlap.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::str::FromStr;

use crate::{FragmentOverlap, Network};

/// The way a receiving host treats a segment that overlaps one in its out-of-order queue, after J.
/// Novak and S. Sturges, "Target-Based TCP Stream Reassembly" (2007).
///
/// It matters only if the overlapping bytes differ, which is nearly always an attack on the
/// monitoring system. Delivered bytes stay under every policy, because no host takes back what the
/// application has read.
///
/// A policy also determines how the host joins [IP fragments](Self::fragments).
///
/// # Examples
///
/// ```
/// use flow::OverlapPolicy;
///
/// assert_eq!("linux".parse(), Ok(OverlapPolicy::Linux));
/// assert_eq!(OverlapPolicy::BsdRight.to_string(), "bsd-right");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OverlapPolicy {
    /// The bytes that arrived first stay (Windows since Vista, and a safe choice if the host is
    /// unknown).
    #[default]
    First,
    /// The bytes that arrived last stay.
    Last,
    /// The held segment stays unless the new one begins before it (FreeBSD, NetBSD, OpenBSD, macOS,
    /// IRIX, HP-UX 10).
    Bsd,
    /// The new segment stays unless it begins before the held one: the opposite of
    /// [`Bsd`](Self::Bsd).
    BsdRight,
    /// As [`Bsd`](Self::Bsd), but the new segment also stays if both begin together and it ends
    /// later (Linux 2.4 and later; compared with Linux 6.18).
    Linux,
    /// As [`Bsd`](Self::Bsd) (Windows 95 to Server 2003).
    Windows,
    /// The new segment stays if it ends after the held one, or if both end together and it does not
    /// begin later (Solaris, HP-UX 11).
    Solaris,
}

impl OverlapPolicy {
    /// All policies.
    pub const ALL: [Self; 7] = [
        Self::First,
        Self::Last,
        Self::Bsd,
        Self::BsdRight,
        Self::Linux,
        Self::Windows,
        Self::Solaris,
    ];

    /// The name that [`FromStr`] parses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Last => "last",
            Self::Bsd => "bsd",
            Self::BsdRight => "bsd-right",
            Self::Linux => "linux",
            Self::Windows => "windows",
            Self::Solaris => "solaris",
        }
    }

    /// The way hosts of this kind join IP fragments (J. Novak, "Target-Based Fragmentation
    /// Reassembly", 2005; Linux since 4.20).
    #[must_use]
    pub const fn fragments(self) -> FragmentOverlap {
        match self {
            Self::First | Self::Windows | Self::Solaris => FragmentOverlap::First,
            Self::Last => FragmentOverlap::Last,
            Self::Bsd => FragmentOverlap::Bsd,
            Self::BsdRight => FragmentOverlap::BsdRight,
            Self::Linux => FragmentOverlap::RejectPartial,
        }
    }

    /// Returns `true` if the new segment's bytes replace those of the held one in the overlap.
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

impl fmt::Display for OverlapPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for OverlapPolicy {
    type Err = OverlapPolicyError;

    fn from_str(text: &str) -> Result<Self, OverlapPolicyError> {
        Self::ALL.into_iter().find(|policy| policy.name() == text).ok_or(OverlapPolicyError)
    }
}

/// The text is not the name of an [`OverlapPolicy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a policy; one of first, last, bsd, bsd-right, linux, windows, solaris")]
pub struct OverlapPolicyError;

/// The overlap policies of receiving hosts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policies {
    /// The policy of hosts in none of the networks.
    pub(crate) default: OverlapPolicy,
    /// The longest prefix first. Of equal networks, the one set last is first.
    networks: Vec<(Network, OverlapPolicy)>,
}

impl Policies {
    pub(crate) fn set(&mut self, network: Network, policy: OverlapPolicy) {
        self.networks.retain(|(known, _)| *known != network);
        let at = self.networks.partition_point(|(known, _)| known.prefix() > network.prefix());
        self.networks.insert(at, (network, policy));
    }

    /// The policy of the receiver's network, if one was set.
    pub(crate) fn of_network(&self, receiver: IpAddr) -> Option<OverlapPolicy> {
        let (_, policy) = self.networks.iter().find(|(network, _)| network.contains(receiver))?;
        Some(*policy)
    }

    /// The policy of a receiver. `receiver` is called only if networks were set.
    #[inline]
    pub(crate) fn of(&self, receiver: impl FnOnce() -> Option<IpAddr>) -> OverlapPolicy {
        if self.networks.is_empty() {
            return self.default;
        }
        receiver().and_then(|receiver| self.of_network(receiver)).unwrap_or(self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_is_read_as_it_is_printed() {
        for policy in OverlapPolicy::ALL {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        assert_eq!("Linux".parse::<OverlapPolicy>(), Err(OverlapPolicyError));
    }

    #[test]
    fn the_longest_prefix_decides() {
        let mut policies = Policies { default: OverlapPolicy::Solaris, networks: Vec::default() };
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(policies.of(|| unreachable!()), OverlapPolicy::Solaris);
        for (network, policy) in [
            ("10.0.0.0/8", OverlapPolicy::Bsd),
            ("10.1.2.3", OverlapPolicy::Linux),
            ("10.1.0.0/16", OverlapPolicy::Last),
            ("10.1.0.0/16", OverlapPolicy::Windows),
            ("2001:db8::/32", OverlapPolicy::BsdRight),
        ] {
            policies.set(network.parse().unwrap(), policy);
        }
        for (receiver, policy) in [
            ("10.1.2.3", OverlapPolicy::Linux),
            ("10.1.2.4", OverlapPolicy::Windows),
            ("10.2.2.3", OverlapPolicy::Bsd),
            ("11.0.0.1", OverlapPolicy::Solaris),
            ("2001:db8::1", OverlapPolicy::BsdRight),
        ] {
            assert_eq!(policies.of(|| Some(address(receiver))), policy, "{receiver}");
        }
        assert_eq!(policies.of(|| None), OverlapPolicy::Solaris);
    }
}
