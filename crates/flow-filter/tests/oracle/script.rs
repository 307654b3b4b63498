//! From bytes to packets.

use flow::Timestamp;

/// A packet as it was captured.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) wire_len: u32,
    pub(crate) time: Timestamp,
}

/// A connection: the next sequence numbers of its sides.
#[derive(Clone, Copy, Default)]
struct Talk {
    next: [u32; 2],
}

/// The packets of a script.
pub(crate) fn packets(script: &[u8]) -> Vec<Frame> {
    let mut script = script.iter().copied();
    let mut talks = [Talk::default(); 4];
    let (mut frames, mut clock) = (Vec::new(), 1_000_000_000_000_u64);
    while let Some(code) = script.next() {
        let mut byte = || script.next().unwrap_or(0);
        let (which, choice) = (usize::from(code & 3), byte());
        let side = usize::from(code >> 2 & 1);
        clock += match choice >> 5 {
            0 => 700_000_000,
            1 => 2_000_000_000,
            7 if choice & 0x1f == 0x1f => 400_000_000_000,
            _ => 1_000_000,
        };
        let len = usize::from(byte() % 8);
        let letters: Vec<u8> = (0..len).map(|_| b"abABab\n\0"[usize::from(byte() % 8)]).collect();
        let talk = &mut talks[which];
        let bytes = if which == 3 {
            udp(side, &letters)
        } else {
            let (mut sequence, mut flags) = (talk.next[side], 0x10);
            let mut payload = &letters[..];
            match code >> 3 & 0xf {
                0 | 1 => (flags, payload) = (if side == 0 { 0x02 } else { 0x12 }, &[]),
                2 => flags = 0x11,
                3 => (flags, payload) = (0x14, &[]),
                4 => sequence = sequence.wrapping_sub(u32::from(byte() % 8)),
                5 => sequence = sequence.wrapping_add(u32::from(byte() % 8)),
                6 => {
                    sequence = sequence.wrapping_add(u32::from(byte() % 8));
                    talk.next[side] = sequence;
                }
                7 => payload = &[],
                _ => {}
            }
            let ahead = sequence.wrapping_add(payload.len() as u32 + u32::from(flags & 3 != 0));
            if !(4..=5).contains(&(code >> 3 & 0xf)) {
                talk.next[side] = ahead;
            }
            tcp(which, side, sequence, talk.next[1 - side], flags, payload)
        };
        let wire_len = bytes.len() as u32;
        let mut bytes = bytes;
        if code & 0x80 != 0 && choice & 0x0f == 3 && len > 1 {
            bytes.truncate(wire_len as usize - 1);
        }
        frames.push(Frame { bytes, wire_len, time: Timestamp::from_nanos(clock) });
    }
    frames
}

/// An IPv4 header in front of a payload, from one host of a pair to the other.
fn ip(side: usize, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((20 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    packet.extend([10, 0, 0, side as u8, 10, 0, 0, 1 - side as u8]);
    packet.extend(payload);
    packet
}

fn ports(which: usize, side: usize) -> Vec<u8> {
    let mut ports = [which as u16 + 1, 5];
    if side == 1 {
        ports.reverse();
    }
    ports.iter().flat_map(|port| port.to_be_bytes()).collect()
}

fn tcp(
    which: usize,
    side: usize,
    sequence: u32,
    acknowledged: u32,
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut segment = ports(which, side);
    segment.extend(sequence.to_be_bytes());
    segment.extend(acknowledged.to_be_bytes());
    segment.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    ip(side, 6, &segment)
}

fn udp(side: usize, payload: &[u8]) -> Vec<u8> {
    let mut datagram = ports(3, side);
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    ip(side, 17, &datagram)
}
