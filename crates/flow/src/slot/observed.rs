//! Header fields of which a flow record tells.

use crate::{LinkType, MacAddress, Packet, TcpFlags, protocol};

/// Fields of the first packet of one side, and the TCP flags of all its packets off the fast path.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Observed {
    flags: TcpFlags,
    known: Known,
    traffic_class: u8,
    hop_limit: u8,
    mac: [u8; 6],
    /// Type and code.
    icmp: [u8; 2],
}

/// One bit for each field that is known.
#[derive(Clone, Copy, Debug, Default)]
struct Known(u8);

impl Known {
    const IP: u8 = 1;
    const MAC: u8 = 2;
    const ICMP: u8 = 4;

    fn has(self, bit: u8) -> Option<()> {
        (self.0 & bit != 0).then_some(())
    }
}

impl Observed {
    /// The flags that the history does not tell.
    const FLAGS: u8 = TcpFlags::PSH.0 | TcpFlags::URG.0 | TcpFlags::ECE.0 | TcpFlags::CWR.0;

    /// Returns `true` if a segment has flags to [note](Self::note).
    #[inline(always)]
    pub(crate) const fn are_notable(flags: TcpFlags) -> bool {
        flags.0 & Self::FLAGS != 0
    }

    pub(crate) const fn note(&mut self, flags: TcpFlags) {
        self.flags.0 |= flags.0 & Self::FLAGS;
    }

    /// Takes the fields of the side's first packet.
    pub(crate) fn take(
        &mut self,
        packet: &Packet<'_>,
        number: u8,
        network_offset: usize,
        transport_offset: usize,
    ) {
        let data = packet.data();
        let header = data.get(network_offset..).and_then(|header| header.first_chunk::<9>());
        let fields = header.and_then(|header| match header[0] >> 4 {
            4 => Some((header[1], header[8])),
            6 => Some((header[0] << 4 | header[1] >> 4, header[7])),
            _ => None,
        });
        if let Some((traffic_class, hop_limit)) = fields {
            (self.traffic_class, self.hop_limit) = (traffic_class, hop_limit);
            self.known.0 |= Known::IP;
        }
        if packet.link_type() == LinkType::ETHERNET
            && let Some(source) = data.get(6..).and_then(|source| source.first_chunk())
        {
            self.mac = *source;
            self.known.0 |= Known::MAC;
        }
        if matches!(number, protocol::ICMP | protocol::ICMPV6)
            && let Some(message) = data.get(transport_offset..).and_then(|it| it.first_chunk())
        {
            self.icmp = *message;
            self.known.0 |= Known::ICMP;
        }
    }

    pub(crate) const fn flags(&self) -> TcpFlags {
        self.flags
    }

    pub(crate) fn traffic_class(&self) -> Option<u8> {
        self.known.has(Known::IP).map(|()| self.traffic_class)
    }

    pub(crate) fn hop_limit(&self) -> Option<u8> {
        self.known.has(Known::IP).map(|()| self.hop_limit)
    }

    pub(crate) fn mac(&self) -> Option<MacAddress> {
        self.known.has(Known::MAC).map(|()| MacAddress(self.mac))
    }

    /// Type and code of an ICMP message.
    pub(crate) fn icmp(&self) -> Option<[u8; 2]> {
        self.known.has(Known::ICMP).map(|()| self.icmp)
    }
}
