//! Mutations of a capture: packets that are lost, reordered, repeated, truncated or forged, and
//! clocks that jump.

use flow::{Headers, LinkType, Packet, Parsed, TcpFlags, Timestamp, VlanTag, protocol};
use traffic::Random;

/// A packet that can be mutated.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) data: Vec<u8>,
    pub(crate) wire_len: u32,
    pub(crate) time: u64,
    pub(crate) link_type: LinkType,
    pub(crate) vlan: Option<VlanTag>,
}

/// A direction: addresses and ports of sender and receiver.
type Sender = (std::net::IpAddr, u16, std::net::IpAddr, u16);

/// The distances by which sequence numbers jump, and at which they are picked up again.
const JUMPS: [u32; 12] = [
    1,
    700,
    65_535,
    100_000,
    1 << 20,
    3_000_000,
    1 << 24,
    50_000_000,
    1 << 30,
    2_500_000_000,
    u32::MAX - 5_000,
    u32::MAX,
];
/// The distances by which times jump, in milliseconds.
const WAITS: [u64; 6] = [1, 150, 2_500, 25_000, 200_000, 4_000_000];
/// Control bits of forged packets.
const FORGED: [u8; 10] = [0x01, 0x02, 0x04, 0x11, 0x12, 0x14, 0x18, 0x31, 0x03, 0x00];

impl Frame {
    pub(crate) fn packet(&self) -> Packet<'_> {
        let time = Timestamp::from_nanos(self.time);
        let mut packet = Packet::new(&self.data, time, self.link_type);
        let meta = packet.meta_mut();
        (meta.wire_len, meta.vlan) = (self.wire_len, self.vlan);
        packet
    }

    /// The headers of a TCP segment.
    pub(crate) fn tcp(&self) -> Option<Headers> {
        match flow::parse(&self.packet()) {
            Ok(Parsed::Transport(headers)) if headers.protocol == protocol::TCP => Some(headers),
            _ => None,
        }
    }

    fn sender(&self) -> Option<Sender> {
        let h = self.tcp()?;
        Some((h.source, h.source_port, h.destination, h.destination_port))
    }

    /// Adds to the four bytes at an offset of the TCP header: 4 for the sequence number, 8 for the
    /// acknowledgement.
    fn add(&mut self, position: usize, amount: u32) {
        let Some(headers) = self.tcp() else { return };
        let at = headers.transport_offset as usize + position;
        if let Some(field) = self.data.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
            *field = u32::from_be_bytes(*field).wrapping_add(amount).to_be_bytes();
        }
    }

    fn set_flags(&mut self, flags: TcpFlags) {
        let Some(headers) = self.tcp() else { return };
        if let Some(field) = self.data.get_mut(headers.transport_offset as usize + 13) {
            *field = flags.0;
        }
    }

    fn cut(&mut self, len: usize) {
        self.data.truncate(len);
    }
}

/// Applies one random mutation to a capture.
pub(crate) fn mutate(frames: &mut Vec<Frame>, random: &mut Random) {
    if frames.is_empty() {
        return;
    }
    let any = |random: &mut Random, len: usize| random.below(len as u64) as usize;
    let at = any(random, frames.len());
    let burst = (at + random.logarithmic(64) as usize).min(frames.len());
    let other = (at + random.logarithmic(32) as usize).min(frames.len() - 1);
    let sender = frames[at].sender();
    let is_sent = move |frame: &Frame| sender.is_some() && frame.sender() == sender;
    let peer = sender.map(|(source, from, destination, to)| (destination, to, source, from));
    match random.below(16) {
        0 => drop(frames.remove(at)),
        1 => drop(frames.drain(at..burst)),
        2 => frames.swap(at, other),
        3 => {
            let copy = frames[at].clone();
            frames.insert(other, copy);
        }
        4 => {
            // One direction arrives later than the other.
            let (late, mut rest): (Vec<_>, Vec<_>) =
                frames[at..burst].iter().cloned().partition(is_sent);
            rest.extend(late);
            frames.splice(at..burst, rest);
        }
        5 => {
            let (first, second): (Vec<_>, Vec<_>) = frames.drain(..).partition(is_sent);
            frames.extend(first);
            frames.extend(second);
        }
        6 => {
            let len = frames[at].data.len();
            let kept = len - any(random, len.min(200) + 1);
            frames[at].cut(kept);
        }
        7 => {
            let len = 40 + any(random, 300);
            frames[at..burst].iter_mut().for_each(|frame| frame.cut(len));
        }
        8 => {
            // A sender continues at another sequence number, and its receiver may acknowledge it.
            let jump = JUMPS[any(random, JUMPS.len())];
            let is_known = random.one_of(2);
            for frame in &mut frames[at..] {
                if is_sent(frame) {
                    frame.add(4, jump);
                } else if is_known && peer.is_some() && frame.sender() == peer {
                    frame.add(8, jump);
                }
            }
        }
        9 => {
            let jump = JUMPS[any(random, JUMPS.len())];
            frames[at].add([4, 8][any(random, 2)], jump);
        }
        10 | 11 => {
            let mut forged = frames[at].clone();
            forged.set_flags(TcpFlags(FORGED[any(random, FORGED.len())]));
            if random.one_of(2) {
                forged.add(4, JUMPS[any(random, JUMPS.len())]);
            }
            frames.insert(other, forged);
        }
        12 => {
            // Different bytes at the same position.
            let mut forged = frames[at].clone();
            if let Some(headers) = forged.tcp() {
                let from = headers.payload_offset as usize;
                let to = from + headers.payload_len as usize;
                forged.data[from..to].iter_mut().step_by(3).for_each(|byte| *byte ^= 0x5a);
                if random.one_of(2) {
                    forged.add(4, random.below(40) as u32);
                }
            }
            frames.insert(other, forged);
        }
        13 => {
            let wait = WAITS[any(random, WAITS.len())] * 1_000_000;
            frames[at..].iter_mut().for_each(|frame| frame.time = frame.time.saturating_add(wait));
        }
        14 => {
            let wait = WAITS[any(random, WAITS.len())] * 1_000_000;
            frames[at..burst]
                .iter_mut()
                .for_each(|frame| frame.time = frame.time.saturating_sub(wait));
        }
        _ => {
            // A later copy with shifted numbers: reused ports, or the other side of a middlebox.
            let shift = JUMPS[any(random, JUMPS.len())];
            let wait = WAITS[any(random, WAITS.len())] * 1_000_000;
            let last = frames.iter().map(|frame| frame.time).max().unwrap_or(0);
            let first = frames[at].time;
            let mut again = frames[at..burst].to_vec();
            for frame in &mut again {
                frame.time =
                    frame.time.saturating_sub(first).saturating_add(last.saturating_add(wait));
                frame.add(4, shift);
            }
            frames.extend(again);
        }
    }
}
