//! One TCP connection, packet by packet.

use crate::capture::Capture;
use crate::{Profile, Random};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// The state of a connection between a client (side 0) and a server (side 1).
#[derive(Debug)]
pub(crate) struct Connection {
    number: u32,
    sequence: [u32; 2],
    step: Step,
    exchanges: u64,
    unacknowledged: u64,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Syn,
    SynAck,
    Ack,
    /// The side has this number of bytes left to send.
    Send(usize, u64),
    /// The peer acknowledges what this side sent. Then this number of bytes follows.
    Acknowledge(usize, u64),
    Fin(usize),
    LastAck,
    Done,
}

impl Connection {
    pub(crate) fn new(number: u32, profile: &Profile, random: &mut Random) -> Self {
        Self {
            number,
            sequence: [random.any() as u32, random.any() as u32],
            step: Step::Syn,
            exchanges: 1 + random.below(profile.exchanges),
            unacknowledged: 0,
        }
    }

    /// Appends the next packet. Returns `false` if no packet is left.
    pub(crate) fn next_packet(
        &mut self,
        profile: &Profile,
        random: &mut Random,
        capture: &mut Capture,
    ) -> bool {
        self.step = match self.step {
            Step::Syn => {
                self.segment(0, SYN, 0, random, capture);
                Step::SynAck
            }
            Step::SynAck => {
                self.segment(1, SYN | ACK, 0, random, capture);
                Step::Ack
            }
            Step::Ack => {
                self.segment(0, ACK, 0, random, capture);
                self.request(profile, random)
            }
            Step::Send(side, left) => {
                let len = left.min(profile.segment as u64);
                self.segment(side, PSH | ACK, len as usize, random, capture);
                if random.one_of(profile.repeat_one_of) {
                    capture.repeat_last();
                } else if self.unacknowledged > 0 && random.one_of(profile.reorder_one_of) {
                    capture.swap_last();
                }
                self.unacknowledged += 1;
                let left = left - len;
                if left == 0 || self.unacknowledged >= profile.acknowledge_every {
                    Step::Acknowledge(side, left)
                } else {
                    Step::Send(side, left)
                }
            }
            Step::Acknowledge(side, left) => {
                self.unacknowledged = 0;
                self.segment(1 - side, ACK, 0, random, capture);
                match (side, left) {
                    (side, 1..) => Step::Send(side, left),
                    (0, 0) => Step::Send(1, random.logarithmic(profile.response)),
                    _ if self.exchanges > 1 => {
                        self.exchanges -= 1;
                        self.request(profile, random)
                    }
                    _ => Step::Fin(1),
                }
            }
            Step::Fin(side) => {
                self.segment(side, FIN | ACK, 0, random, capture);
                if side == 1 { Step::Fin(0) } else { Step::LastAck }
            }
            Step::LastAck => {
                self.segment(1, ACK, 0, random, capture);
                Step::Done
            }
            Step::Done => return false,
        };
        true
    }

    fn request(&self, profile: &Profile, random: &mut Random) -> Step {
        Step::Send(0, 1 + random.below(profile.request))
    }

    fn segment(
        &mut self,
        side: usize,
        flags: u8,
        len: usize,
        random: &mut Random,
        capture: &mut Capture,
    ) {
        let [_, high, middle, low] = self.number.to_be_bytes();
        let client = ([10, high, middle, low], 1024 + (self.number % 60_000) as u16);
        let server = ([192, 168, low, high | 1], 80);
        let (from, to) = if side == 0 { (client, server) } else { (server, client) };

        let mut frame = [0u8; 54];
        frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, to.0[3], 2, 0, 0, 0, 0, from.0[3], 8, 0]);
        frame[14..24].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6]);
        frame[16..18].copy_from_slice(&(40 + len as u16).to_be_bytes());
        frame[26..30].copy_from_slice(&from.0);
        frame[30..34].copy_from_slice(&to.0);
        let checksum = checksum(&frame[14..34]);
        frame[24..26].copy_from_slice(&checksum.to_be_bytes());
        frame[34..36].copy_from_slice(&from.1.to_be_bytes());
        frame[36..38].copy_from_slice(&to.1.to_be_bytes());
        frame[38..42].copy_from_slice(&self.sequence[side].to_be_bytes());
        if flags & ACK != 0 {
            frame[42..46].copy_from_slice(&self.sequence[1 - side].to_be_bytes());
        }
        frame[46..50].copy_from_slice(&[0x50, flags, 0xff, 0xff]);

        let mut payload = [0u8; 1500];
        let payload = &mut payload[..len.min(1500)];
        for word in payload.chunks_mut(8) {
            word.copy_from_slice(&random.any().to_le_bytes()[..word.len()]);
        }
        capture.push([&frame, payload], len as u64);
        let occupied = len as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.sequence[side] = self.sequence[side].wrapping_add(occupied);
    }
}

/// The Internet checksum (RFC 1071) of an IPv4 header whose checksum field is 0.
fn checksum(header: &[u8]) -> u16 {
    let mut sum: u32 =
        header.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
