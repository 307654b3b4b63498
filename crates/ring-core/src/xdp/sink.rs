//! Sockets as packet sinks.

use packet::TaggedBytes;

use super::sender::Sender;
use super::socket::Socket;
use crate::{Packet, PacketSink, SinkStatistics, Timeout};

/// Packets are copied into frames. VLAN tags that were removed on receipt are reinserted. The
/// packet's link type must be the interface's.
impl PacketSink for Sender {
    type Error = crate::Error;

    fn send(&mut self, packet: &Packet<'_>) -> Result<(), crate::Error> {
        let expected = self.endpoint.link_type;
        if packet.link_type() != expected {
            return Err(crate::Error::SinkLinkType {
                interface: self.endpoint.interface.to_string(),
                packet: packet.link_type(),
                expected,
            });
        }
        let bytes = TaggedBytes::of(packet);
        let len = packet.data().len() + bytes.added();
        // A sink waits for room instead of dropping, as the trait says: a file that is replayed
        // must arrive whole.
        while !self.send_pieces(len, |show| bytes.for_each(show))? {
            self.wait_for_room(Timeout::Never)?;
        }
        self.tags_lost += u64::from(bytes.is_tag_lost());
        Ok(())
    }

    /// Returns once the kernel has taken everything.
    fn flush(&mut self) -> Result<(), crate::Error> {
        self.drain(Timeout::Never)?;
        Ok(())
    }

    /// Packets that the kernel refused are counted only as far as it reports them.
    fn statistics(&self) -> SinkStatistics {
        let counted = self.sender_statistics().unwrap_or(self.statistics);
        let mut totals = SinkStatistics::default();
        totals.packets = counted.sent.saturating_sub(counted.invalid);
        totals.bytes = counted.bytes;
        totals.rejected = counted.invalid;
        totals.tags_lost = self.tags_lost;
        totals
    }
}

/// As the sending half. A socket that only receives returns
/// [`xdp::Error::WrongDirection`](super::Error::WrongDirection).
impl PacketSink for Socket {
    type Error = crate::Error;

    fn send(&mut self, packet: &Packet<'_>) -> Result<(), crate::Error> {
        PacketSink::send(self.sender()?, packet)
    }

    fn flush(&mut self) -> Result<(), crate::Error> {
        PacketSink::flush(self.sender()?)
    }

    fn statistics(&self) -> SinkStatistics {
        self.sender.as_ref().map(PacketSink::statistics).unwrap_or_default()
    }
}
