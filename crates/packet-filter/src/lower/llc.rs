//! Lowers tests of 802.2 frames.

use super::link::is_data_frame;
use super::{Framing, Lowering, test};
use crate::error::CompileError;
use crate::expression::{LlcType, Width};
use crate::ir::{Branch, Condition};
use crate::link::Link;

/// The first two bytes of a raw NetWare frame, in place of an 802.2 header.
const RAW_NETWARE: u32 = 0xffff;

impl Lowering<'_> {
    pub(super) fn llc(&mut self, kind: Option<LlcType>) -> Result<Condition, CompileError> {
        let has_header = match (self.layout.framing, self.link_type) {
            (Framing::Ethernet | Framing::Geneve { .. }, _) => self
                .is_802_3()
                .and(self.equal(self.layout.payload, 0, Width::Two, RAW_NETWARE).negated()),
            (Framing::SunAtm, _) => self.carries_llc(),
            (Framing::Wireless { control }, _) => is_data_frame(control),
            // libpcap leaves classical IP over ATM and Fibre Channel out.
            (Framing::Llc, Link::Fddi | Link::TokenRing | Link::AtmRfc1483) => {
                Condition::Always(true)
            }
            _ => return Err(self.cannot_carry("llc")),
        };
        let Some(kind) = kind else { return Ok(has_header) };
        let llc = self.layout.llc();
        let (mask, control) = kind.control();
        let is_kind = if control == 0 {
            let value = self.load(llc, 2, Width::One);
            test(value, Branch::AnyBit, mask).negated()
        } else {
            self.masked(llc, 2, Width::One, control, mask)
        };
        Ok(has_header.and(is_kind))
    }
}
