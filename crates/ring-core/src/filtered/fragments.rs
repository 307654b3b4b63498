//! Verdicts for later fragments, which have no ports: they share the verdict of the first fragment.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::{Packet, PacketMeta, Timestamp};

/// Reassembly timeout of a receiver (RFC 8200, section 4.5).
const LIFETIME: Duration = Duration::from_secs(60);
/// Maximum number of datagrams with a remembered verdict.
const MAX_DATAGRAMS: usize = 1 << 16;
/// Maximum number of fragments held until the first one of their datagram, and of their bytes.
const MAX_HELD: usize = 4096;
const MAX_HELD_BYTES: usize = 16 << 20;
/// Maximum number of extension headers before the fragment header to look through.
const MAX_EXTENSION_HEADERS: usize = 8;

/// Identifies the datagram of a fragment (RFC 791, section 3.2; RFC 8200, section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Datagram {
    V4 { source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, id: u16 },
    V6 { source: Ipv6Addr, destination: Ipv6Addr, id: u32 },
}

/// A fragment of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    pub(super) datagram: Datagram,
    /// `true` if the fragment holds the start of the datagram and so the ports.
    pub(super) is_first: bool,
}

/// Remembers verdicts, and holds later fragments that precede their first one. Both are limited in
/// number and in capture time.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    verdicts: HashMap<Datagram, (bool, Timestamp)>,
    /// Datagrams in the order in which their verdicts became known.
    known: VecDeque<(Datagram, Timestamp)>,
    /// Held fragments by datagram, and the order in which they arrived. The order also has
    /// fragments that are no longer held.
    held: HashMap<Datagram, VecDeque<Held>>,
    order: VecDeque<(Datagram, Timestamp)>,
    held_count: usize,
    held_bytes: usize,
    undecided: u64,
}

/// A copy of a held fragment.
#[derive(Debug)]
pub(super) struct Held {
    data: Box<[u8]>,
    meta: PacketMeta,
}

impl Fragment {
    /// Parses the fragment in an IP packet. `None` if the packet is not fragmented.
    pub(super) fn parse(ip: &[u8]) -> Option<Self> {
        match ip.first()? >> 4 {
            4 => Self::v4(ip.first_chunk()?),
            6 => Self::v6(ip),
            _ => None,
        }
    }

    fn v4(header: &[u8; 20]) -> Option<Self> {
        const MORE_FRAGMENTS: u16 = 0x2000;
        const OFFSET: u16 = 0x1fff;
        let field = u16::from_be_bytes([header[6], header[7]]);
        if field & (MORE_FRAGMENTS | OFFSET) == 0 {
            return None;
        }
        let address =
            |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
        let datagram = Datagram::V4 {
            source: address(12),
            destination: address(16),
            protocol: header[9],
            id: u16::from_be_bytes([header[4], header[5]]),
        };
        Some(Self { datagram, is_first: field & OFFSET == 0 })
    }

    fn v6(ip: &[u8]) -> Option<Self> {
        const HOP_BY_HOP: u8 = 0;
        const ROUTING: u8 = 43;
        const FRAGMENT: u8 = 44;
        const DESTINATION_OPTIONS: u8 = 60;
        let header: &[u8; 40] = ip.first_chunk()?;
        let (mut next, mut at) = (header[6], 40);
        for _ in 0..=MAX_EXTENSION_HEADERS {
            let extension: &[u8; 8] = ip.get(at..)?.first_chunk()?;
            match next {
                FRAGMENT => {
                    let field = u16::from_be_bytes([extension[2], extension[3]]);
                    // An atomic fragment is a whole datagram (RFC 6946).
                    if field & !0x6 == 0 {
                        return None;
                    }
                    let address = |at: usize| {
                        let mut octets = [0; 16];
                        octets.copy_from_slice(&header[at..at + 16]);
                        Ipv6Addr::from(octets)
                    };
                    let [.., a, b, c, d] = *extension;
                    let id = u32::from_be_bytes([a, b, c, d]);
                    let datagram =
                        Datagram::V6 { source: address(8), destination: address(24), id };
                    return Some(Self { datagram, is_first: field >> 3 == 0 });
                }
                HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
                    next = extension[0];
                    at += 8 * (usize::from(extension[1]) + 1);
                }
                _ => return None,
            }
        }
        None
    }
}

impl Fragments {
    /// Remembers the verdict on a first fragment. If an identification is reused, the latest
    /// verdict applies. Fragments held for the datagram are appended to `released` if it passes.
    pub(super) fn decide(
        &mut self,
        datagram: Datagram,
        passes: bool,
        now: Timestamp,
        released: &mut Vec<Held>,
    ) {
        self.expire(now);
        self.verdicts.insert(datagram, (passes, now));
        self.known.push_back((datagram, now));
        if let Some(held) = self.held.remove(&datagram) {
            self.held_count -= held.len();
            self.held_bytes -= held.iter().map(|held| held.data.len()).sum::<usize>();
            if passes {
                released.extend(held);
            }
        }
    }

    /// The verdict on a datagram. `None` if its first fragment was not seen yet.
    pub(super) fn verdict(&self, datagram: Datagram, now: Timestamp) -> Option<bool> {
        let (passes, since) = *self.verdicts.get(&datagram)?;
        (now.saturating_duration_since(since) <= LIFETIME).then_some(passes)
    }

    /// Holds a fragment until the verdict on its datagram is known.
    pub(super) fn hold(&mut self, datagram: Datagram, packet: &Packet<'_>) {
        self.expire(packet.timestamp());
        self.held_count += 1;
        self.held_bytes += packet.data().len();
        let held = Held { data: packet.data().into(), meta: *packet.meta() };
        self.held.entry(datagram).or_default().push_back(held);
        self.order.push_back((datagram, packet.timestamp()));
        while self.order.len() > MAX_HELD || self.held_bytes > MAX_HELD_BYTES {
            self.give_up();
        }
    }

    /// The number of fragments dropped because the first one of their datagram was not captured.
    pub(super) fn undecided(&self) -> u64 {
        self.undecided + self.held_count as u64
    }

    fn expire(&mut self, now: Timestamp) {
        let is_old = |since: Timestamp| now.saturating_duration_since(since) > LIFETIME;
        while let Some(&(datagram, since)) = self.known.front()
            && (is_old(since) || self.known.len() >= MAX_DATAGRAMS)
        {
            self.known.pop_front();
            // A later verdict on the same identification has its own entry.
            if self.verdicts.get(&datagram).is_some_and(|(_, at)| *at == since) {
                self.verdicts.remove(&datagram);
            }
        }
        while self.order.front().is_some_and(|(_, since)| is_old(*since)) {
            self.give_up();
        }
    }

    /// Drops the oldest held fragment, or its place in the order if it is no longer held.
    fn give_up(&mut self) {
        let Some((datagram, _)) = self.order.pop_front() else { return };
        let Entry::Occupied(mut entry) = self.held.entry(datagram) else { return };
        if let Some(held) = entry.get_mut().pop_front() {
            self.held_count -= 1;
            self.held_bytes -= held.data.len();
            self.undecided += 1;
        }
        if entry.get().is_empty() {
            entry.remove();
        }
    }
}

impl Held {
    pub(super) fn packet(&self) -> Packet<'_> {
        Packet::with_meta(&self.data, self.meta)
    }
}
