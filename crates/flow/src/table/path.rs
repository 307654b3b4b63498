//! The way that packets took to the receiver.

use crate::headers::LOW_TIME_TO_LIVE;
use crate::{LinkType, Packet};

/// A few bits of the link-layer destination, and whether the time to live is low, which the packets
/// of one side have in common; 0 if the frame shows neither. A packet whose bits differ went to
/// another host or router, or did not get as far as the others: the receiver may never have got it.
///
/// Other differences in the time to live are no sign: on load-balanced routes it varies by a hop
/// from packet to packet.
pub(super) fn path(packet: &Packet<'_>) -> u8 {
    let Some(head) = packet.data().first_chunk::<24>() else { return 0 };
    if packet.link_type() != LinkType::ETHERNET {
        return 0;
    }
    let time_to_live = match (head[12], head[13]) {
        (0x08, 0x00) => head[22],
        (0x86, 0xdd) => head[21],
        _ => u8::MAX,
    };
    tag(packet.data(), u32::from(time_to_live < LOW_TIME_TO_LIVE))
}

/// The same for an Ethernet frame whose time to live is not low.
#[inline(always)]
pub(super) fn common_path<const LEN: usize>(frame: &[u8; LEN]) -> u8 {
    tag(frame, 0)
}

/// The first two bytes of the address tell manufacturers apart, not hosts.
#[inline(always)]
fn tag(frame: &[u8], low: u32) -> u8 {
    const MIXER: u32 = 0x9e37_79b9;
    let Some(&[_, _, a, b, c, d]) = frame.first_chunk() else { return 0 };
    let mixed = (u32::from_le_bytes([a, b, c, d]) ^ low).wrapping_mul(MIXER);
    (mixed >> 28) as u8 | 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    fn of(frame: &[u8], link_type: LinkType) -> u8 {
        path(&Packet::new(frame, Timestamp::default(), link_type))
    }

    #[test]
    fn other_destinations_differ_as_a_rule() {
        let frame = |mac: u8| {
            let mut frame = [0; 60];
            frame[5] = mac;
            of(&frame, LinkType::ETHERNET)
        };
        assert!((0..=254).filter(|mac| frame(*mac) != frame(255)).count() > 200);
    }

    #[test]
    fn a_low_time_to_live_differs_from_all_others() {
        let frame = |time_to_live: u8| {
            let mut frame = [0; 60];
            (frame[5], frame[12], frame[22]) = (7, 8, time_to_live);
            of(&frame, LinkType::ETHERNET)
        };
        assert_ne!(frame(1), frame(64));
        assert_eq!((frame(63), frame(5)), (frame(64), frame(255)));
    }

    #[test]
    fn frames_without_either_have_none() {
        assert_eq!(of(&[0x45; 60], LinkType::RAW), 0);
        assert_eq!(of(&[0x45; 20], LinkType::ETHERNET), 0);
    }
}
