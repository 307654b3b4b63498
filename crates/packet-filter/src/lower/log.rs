//! Lowers tests of the header of a packet filter log.

use super::{Framing, Lowering};
use crate::error::CompileError;
use crate::expression::Width;
use crate::ir::Condition;

/// Offsets of the fields for names (pflog(4)).
pub(super) const LOG_INTERFACE: u32 = 4;
pub(super) const LOG_RULESET: u32 = 20;

impl Lowering<'_> {
    /// A test that holds if the field at an offset begins with this text. As in libpcap, it may be
    /// longer: `ifname em1` holds for `em12` too. The end is compared first.
    pub(super) fn log_text(
        &mut self,
        primitive: &'static str,
        field: u32,
        text: &str,
    ) -> Result<Condition, CompileError> {
        self.check_log(primitive)?;
        let (mut rest, mut whole) = (text.as_bytes(), Condition::Always(true));
        let header = self.layout.header;
        while !rest.is_empty() {
            let (size, width) = match rest.len() {
                4.. => (4, Width::Four),
                2..=3 => (2, Width::Two),
                _ => (1, Width::One),
            };
            let (before, bytes) = rest.split_at(rest.len() - size);
            let number = bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
            let offset = field + before.len() as u32;
            whole = whole.and(self.equal(header, offset, width, number));
            rest = before;
        }
        Ok(whole)
    }

    /// A test that holds if the field at an offset is this number.
    pub(super) fn log_number(
        &mut self,
        primitive: &'static str,
        offset: u32,
        width: Width,
        number: u32,
    ) -> Result<Condition, CompileError> {
        self.check_log(primitive)?;
        Ok(self.equal(self.layout.header, offset, width, number))
    }

    fn check_log(&self, primitive: &'static str) -> Result<(), CompileError> {
        match self.layout.framing {
            Framing::Pflog => Ok(()),
            _ => Err(self.cannot_carry(primitive)),
        }
    }
}
