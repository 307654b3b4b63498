//! A simulated connection, and what the capture takes of it.

use flow::Timestamp;

use super::random::Random;
use super::{Sent, byte};
use crate::segments::{Client, Host, Server, segment_with_options};

/// Properties of a connection and of its capture.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// The first positions' sequence numbers, of the client and the server.
    pub base: [u32; 2],
    /// The traffic.
    pub shape: Shape,
    /// The maximum payload of a segment, in bytes.
    pub segment: u32,
    /// `true` if the capture has the handshake.
    pub handshake: bool,
    /// The window that both sides announce, in bytes.
    pub window: u32,
    /// The shift of the window field (RFC 7323, section 2.2).
    pub scale: u8,
    /// The number of outages.
    pub outages: u64,
    /// The maximum length of an outage, in bytes.
    pub longest: u64,
    /// Nanoseconds between two packets, about.
    pub pace: u64,
    /// The maximum pause before an outage, in nanoseconds.
    pub pause: u64,
    /// The number of packets by which the capture moves one direction back behind the other.
    pub skew: [u64; 2],
    /// One packet in this number is sent again. 0 for none.
    pub retransmits: u64,
    /// `true` if the connection is closed.
    pub closes: bool,
    /// The direction that the capture has alone.
    pub only: Option<Host>,
}

/// The traffic of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One side sends, the other acknowledges.
    Bulk(Host),
    /// The client sends a request, the server answers, in turn.
    Requests,
    /// Both sides send whenever they like.
    Both,
}

/// The packets of a stretch that the capture takes.
#[derive(Clone, Copy, Debug)]
enum Capture {
    All,
    Nothing,
    /// One packet in this number.
    Leaks(u64),
    /// The packets of one side.
    Only(Host),
}

pub(super) struct Connection {
    pub(super) packets: Vec<Sent>,
    /// The lengths of the streams, and `true` if a FIN ends them.
    pub(super) ends: [(u64, bool); 2],
    profile: Profile,
    random: Random,
    /// The number of bytes that each side has sent. A FIN counts.
    next: [u64; 2],
    /// The number of bytes of the other side that each side has acknowledged.
    acknowledged: [u64; 2],
    time: u64,
    capture: Capture,
    turn: Host,
    /// Bytes that are left of the current request or answer.
    left: u64,
}

/// The time at which the connections begin, in nanoseconds.
const START: u64 = 1_700_000_000_000_000_000;
const ISN_STEPS: [u32; 4] = [0x1000, 0x2000_0000, 0x7fff_f000, 0xffff_e000];

impl Profile {
    pub(super) fn random(random: &mut Random) -> Self {
        let shape =
            random.pick(&[Shape::Bulk(Client), Shape::Bulk(Server), Shape::Requests, Shape::Both]);
        let segment = random.pick(&[1, 10, 100, 536, 1448, 1448, 16_384, 65_000]);
        let scale = random.pick(&[0, 7, 10]);
        let window = if scale == 0 { 65_535 } else { random.magnitude(1 << 16, 1 << 22) as u32 };
        let outages = random.pick(&[0, 1, 1, 2, 3, 5, 10, 30]);
        let longest = random.pick(&[1, 100, 5_000, 200_000, 3 << 20, 15 << 20, 40 << 20, 1 << 30]);
        let pace = random.magnitude(500, 100_000_000);
        let skew = random.pick(&[[0, 0], [0, 0], [1, 0], [0, 1], [3, 0], [0, 3], [8, 8]]);
        let base = [random.pick(&ISN_STEPS), random.pick(&ISN_STEPS)];
        let base = base.map(|base| base.wrapping_add(random.below(1 << 20) as u32));
        Self {
            base,
            shape,
            segment,
            handshake: !random.one_in(4),
            window,
            scale,
            outages,
            longest,
            pace,
            pause: random.pick(&[
                0,
                1_000,
                1_000_000,
                500_000_000,
                20_000_000_000,
                100_000_000_000,
            ]),
            skew,
            retransmits: random.pick(&[0, 0, 20, 100]),
            closes: !random.one_in(3),
            only: if random.one_in(6) { Some(random.pick(&[Client, Server])) } else { None },
        }
    }
}

impl Connection {
    pub(super) fn simulate(profile: &Profile, random: Random) -> Self {
        let capture = if profile.handshake { Capture::All } else { Capture::Nothing };
        let turn = match profile.shape {
            Shape::Bulk(host) => host,
            _ => Client,
        };
        let mut it = Self {
            packets: Vec::new(),
            ends: [(0, false); 2],
            profile: *profile,
            random,
            next: [0; 2],
            acknowledged: [0; 2],
            time: 0,
            capture,
            turn,
            left: 0,
        };
        for (host, flags) in [(Client, "S"), (Server, "SA"), (Client, "A")] {
            it.send(host, flags, 0);
        }
        it.capture = Capture::All;
        let run = it.random.magnitude(1, 60);
        it.run(run);
        for _ in 0..profile.outages {
            it.miss();
            it.capture = Capture::All;
            let run = it.random.magnitude(1, 40);
            it.run(run);
        }
        it.ends = it.next.map(|next| (next, false));
        if profile.closes {
            it.close();
        }
        it.order();
        it
    }

    /// The capture misses a stretch.
    fn miss(&mut self) {
        let len = self.random.magnitude(1, self.profile.longest);
        self.capture = match self.random.below(8) {
            0..=2 => Capture::Nothing,
            3 => Capture::Leaks(self.random.pick(&[2, 10, 100, 1000])),
            4 | 5 => Capture::Only(Client),
            _ => Capture::Only(Server),
        };
        let pause = self.random.magnitude(1, self.profile.pause.max(1));
        self.time += pause;
        let mut left = len;
        while left > 0 {
            // Of long stretches most packets are not even simulated.
            if left > 500 * u64::from(self.profile.segment) {
                let by = left / 2;
                self.jump(by);
                left -= by;
                if self.random.one_in(2) {
                    self.capture = match self.capture {
                        Capture::Leaks(_) => Capture::Leaks(3),
                        other => other,
                    };
                    self.run(4);
                }
                continue;
            }
            let before = self.next[0] + self.next[1];
            self.run(1);
            left = left.saturating_sub((self.next[0] + self.next[1] - before).max(1));
        }
    }

    /// A stretch goes by of which the capture has nothing.
    fn jump(&mut self, bytes: u64) {
        match self.profile.shape {
            Shape::Bulk(host) => self.next[host as usize] += bytes,
            _ => {
                let client = self.random.below(bytes + 1);
                self.next[0] += client;
                self.next[1] += bytes - client;
            }
        }
        // All but a part of a window was acknowledged.
        for side in 0..2 {
            let flight = self.random.below(u64::from(self.profile.window / 2)).min(bytes / 2);
            let least = self.next[1 - side].saturating_sub(flight);
            self.acknowledged[side] = self.acknowledged[side].max(least);
        }
        self.time += bytes / 12;
    }

    /// Goes on for a number of packets.
    fn run(&mut self, packets: u64) {
        for _ in 0..packets {
            match self.profile.shape {
                Shape::Bulk(host) => {
                    let other = if host == Client { Server } else { Client };
                    let flight = self.in_flight(host);
                    let room = u64::from(self.profile.window).saturating_sub(flight);
                    if room < u64::from(self.profile.segment) || self.random.one_in(3) {
                        self.acknowledge(other);
                    } else {
                        self.data(host);
                    }
                }
                Shape::Requests => {
                    if self.left == 0 {
                        self.left = self.random.magnitude(1, 20_000);
                        self.turn = if self.turn == Client { Server } else { Client };
                        // An answer acknowledges the whole request.
                        self.acknowledged[self.turn as usize] = self.next[1 - self.turn as usize];
                    }
                    self.turn_of_one();
                }
                Shape::Both => {
                    self.turn = self.random.pick(&[Client, Server]);
                    self.turn_of_one();
                }
            }
        }
    }

    fn turn_of_one(&mut self) {
        let flight = self.in_flight(self.turn);
        let other = if self.turn == Client { Server } else { Client };
        if flight + u64::from(self.profile.segment) > u64::from(self.profile.window) {
            self.acknowledge(other);
        } else {
            let before = self.next[self.turn as usize];
            if self.random.one_in(4) {
                self.advance_acknowledgement(self.turn);
            }
            self.data(self.turn);
            self.left = self.left.saturating_sub(self.next[self.turn as usize] - before);
        }
    }

    fn in_flight(&self, host: Host) -> u64 {
        self.next[host as usize] - self.acknowledged[1 - host as usize]
    }

    fn data(&mut self, host: Host) {
        let most = u64::from(self.profile.segment);
        let len = if self.random.one_in(5) { 1 + self.random.below(most) } else { most };
        let len = if self.random.one_in(30) { 1 } else { len };
        let len = if self.profile.shape == Shape::Requests { len.min(self.left) } else { len };
        // One byte without PSH is like a keep-alive if its acknowledgement was captured before.
        let pushed = len == 1 || self.random.one_in(4);
        self.send(host, if pushed { "PA" } else { "A" }, len as u32);
    }

    fn advance_acknowledgement(&mut self, host: Host) {
        let (side, peer) = (host as usize, 1 - host as usize);
        let flight = self.next[peer] - self.acknowledged[side];
        // Delayed acknowledgements, duplicates, and those of everything.
        let by = match self.random.below(4) {
            0 => self.random.below(flight + 1),
            _ => flight,
        };
        self.acknowledged[side] += by;
    }

    fn acknowledge(&mut self, host: Host) {
        self.advance_acknowledgement(host);
        self.send(host, "A", 0);
    }

    fn close(&mut self) {
        let first = self.random.pick(&[Client, Server]);
        let second = if first == Client { Server } else { Client };
        if self.random.one_in(3) {
            self.capture = Capture::Leaks(2);
        }
        self.time += self.random.magnitude(1, self.profile.pause.max(1));
        for host in [first, second] {
            self.ends[host as usize] = (self.next[host as usize], true);
            self.acknowledged[host as usize] = self.next[1 - host as usize];
            self.send(host, "FA", 0);
            self.next[host as usize] += 1;
        }
        self.acknowledged[first as usize] = self.next[second as usize];
        self.send(first, "A", 0);
    }

    fn send(&mut self, host: Host, flags: &'static str, len: u32) {
        let side = host as usize;
        let spacing = 1 + self.profile.pace / 2 + self.random.below(self.profile.pace);
        let captured = match self.capture {
            Capture::All => true,
            Capture::Nothing => false,
            Capture::Leaks(times) => self.random.one_in(times),
            Capture::Only(only) => host == only,
        } && self.profile.only.is_none_or(|only| host == only);
        // Long stretches are missed in a time in which no flow expires.
        let spacing = if captured { spacing } else { spacing.min(10_000) };
        self.time += spacing.max(u64::from(len) / 12);
        let sent = Sent {
            host,
            flags,
            at: self.next[side],
            len,
            acknowledged: self.acknowledged[side],
            time: self.time,
            captured,
        };
        self.packets.push(sent);
        self.next[side] += u64::from(len);
        if self.profile.retransmits > 0 && len > 0 && self.random.one_in(self.profile.retransmits) {
            self.time += spacing;
            let captured = captured && !self.random.one_in(2);
            self.packets.push(Sent { time: self.time, captured, ..sent });
        }
    }

    /// The capture takes each direction in its order, but one of them a little late.
    fn order(&mut self) {
        let mut times: Vec<u64> = self.packets.iter().map(|sent| sent.time).collect();
        let mut last = [0; 2];
        let mut keyed: Vec<(u64, Sent)> = Vec::new();
        for (index, sent) in self.packets.iter().enumerate() {
            let side = sent.host as usize;
            let lag = self.random.below(self.profile.skew[side] + 1);
            last[side] = last[side].max(index as u64 + lag);
            keyed.push((last[side], *sent));
        }
        keyed.sort_by_key(|(key, _)| *key);
        times.sort_unstable();
        self.packets = keyed.into_iter().map(|(_, sent)| sent).collect();
        for (sent, time) in self.packets.iter_mut().zip(times) {
            sent.time = time;
        }
    }

    /// The captured packets with their times.
    pub(super) fn captured(&self) -> impl Iterator<Item = (Timestamp, Vec<u8>)> {
        let captured = self.packets.iter().filter(|sent| sent.captured);
        captured.map(|sent| (Timestamp::from_nanos(START + sent.time), self.frame(sent)))
    }

    /// The packet on the wire.
    fn frame(&self, sent: &Sent) -> Vec<u8> {
        let (side, peer) = (sent.host as usize, 1 - sent.host as usize);
        let syn = sent.flags.contains('S');
        let number = |side: usize, at: u64| self.profile.base[side].wrapping_add(at as u32);
        let sequence = number(side, sent.at).wrapping_sub(u32::from(syn));
        let acknowledgement = if sent.flags == "S" { 0 } else { number(peer, sent.acknowledged) };
        let shift = if syn { 0 } else { self.profile.scale };
        let window = u16::try_from(self.profile.window >> shift).unwrap_or(u16::MAX);
        let payload: Vec<u8> =
            (sent.at..sent.at + u64::from(sent.len)).map(|at| byte(side, at)).collect();
        let options: &[u8] =
            if syn && self.profile.scale > 0 { &[1, 3, 3, self.profile.scale] } else { &[] };
        segment_with_options(
            sent.host,
            sequence,
            acknowledgement,
            sent.flags,
            window,
            options,
            &payload,
        )
    }
}
