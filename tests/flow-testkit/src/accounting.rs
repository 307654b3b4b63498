//! Runs the ledger over random segments.
//!
//! A script of bytes is interpreted as a list of segments of two hosts in several sequence spaces:
//! a connection that continues, jumps of any length, copies from the other side of a middlebox,
//! forged SYNs, FINs and resets, reused ports, truncated packets, and pauses. There is no expected
//! stream; the models of [`reassembly`](crate::reassembly) have one, for a single connection.

use flow::{LinkType, Packet, Timestamp};

use crate::ledger::Ledger;
use crate::segments::{Client, Server, segment};

/// Runs a script.
///
/// # Panics
/// If a byte is unaccounted for, or the handler's contract is broken.
pub fn check(script: &[u8]) {
    let mut script = script.iter().copied();
    let Some(options) = script.next() else { return };
    let mut ledger = Ledger::new(options);
    let mut wire = Wire { clock: 1_000_000_000_000, ..Wire::default() };
    while let Some(code) = script.next() {
        wire.step(code, &mut script, &mut ledger);
    }
    ledger.finish();
}

/// Two hosts, and their positions in their sequence spaces.
#[derive(Default)]
struct Wire {
    next: [u32; 2],
    /// The distance of the second sequence space from the first.
    shift: [u32; 2],
    /// The index of the window that a host announces.
    window: [u8; 2],
    now: usize,
    /// Nanoseconds.
    clock: u64,
}

/// The distances of jumps.
const JUMPS: [u32; 8] =
    [1, 700, 100_000, 3_000_000, 50_000_000, 1 << 30, 2_500_000_000, u32::MAX - 5_000];

/// The announced windows: more than any host sends, or less.
const WINDOWS: [u16; 4] = [60_000, 0, 50, 400];

impl Wire {
    fn step(&mut self, code: u8, script: &mut impl Iterator<Item = u8>, ledger: &mut Ledger) {
        let mut byte = || script.next().unwrap_or(0);
        let side = usize::from(code >> 7);
        let host = [Client, Server][side];
        let other = 1 - side;
        let shifted = code & 0x40 != 0;
        let shift = |this: usize, wire: &Self| if shifted { wire.shift[this] } else { 0 };
        let sequence = self.next[side].wrapping_add(shift(side, self));
        let acknowledgement = self.next[other].wrapping_add(shift(other, self));
        let mut len = usize::from(byte() % 100);
        let (mut sequence, mut flags) = (sequence, "A");
        match code & 0x1f {
            0..=7 => self.next[side] = self.next[side].wrapping_add(len as u32),
            8 => sequence = sequence.wrapping_sub(u32::from(byte())),
            9 => sequence = sequence.wrapping_add(u32::from(byte()) * 8),
            10 => sequence = sequence.wrapping_add(JUMPS[usize::from(byte() & 7)]),
            11 => {
                let jump = JUMPS[usize::from(byte() & 7)];
                self.next[side] = self.next[side].wrapping_add(jump);
                len = 0;
            }
            12 => self.shift[side] = JUMPS[usize::from(byte() & 7)].wrapping_mul(3),
            13 | 14 => {
                flags = "FA";
                self.next[side] = self.next[side].wrapping_add(len as u32 + 1);
            }
            15 => flags = "FA",
            16 => flags = if byte() & 1 == 0 { "R" } else { "RA" },
            17 | 18 => {
                flags = if code & 0x20 == 0 { "S" } else { "SA" };
                if byte() & 1 == 0 {
                    self.next[side] = u32::from(byte()) << 24 | u32::from(byte());
                }
                sequence = self.next[side].wrapping_sub(1);
                len = len.saturating_sub(80);
            }
            19 => {
                let scale = [1, 100, 3_000, 30_000, 200_000][usize::from(byte() % 5)];
                self.clock += u64::from(byte()) * scale * 1_000_000;
                ledger.advance(Timestamp::from_nanos(self.clock));
                return;
            }
            20 => {
                sequence = sequence.wrapping_sub(1);
                len = 1;
            }
            21 => flags = "PA",
            22 => flags = "SF",
            23 => {
                self.window[side] = byte() & 3;
                len = 0;
            }
            _ => len = 0,
        }
        let acknowledgement = if code & 0x20 == 0 || flags == "SA" {
            acknowledgement
        } else {
            acknowledgement.wrapping_add(JUMPS[usize::from(byte() & 7)])
        };
        self.now += 1;
        let payload: Vec<u8> =
            (0..len).map(|at| (at + self.now * usize::from(code & 1)) as u8).collect();
        let window = WINDOWS[usize::from(self.window[side])];
        let frame = segment(host, sequence, acknowledgement, flags, window, &payload);
        let captured = if code % 11 == 3 { 40 + len / 2 } else { frame.len() };
        self.clock += 1_000_000;
        let time = Timestamp::from_nanos(self.clock);
        let mut packet = Packet::new(&frame[..captured], time, LinkType::IPV4);
        packet.meta_mut().wire_len = frame.len() as u32;
        ledger.pass(packet);
    }
}
