//! Conversations that are silent.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;

use conversation::FlowNumber;
use flow::{Endpoint, Scope, Timestamp};

use super::view::{Rest, Talk};

/// A silent conversation in 40 bytes, which is a sixth of its views. There may be a million.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) id: FlowNumber,
    number: NonZeroU32,
    /// Addresses and ports of the initiator and the responder.
    addresses: [Ipv4Addr; 2],
    ports: [u16; 2],
    day: i32,
    now: Timestamp,
}

const _: () = assert!(size_of::<Idle>() == 40);

impl Idle {
    /// `None` for addresses of IPv6 and in VLANs and tunnels, for which there is no space.
    pub(super) fn new(id: FlowNumber, talk: &Talk, rest: Rest) -> Option<Self> {
        let Talk { number, initiator, responder, scope, joined, .. } = *talk;
        let (IpAddr::V4(from), IpAddr::V4(to)) = (initiator.address, responder.address) else {
            return None;
        };
        if scope != Scope::NONE || joined.is_some() {
            return None;
        }
        let number = NonZeroU32::new(u32::try_from(number).ok()?)?;
        let (addresses, ports) = ([from, to], [initiator.port, responder.port]);
        Some(Self { id, number, addresses, ports, day: rest.day, now: rest.now })
    }

    /// The conversation again. The time at which it began is no longer known.
    pub(super) fn wake(&self) -> (Talk, Rest) {
        let Self { number, addresses, ports, day, now, .. } = *self;
        let endpoint =
            |side: usize| Endpoint { address: addresses[side].into(), port: ports[side] };
        let talk = Talk {
            number: number.get().into(),
            started: now,
            initiator: endpoint(0),
            responder: endpoint(1),
            scope: Scope::NONE,
            joined: None,
        };
        (talk, Rest { now, day })
    }
}
