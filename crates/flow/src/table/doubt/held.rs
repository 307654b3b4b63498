//! One segment in doubt.

use super::OVERHEAD;
use crate::slot::{Lengths, Slot};
use crate::stream::{Payload, ahead};
use crate::table::tcp::Segment;
use crate::{Defect, FlowSide, TcpFlags};

/// A segment that the receiver may not have taken.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) side: FlowSide,
    pub(super) defect: Defect,
    pub(super) path: u8,
    /// Nanoseconds.
    pub(super) since: u64,
    pub(super) acknowledgement: u32,
    pub(super) sequence: u32,
    pub(super) flags: TcpFlags,
    pub(super) window: u16,
    pub(super) payload: Box<[u8]>,
    pub(super) payload_wire_len: u32,
    pub(super) wire_len: u32,
    pub(super) ip_len: u32,
    pub(super) timestamp: u64,
    pub(super) number: u64,
    /// The peer has sent an acknowledgement since, of nothing of it.
    pub(super) refused: bool,
    /// It is the rest of a segment of which the peer has acknowledged a part.
    pub(super) is_rest: bool,
}

impl Held {
    pub(super) const fn end(&self) -> u32 {
        self.sequence.wrapping_add(self.payload_wire_len)
    }

    pub(super) const fn lengths(&self) -> Lengths {
        Lengths { payload: self.payload_wire_len, wire: self.wire_len, ip: self.ip_len }
    }

    pub(super) const fn cost(&self) -> usize {
        OVERHEAD + self.payload.len()
    }

    /// Cuts off what lies behind a sequence number, the FIN with it, and returns it.
    pub(super) fn cut_off(&mut self, end: u32) -> Option<Self> {
        if !ahead(self.end(), end) {
            return None;
        }
        let len = end.wrapping_sub(self.sequence);
        let payload = std::mem::take(&mut self.payload);
        let (kept, rest) = payload.split_at(payload.len().min(len as usize));
        let rest = Self {
            sequence: end,
            payload: rest.into(),
            payload_wire_len: self.payload_wire_len - len,
            // They count with the first part.
            wire_len: 0,
            ip_len: 0,
            refused: false,
            is_rest: true,
            ..*self
        };
        self.payload = kept.into();
        self.payload_wire_len = len;
        self.flags = TcpFlags(self.flags.0 & !TcpFlags::FIN.0);
        Some(rest)
    }

    /// `true` if the segment belongs to the stream when no more evidence comes and no other segment
    /// brought its bytes.
    pub(super) const fn is_believed_at_last(&self) -> bool {
        match self.defect {
            Defect::Path => true,
            Defect::Window => !(self.is_rest && self.refused),
            // The capture may have missed what it acknowledges.
            Defect::Acknowledgement => !self.refused,
            _ => false,
        }
    }

    pub(super) fn segment(&self, entry: &Slot) -> Segment<'_> {
        let orientation = match self.side {
            FlowSide::Initiator => entry.initiator(),
            FlowSide::Responder => entry.initiator().reversed(),
        };
        Segment {
            orientation,
            sequence: self.sequence,
            acknowledgement: self.acknowledgement,
            flags: self.flags,
            window: self.window,
            window_scale: None,
            payload: &self.payload,
            payload_wire_len: self.payload_wire_len,
            wire_len: self.wire_len,
            ip_len: self.ip_len,
            timestamp: self.timestamp,
            number: self.number,
        }
    }

    pub(super) fn payload(&self) -> Payload<'_> {
        Payload {
            sequence: self.sequence,
            bytes: &self.payload,
            wire_len: self.payload_wire_len,
            pushed: self.flags.intersects(TcpFlags::PSH | TcpFlags::FIN),
            acknowledgement: Some((self.acknowledgement, self.window)),
            packet_len: self.wire_len,
            ip_len: self.ip_len,
            timestamp: self.timestamp,
            number: self.number,
            depends_on: 0,
        }
    }
}
