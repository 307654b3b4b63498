//! Lowers the tests of encapsulations, which move the offsets for everything after them.

use super::{Framing, Layout, Lowering, Offset, Target, VLAN_TAG, VLAN_TAG_PRESENT, link, test};
use crate::error::CompileError;
use crate::expression::{BinaryOperator, Direction, Transport, Width};
use crate::ir::{Branch, Condition};

/// IANA "Service Name and Transport Protocol Port Number Registry".
const GENEVE_PORT: u16 = 6081;

/// MPLS unicast over PPP (RFC 3032, section 4.3).
const PPP_MPLS: u32 = 0x0281;

impl Lowering<'_> {
    pub(super) fn vlan(&mut self, identifier: Option<u16>) -> Result<Condition, CompileError> {
        let identifier = identifier.map(u32::from);
        limit(identifier, "a VLAN identifier", 0xfff)?;
        if self.layout.labels > 0 {
            return Err(CompileError::Encapsulated { primitive: "vlan", inside: "MPLS" });
        }
        // In 802.11 the tag is behind the 802.2 header with SNAP, as an EtherType is.
        let carries = matches!(
            self.layout.framing,
            Framing::Ethernet | Framing::Geneve { .. } | Framing::Wireless { .. }
        );
        if !carries {
            return Err(self.cannot_carry("vlan"));
        }
        let mut tagged = Condition::Always(false);
        for number in link::VLAN {
            tagged = tagged.or(self.ether_type(number)?);
        }
        if let Some(identifier) = identifier {
            tagged = tagged.and(self.masked(self.layout.payload, 0, Width::Two, identifier, 0xfff));
        }
        let stripped = self.options.target == Target::Socket
            && self.layout.outermost
            && self.layout.vlan_tags == 0;
        let condition = if stripped { self.stripped_vlan(identifier, tagged) } else { tagged };
        if !stripped {
            self.layout.type_field = self.layout.type_field.plus(4);
            self.layout.payload = self.layout.payload.plus(4);
        }
        self.layout.vlan_tags += 1;
        Ok(condition)
    }

    /// The outermost VLAN tag in the packet's metadata, to which the kernel moves it. Some old
    /// drivers leave it in the frame, so that is tested as well.
    fn stripped_vlan(&mut self, identifier: Option<u32>, tagged: Condition) -> Condition {
        use BinaryOperator::{And, ShiftLeft, Xor};
        let present = self.values.ancillary(VLAN_TAG_PRESENT);
        let is_present = test(present, Branch::Equal, 1);
        let condition = match identifier {
            None => is_present.or(tagged),
            Some(identifier) => {
                let tag = self.values.ancillary(VLAN_TAG);
                let mask = self.values.constant(0xfff);
                let tag = self.values.binary(And, tag, mask);
                let matches = is_present.clone().and(test(tag, Branch::Equal, identifier));
                matches.or(is_present.negated().and(tagged))
            }
        };
        let (one, two) = (self.values.constant(1), self.values.constant(2));
        let absent = self.values.binary(Xor, present, one);
        let index = Some(self.values.binary(ShiftLeft, absent, two));
        self.layout.type_field = Offset { index, ..self.layout.type_field };
        self.layout.payload = Offset { index, ..self.layout.payload };
        condition
    }

    pub(super) fn mpls(&mut self, label: Option<u32>) -> Result<Condition, CompileError> {
        limit(label, "an MPLS label", 0xf_ffff)?;
        let mut condition = if self.layout.labels > 0 {
            let before = self.layout.payload.plus(self.layout.labels - 4);
            self.masked(before, 2, Width::One, 0, 1)
        } else {
            match self.layout.framing {
                Framing::Ethernet | Framing::EtherType | Framing::Geneve { .. } => {
                    self.ether_type(link::MPLS)?
                }
                Framing::Ppp => self.ether_type(PPP_MPLS)?,
                _ => return Err(self.cannot_carry("mpls")),
            }
        };
        if let Some(label) = label {
            let network = self.layout.network();
            condition =
                condition.and(self.masked(network, 0, Width::Four, label << 12, 0xffff_f000));
        }
        self.layout.labels = self.layout.labels.saturating_add(4);
        Ok(condition)
    }

    pub(super) fn pppoe(&mut self, session: Option<u16>) -> Result<Condition, CompileError> {
        let mut condition = self.ether_type(link::PPPOE_SESSION)?;
        if let Some(session) = session {
            condition = condition.and(self.masked(
                self.layout.payload,
                0,
                Width::Four,
                session.into(),
                0xffff,
            ));
        }
        // Version, code, session and length (RFC 2516, section 4), then the protocol of PPP.
        let header = self.layout.network().plus(6);
        self.layout = Layout {
            framing: Framing::Ppp,
            header,
            type_field: header,
            payload: header.plus(2),
            labels: 0,
            vlan_tags: 0,
            outermost: false,
        };
        Ok(condition)
    }

    pub(super) fn geneve(&mut self, identifier: Option<u32>) -> Result<Condition, CompileError> {
        use BinaryOperator::{Add, And, Multiply, ShiftRight, Subtract};
        limit(identifier, "a Geneve network", 0xff_ffff)?;
        let network = self.layout.network();
        let ports =
            self.ports(Some(Transport::Udp), Direction::Destination, GENEVE_PORT, GENEVE_PORT)?;

        // The length of the IP header: 40 bytes if bit 5 of the first byte, which distinguishes
        // version 6 from 4, is set; otherwise that of IPv4.
        let first = self.load(network, 0, Width::One);
        let [one, four, five, fifteen, forty] =
            [1, 4, 5, 15, 40].map(|number| self.values.constant(number));
        let is_ip6 = self.values.binary(ShiftRight, first, five);
        let is_ip6 = self.values.binary(And, is_ip6, one);
        let length = self.values.binary(And, first, fifteen);
        let length = self.values.binary(Multiply, length, four);
        let difference = self.values.binary(Subtract, forty, length);
        let difference = self.values.binary(Multiply, difference, is_ip6);
        let length = self.values.binary(Add, difference, length);
        let index = self.sum(network.index, length);
        let geneve = Offset { index: Some(index), constant: network.constant.wrapping_add(8) };

        let version = self.masked(geneve, 0, Width::One, 0, 0xc0);
        let mut condition = ports.and(version);
        if let Some(identifier) = identifier {
            condition =
                condition.and(self.masked(geneve, 4, Width::Four, identifier << 8, 0xffff_ff00));
        }

        // RFC 8926, section 3.4: the length of the options in words, then the payload type.
        let options = self.load(geneve, 0, Width::One);
        let mask = self.values.constant(0x3f);
        let options = self.values.binary(And, options, mask);
        let options = self.values.binary(Multiply, options, four);
        let inner = Offset {
            index: Some(self.sum(geneve.index, options)),
            constant: geneve.constant.wrapping_add(8),
        };
        let carried = self.load(geneve, 2, Width::Two);
        let ethernet = self.is_equal(carried, link::TRANSPARENT_ETHERNET);

        // The type is in the inner Ethernet header if there is one, otherwise in the Geneve header.
        let [eighteen, fourteen] = [18, 14].map(|number| self.values.constant(number));
        let ahead = self.values.binary(Add, options, eighteen);
        let ahead = self.values.binary(Multiply, ahead, ethernet);
        let type_field = Offset {
            index: Some(self.sum(geneve.index, ahead)),
            constant: geneve.constant.wrapping_add(2),
        };
        let ahead = self.values.binary(Multiply, ethernet, fourteen);
        let payload = Offset { index: Some(self.sum(inner.index, ahead)), ..inner };
        self.layout = Layout {
            framing: Framing::Geneve { ethernet },
            header: inner,
            type_field,
            payload,
            labels: 0,
            vlan_tags: 0,
            outermost: false,
        };
        Ok(condition)
    }

    fn sum(
        &mut self,
        index: Option<crate::ir::ValueId>,
        more: crate::ir::ValueId,
    ) -> crate::ir::ValueId {
        index.map_or(more, |index| self.values.binary(BinaryOperator::Add, index, more))
    }

    pub(super) fn cannot_carry(&self, primitive: &'static str) -> CompileError {
        if self.layout.outermost {
            CompileError::LinkType { primitive, link_type: self.link_type.into() }
        } else {
            CompileError::Encapsulated { primitive, inside: "PPP" }
        }
    }
}

fn limit(number: Option<u32>, what: &'static str, maximum: u32) -> Result<(), CompileError> {
    match number {
        Some(number) if number > maximum => Err(CompileError::TooLarge { number, what, maximum }),
        _ => Ok(()),
    }
}
