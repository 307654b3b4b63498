//! Lowers tests of 802.2 frames.

use super::{Framing, Lowering, test};
use crate::error::CompileError;
use crate::expression::{LlcType, Width};
use crate::ir::{Branch, Condition};

/// The first two bytes of a raw NetWare frame, in place of an 802.2 header.
const RAW_NETWARE: u32 = 0xffff;

impl Lowering<'_> {
    pub(super) fn llc(&mut self, kind: Option<LlcType>) -> Result<Condition, CompileError> {
        if !matches!(self.layout.framing, Framing::Ethernet | Framing::Geneve { .. }) {
            return Err(self.cannot_carry("llc"));
        }
        let has_header = self
            .is_802_3()
            .and(self.equal(self.layout.payload, 0, Width::Two, RAW_NETWARE).negated());
        let Some(kind) = kind else { return Ok(has_header) };
        let (mask, control) = kind.control();
        let is_kind = if control == 0 {
            let value = self.load(self.layout.payload, 2, Width::One);
            test(value, Branch::AnyBit, mask).negated()
        } else {
            self.masked(self.layout.payload, 2, Width::One, control, mask)
        };
        Ok(has_header.and(is_kind))
    }
}
