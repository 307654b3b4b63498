//! Segments in quarantine that turn out to be of another connection.

use crate::quarantine::Parked;
use crate::table::tcp::Segment;
use crate::{Orientation, TcpFlags};

impl Parked {
    /// The segment again, in a flow in which it has this orientation.
    pub(super) fn segment(&self, orientation: Orientation) -> Segment<'_> {
        let mut flags = TcpFlags::default();
        for (set, flag) in [
            (self.acknowledgement.is_some(), TcpFlags::ACK),
            (self.pushed && !self.fin, TcpFlags::PSH),
            (self.fin, TcpFlags::FIN),
        ] {
            if set {
                flags = flags | flag;
            }
        }
        let (acknowledgement, window) = self.acknowledgement.unwrap_or_default();
        Segment {
            orientation,
            sequence: self.sequence,
            acknowledgement,
            flags,
            window,
            window_scale: None,
            payload: &self.bytes,
            payload_wire_len: self.wire_len,
            wire_len: self.packet_len,
            ip_len: self.ip_len,
            timestamp: self.timestamp,
            number: self.number,
        }
    }
}
