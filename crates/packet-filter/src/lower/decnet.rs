//! Lowers DECnet hosts.

use super::address::ends;
use super::{Direction, Lowering, link};
use crate::decnet::DecnetAddress;
use crate::error::CompileError;
use crate::expression::Width;
use crate::ir::Condition;

/// The flags of a routing header (DECnet Phase IV routing layer): a data packet with the short or
/// the long header. Two bytes of length, and possibly one of padding, precede them.
const SHORT: u32 = 0x02;
const LONG: u32 = 0x06;
const FORMAT: u32 = 0x07;
/// The value of the padding byte.
const PADDING: u32 = 0x81;

impl Lowering<'_> {
    pub(super) fn decnet_host(
        &mut self,
        direction: Direction,
        address: DecnetAddress,
    ) -> Result<Condition, CompileError> {
        let decnet = self.ether_type(link::DECNET)?;
        let addresses = ends(direction, |is_source| {
            // The offset of the address from the flags.
            let (short, long) = if is_source { (3, 15) } else { (1, 7) };
            [(SHORT, short), (LONG, long)]
                .into_iter()
                .fold(Condition::Always(false), |any, (format, offset)| {
                    any.or(self.decnet_header(format, offset, address))
                })
        });
        Ok(decnet.and(addresses))
    }

    /// A test that holds if a header of this format, with or without padding, contains the address.
    fn decnet_header(&mut self, format: u32, offset: u32, address: DecnetAddress) -> Condition {
        let payload = self.layout.payload;
        let plain = self.masked(payload, 2, Width::One, format, FORMAT);
        let plain = plain.and(self.equal(payload, 2 + offset, Width::Two, address.loaded()));
        let padded = self.masked(payload, 2, Width::Two, PADDING << 8 | format, 0xff00 | FORMAT);
        let padded = padded.and(self.equal(payload, 3 + offset, Width::Two, address.loaded()));
        plain.or(padded)
    }
}
