//! Lowers tests of fields that only 802.11 frames have.

use super::{Framing, Lowering, test};
use crate::error::CompileError;
use crate::expression::{Width, WirelessAddress, wireless};
use crate::ir::{Branch, Condition};
use packet::MacAddress;

/// The bit of the first byte that data frames have, and frames of the reserved type.
const DATA: u32 = 0x08;

impl Lowering<'_> {
    /// A test of an address field. As in libpcap, `ra` and `ta` hold for data frames only: what it
    /// takes for the mark of management frames is the absence of [`DATA`], which control frames
    /// lack as well.
    pub(super) fn wireless_host(
        &mut self,
        field: WirelessAddress,
        address: MacAddress,
    ) -> Result<Condition, CompileError> {
        self.check_wireless(field.primitive())?;
        let header = self.layout.header;
        let control = self.load(header, 0, Width::One);
        let is_data = test(control, Branch::AnyBit, DATA);
        Ok(match field {
            WirelessAddress::First => self.mac_at(4, address),
            WirelessAddress::Second => self.has_second_address().and(self.mac_at(10, address)),
            WirelessAddress::Third => {
                let is_control = self.is_control_frame();
                is_control.negated().and(self.mac_at(16, address))
            }
            WirelessAddress::Fourth => {
                self.masked(header, 1, Width::One, 3, 3).and(self.mac_at(24, address))
            }
            WirelessAddress::Receiver => is_data.and(self.mac_at(4, address)),
            WirelessAddress::Transmitter => {
                let has_field = self.has_second_address();
                is_data.and(has_field).and(self.mac_at(10, address))
            }
        })
    }

    /// A test that holds unless the frame only clears to send or acknowledges.
    fn has_second_address(&mut self) -> Condition {
        const CTS: u32 = 0xc0;
        const ACK: u32 = 0xd0;
        let (header, mask) = (self.layout.header, wireless::SUBTYPE_MASK.into());
        let is_control = self.is_control_frame();
        let is_cts = self.masked(header, 0, Width::One, CTS, mask);
        let is_ack = self.masked(header, 0, Width::One, ACK, mask);
        is_control.negated().or(is_cts.negated().and(is_ack.negated()))
    }

    fn is_control_frame(&mut self) -> Condition {
        const CONTROL: u32 = 0x04;
        self.masked(self.layout.header, 0, Width::One, CONTROL, wireless::TYPE_MASK.into())
    }

    pub(super) fn wireless_type(
        &mut self,
        kind: u8,
        subtype: Option<u8>,
    ) -> Result<Condition, CompileError> {
        self.check_wireless("type")?;
        let mask = wireless::TYPE_MASK | subtype.map_or(0, |_| wireless::SUBTYPE_MASK);
        let bits = kind | subtype.unwrap_or(0);
        Ok(self.masked(self.layout.header, 0, Width::One, bits.into(), mask.into()))
    }

    pub(super) fn wireless_direction(&mut self, bits: u8) -> Result<Condition, CompileError> {
        self.check_wireless("dir")?;
        Ok(self.masked(self.layout.header, 1, Width::One, bits.into(), 3))
    }

    fn check_wireless(&self, primitive: &'static str) -> Result<(), CompileError> {
        match self.layout.framing {
            Framing::Wireless { .. } => Ok(()),
            _ => Err(self.cannot_carry(primitive)),
        }
    }

    /// A test that holds if the sender's or the receiver's address of an 802.11 frame passes
    /// `found`, given its offset (IEEE 802.11, sections 9.2.4.1.4 and 9.3.2.1). Control frames have
    /// neither address.
    pub(super) fn wireless_end(
        &mut self,
        is_source: bool,
        mut found: impl FnMut(&mut Self, u32) -> Condition,
    ) -> Condition {
        let header = self.layout.header;
        let control = self.load(header, 0, Width::One);
        let flags = self.load(header, 1, Width::One);
        let [to_system, from_system] = [1, 2].map(|bit| test(flags, Branch::AnyBit, bit));
        let [control_frame, data] = [4, 8].map(|bit| test(control, Branch::AnyBit, bit));
        let among_data = if is_source {
            let to_and_from = to_system.clone().and(found(self, 24));
            let from = to_system.negated().and(found(self, 16)).or(to_and_from);
            from_system.clone().negated().and(found(self, 10)).or(from_system.and(from))
        } else {
            let to = to_system.clone().and(found(self, 16));
            to_system.negated().and(found(self, 4)).or(to)
        };
        let management = data.clone().negated();
        let of_management = management.and(found(self, if is_source { 10 } else { 4 }));
        control_frame.negated().and(of_management.or(data.and(among_data)))
    }
}
