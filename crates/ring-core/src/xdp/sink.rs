//! Sockets as packet sinks.

use super::sender::XdpSender;
use super::socket::XdpSocket;
use crate::vlan::Parts;
use crate::{Error, Packet, PacketSink, SinkStatistics, Timeout};

/// Packets are copied into frames. VLAN tags that were removed on receipt are reinserted. The
/// packet's link type must be the interface's.
impl PacketSink for XdpSender {
    fn send(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        let expected = self.endpoint.link_type;
        if packet.link_type() != expected {
            return Err(Error::SinkLinkType {
                interface: self.endpoint.interface.to_string(),
                packet: packet.link_type(),
                expected,
            });
        }
        let parts = Parts::of(packet);
        let len = packet.data().len() + parts.added();
        while !self.send_pieces(len, |show| parts.for_each(show))? {
            self.wait_for_room(Timeout::Never)?;
        }
        self.tags_lost += u64::from(parts.tag_lost);
        Ok(())
    }

    /// Returns once the kernel has taken everything.
    fn flush(&mut self) -> Result<(), Error> {
        self.drain(Timeout::Never)?;
        Ok(())
    }

    /// Packets that the kernel refused are counted only as far as it reports them.
    fn statistics(&self) -> SinkStatistics {
        let counted = self.sender_statistics().unwrap_or(self.statistics);
        SinkStatistics {
            packets: counted.sent.saturating_sub(counted.invalid),
            bytes: counted.bytes,
            rejected: counted.invalid,
            tags_lost: self.tags_lost,
            ..SinkStatistics::default()
        }
    }
}

/// As the sending half. A socket that only receives returns
/// [`XdpError::WrongDirection`](crate::XdpError::WrongDirection).
impl PacketSink for XdpSocket {
    fn send(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        PacketSink::send(self.sender()?, packet)
    }

    fn flush(&mut self) -> Result<(), Error> {
        PacketSink::flush(self.sender()?)
    }

    fn statistics(&self) -> SinkStatistics {
        self.sender.as_ref().map(PacketSink::statistics).unwrap_or_default()
    }
}
