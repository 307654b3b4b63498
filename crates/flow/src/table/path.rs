//! The way that packets took to the receiver.

use crate::{LinkType, Packet};

/// A few bits of the link-layer destination and the time to live, which the packets of one side have in common; 0 if the
/// frame shows neither. A packet whose bits differ took another way: the receiver may never have got it.
///
/// The first bytes of the frame are in the processor's cache already, and there is no room for more of them in a slot.
#[inline(always)]
pub(super) fn path(packet: &Packet<'_>) -> u8 {
    const MIXER: u64 = 0x9e37_79b9_7f4a_7c15;
    let Some(head) = packet.data.first_chunk::<24>() else { return 0 };
    if packet.link_type != LinkType::ETHERNET {
        return 0;
    }
    let time_to_live = match (head[12], head[13]) {
        (0x08, 0x00) => head[22],
        (0x86, 0xdd) => head[21],
        _ => 0,
    };
    let [a, b, c, d, e, f, ..] = *head;
    let whole = u64::from_le_bytes([time_to_live, 0, a, b, c, d, e, f]);
    ((whole.wrapping_mul(MIXER) >> 60) as u8).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    fn of(frame: &[u8], link_type: LinkType) -> u8 {
        path(&Packet::new(frame, Timestamp::default(), link_type))
    }

    #[test]
    fn other_destinations_and_times_to_live_differ_as_a_rule() {
        let frame = |mac: u8, ttl: u8| {
            let mut frame = [0; 60];
            (frame[5], frame[12], frame[22]) = (mac, 8, ttl);
            of(&frame, LinkType::ETHERNET)
        };
        let differ = |other: &dyn Fn(u8) -> u8| {
            (0..=254).filter(|value| other(*value) != frame(255, 255)).count()
        };
        assert!(differ(&|mac| frame(mac, 255)) > 220);
        assert!(differ(&|ttl| frame(255, ttl)) > 220);
        assert!((0..64).filter(|ttl| frame(1, *ttl) != frame(1, 64)).count() > 55);
    }

    #[test]
    fn frames_without_either_have_none() {
        assert_eq!(of(&[0x45; 60], LinkType::RAW), 0);
        assert_eq!(of(&[0x45; 20], LinkType::ETHERNET), 0);
    }
}
