//! The reasons why a receiving host discards a packet.

use std::fmt;
use std::ops::AddAssign;

/// The reason why the receiving host discards a packet. [`Display`](fmt::Display) names it in plain
/// words.
///
/// An attacker sends such packets to show the monitoring system other bytes than the receiver gets
/// (T. Ptacek and T. Newsham, "Insertion, Evasion, and Denial of Service", 1998).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Defect {
    /// IPv4 options that contradict themselves (RFC 791, section 3.1).
    IpOptions,
    /// A source route on a packet of a connection that has none otherwise. By default hosts reject
    /// them (RFC 7126, sections 4.3 and 4.4; RFC 5095 for IPv6).
    SourceRoute,
    /// An IPv6 header chain that no host accepts: hop-by-hop options that are not first, or an
    /// unknown option whose type requires the packet to be discarded (RFC 8200, sections 4.1 and
    /// 4.2).
    ExtensionHeader,
    /// IPv6 options with padding that Linux rejects: more than 7 bytes, or bytes other than zero
    /// (RFC 4942, section 2.1.9.5).
    Padding,
    /// An IP length beyond the end of the frame.
    TooLong,
    /// An IP length of 0 on a packet without segmentation offload.
    NoLength,
    /// An IPv4 header whose checksum is wrong.
    IpChecksum,
    /// A TCP segment or UDP datagram whose checksum is wrong.
    Checksum,
    /// TCP control bits that hosts reject: no ACK after the SYN (RFC 9293, section 3.10.7.4), or
    /// SYN with RST or FIN.
    Flags,
    /// TCP options that contradict each other, sent to a host that drops such segments. Linux does
    /// if they may hide a signature.
    TcpOptions,
    /// A TCP signature (RFC 2385, RFC 5925) in a connection that uses none.
    Signature,
    /// An old time stamp (RFC 7323, section 5.3).
    Timestamp,
    /// An acknowledgement of bytes that were never sent, or were acknowledged long ago (RFC 5961,
    /// section 5.2).
    Acknowledgement,
    /// A link-layer destination, or a low time to live, that other packets of the connection do not
    /// have.
    Path,
    /// Bytes beyond the window that the receiver has announced.
    Window,
}

impl Defect {
    const ALL: [Self; 15] = [
        Self::IpOptions,
        Self::SourceRoute,
        Self::ExtensionHeader,
        Self::Padding,
        Self::TooLong,
        Self::NoLength,
        Self::IpChecksum,
        Self::Checksum,
        Self::Flags,
        Self::TcpOptions,
        Self::Signature,
        Self::Timestamp,
        Self::Acknowledgement,
        Self::Path,
        Self::Window,
    ];
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IpOptions => "malformed IPv4 options",
            Self::SourceRoute => "unexpected source route",
            Self::ExtensionHeader => "IPv6 extension header that no host accepts",
            Self::Padding => "IPv6 padding that the host refuses",
            Self::TooLong => "IP length beyond the frame",
            Self::NoLength => "IP length of zero",
            Self::IpChecksum => "wrong IPv4 header checksum",
            Self::Checksum => "wrong checksum",
            Self::Flags => "TCP flags that no connection sends",
            Self::TcpOptions => "malformed TCP options",
            Self::Signature => "unexpected TCP signature",
            Self::Timestamp => "old TCP time stamp",
            Self::Acknowledgement => "acknowledgement of bytes never sent",
            Self::Path => "unexpected link-layer destination or low TTL",
            Self::Window => "bytes beyond the window",
        })
    }
}

/// Packets that their receiver discards, counted by [`Defect`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discarded([u64; Defect::ALL.len()]);

impl Discarded {
    pub(crate) const fn add(&mut self, defect: Defect) {
        self.0[defect as usize] += 1;
    }

    /// The number of packets with this defect.
    #[must_use]
    pub const fn packets(&self, defect: Defect) -> u64 {
        self.0[defect as usize]
    }

    /// The number of packets with any defect.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Returns the defects that occurred, each with its number of packets.
    pub fn iter(&self) -> impl Iterator<Item = (Defect, u64)> + use<> {
        Defect::ALL.into_iter().zip(self.0).filter(|(_, packets)| *packets > 0)
    }
}

impl AddAssign for Discarded {
    fn add_assign(&mut self, other: Self) {
        for (packets, more) in self.0.iter_mut().zip(other.0) {
            *packets += more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_defect_has_a_counter_of_its_own() {
        let mut counts = Discarded::default();
        for (times, defect) in Defect::ALL.into_iter().enumerate() {
            assert_eq!(defect as usize, times);
            (0..=times).for_each(|_| counts.add(defect));
        }
        let expected: Vec<_> = Defect::ALL.into_iter().zip(1..).collect();
        assert_eq!(counts.iter().collect::<Vec<_>>(), expected);
        counts += counts;
        assert_eq!((counts.packets(Defect::Window), counts.total()), (30, 240));
    }
}
