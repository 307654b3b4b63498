//! Generated packets, so that no recorded capture is needed.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use flow::{LinkType, Packet, PacketMeta, Timestamp};

/// A capture in memory.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    bytes: Vec<u8>,
    /// The start of each packet, and the end of the last one.
    starts: Vec<usize>,
    /// Nanoseconds between two packets.
    pace: u64,
}

/// A small and fast random number generator (Marsaglia's xorshift) with a fixed seed, so that all
/// runs are equal.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

/// Control bits of a segment.
pub(crate) mod bits {
    pub(crate) const FIN: u8 = 1;
    pub(crate) const SYN: u8 = 2;
    pub(crate) const ACK: u8 = 16;
}

/// The state of a connection with two ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    number: u32,
    sequence: [u32; 2],
}

impl Capture {
    pub(crate) fn with_pace(pace: u64) -> Self {
        Self { bytes: Vec::new(), starts: vec![0], pace }
    }

    /// Appends a frame.
    pub(crate) fn push(&mut self, frame: &[u8]) {
        self.bytes.extend(frame);
        self.starts.push(self.bytes.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn frames(&self) -> impl Iterator<Item = &[u8]> {
        self.starts.windows(2).map(|range| &self.bytes[range[0]..range[1]])
    }

    pub(crate) fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.frames().enumerate().map(|(index, frame)| {
            let time = Timestamp::from_nanos(1_700_000_000_000_000_000 + index as u64 * self.pace);
            Packet::with_meta(frame, PacketMeta::new(index as u64 + 1, time, LinkType::ETHERNET))
        })
    }

    /// Writes a pcap file with nanoseconds, in this machine's byte order.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        self.write_frames(path, |frame| frame)
    }

    /// Writes a file as the senders' own hosts would capture it. Short frames are padded only on a
    /// cable.
    pub(crate) fn write_without_padding(&self, path: &Path) -> std::io::Result<()> {
        self.write_frames(path, |frame| {
            let length = 14 + usize::from(u16::from_be_bytes([frame[16], frame[17]]));
            &frame[..length.min(frame.len())]
        })
    }

    fn write_frames(&self, path: &Path, cut: impl Fn(&[u8]) -> &[u8]) -> std::io::Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        out.write_all(&0xa1b2_3c4du32.to_ne_bytes())?;
        [2u16, 4].iter().try_for_each(|half| out.write_all(&half.to_ne_bytes()))?;
        [0u32, 0, 262_144, 1].iter().try_for_each(|word| out.write_all(&word.to_ne_bytes()))?;
        for packet in self.packets() {
            let frame = cut(packet.data());
            let (time, length) = (packet.timestamp().as_nanos(), frame.len() as u32);
            let words =
                [(time / 1_000_000_000) as u32, (time % 1_000_000_000) as u32, length, length];
            words.iter().try_for_each(|word| out.write_all(&word.to_ne_bytes()))?;
            out.write_all(frame)?;
        }
        out.flush()
    }

    fn swap_last_two(&mut self) {
        let [.., a, b, c] = self.starts[..] else { return };
        self.bytes[a..c].rotate_left(b - a);
        let count = self.starts.len();
        self.starts[count - 2] = a + (c - b);
    }

    fn drop_last(&mut self) {
        if self.starts.len() > 1 {
            self.starts.pop();
            self.bytes.truncate(self.starts[self.starts.len() - 1]);
        }
    }
}

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

impl Connection {
    pub(crate) const fn new(number: u32) -> Self {
        let mix = number.wrapping_mul(0x9e37_79b1);
        Self { number, sequence: [mix, mix.rotate_left(16)] }
    }

    /// Skips bytes of a side, as if the capture had lost them.
    pub(crate) const fn skip(&mut self, side: usize, bytes: u32) {
        self.sequence[side] = self.sequence[side].wrapping_add(bytes);
    }

    /// Appends a segment sent by side 0 (the client) or 1.
    pub(crate) fn send(&mut self, capture: &mut Capture, side: usize, flags: u8, payload: usize) {
        let ends = [
            (
                [
                    10,
                    1 + (self.number >> 24) as u8,
                    (self.number >> 16) as u8,
                    (self.number >> 8) as u8,
                ],
                1024 + (self.number & 0x7fff) as u16,
            ),
            ([172, 16, (self.number >> 3) as u8, 1], 443),
        ];
        let (source, destination) = (ends[side], ends[1 - side]);
        let out = &mut capture.bytes;
        out.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        out.extend([0x45, 0]);
        out.extend((40 + payload as u16).to_be_bytes());
        out.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        out.extend(source.0);
        out.extend(destination.0);
        out.extend(source.1.to_be_bytes());
        out.extend(destination.1.to_be_bytes());
        out.extend(self.sequence[side].to_be_bytes());
        out.extend(self.sequence[1 - side].to_be_bytes());
        out.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        let fill = self.sequence[side] as u8;
        out.extend((0..payload).map(|at| fill.wrapping_add(at as u8)));
        // The minimum length of an Ethernet frame, without its check sequence.
        while out.len() - capture.starts[capture.starts.len() - 1] < 60 {
            out.push(0);
        }
        capture.starts.push(out.len());
        let control = u32::from(flags & (bits::SYN | bits::FIN) != 0);
        self.sequence[side] = self.sequence[side].wrapping_add(payload as u32 + control);
    }
}

/// One acknowledgement for each of `flows` connections, `pace` nanoseconds apart, and then `count`
/// of the same connections in random order.
pub(crate) fn acknowledgements(flows: u32, count: usize, pace: u64) -> (Capture, Capture) {
    let mut random = Random::new(42);
    let mut first = Capture::with_pace(pace);
    for number in 0..flows {
        Connection::new(number).send(&mut first, 0, bits::ACK, 0);
    }
    let mut rest = Capture::with_pace(100);
    for _ in 0..count {
        let number = random.below(u64::from(flows)) as u32;
        let side = random.below(2) as usize;
        Connection::new(number).send(&mut rest, side, bits::ACK, 0);
    }
    (first, rest)
}

/// The kind of connections in a capture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mix {
    pub(crate) connections: u32,
    /// The number of connections that are open at a time.
    pub(crate) open: usize,
    /// The maximum number of segments with payload that a connection sends.
    pub(crate) segments: u64,
    /// The number of full-sized segments out of 1,000 with payload. The others are small.
    pub(crate) full: u64,
    /// The number of packets out of 1,000 that are swapped with their successor, and the number
    /// that the capture loses.
    pub(crate) reordered: u64,
    pub(crate) lost: u64,
}

impl Mix {
    /// Many short conversations, about 330 bytes per packet.
    pub(crate) const MIXED: Self =
        Self { connections: 50_000, open: 4_000, segments: 28, full: 190, reordered: 5, lost: 1 };
    /// A few hundred downloads, about 950 bytes per packet.
    pub(crate) const BULK: Self =
        Self { connections: 400, open: 100, segments: 1_700, full: 920, reordered: 2, lost: 0 };

    /// Generates the capture.
    pub(crate) fn capture(self) -> Capture {
        let mut random = Random::new(7);
        let mut capture = Capture::with_pace(10_000);
        let mut open: Vec<(Connection, u64)> = Vec::new();
        let mut begun = 0;
        loop {
            while open.len() < self.open && begun < self.connections {
                let mut connection = Connection::new(begun);
                begun += 1;
                connection.send(&mut capture, 0, bits::SYN, 0);
                connection.send(&mut capture, 1, bits::SYN | bits::ACK, 0);
                connection.send(&mut capture, 0, bits::ACK, 0);
                open.push((connection, 1 + random.below(self.segments)));
            }
            if open.is_empty() {
                return capture;
            }
            let index = random.below(open.len() as u64) as usize;
            let (connection, left) = &mut open[index];
            if *left == 0 {
                connection.send(&mut capture, 0, bits::FIN | bits::ACK, 0);
                connection.send(&mut capture, 1, bits::FIN | bits::ACK, 0);
                connection.send(&mut capture, 0, bits::ACK, 0);
                open.swap_remove(index);
                continue;
            }
            for burst in 0..1 + random.below(4).min(*left - 1) {
                *left -= 1;
                let full = random.below(1000) < self.full;
                let side = usize::from(full || random.below(2) == 0);
                let len = if full { 1460 } else { 1 + random.below(400) as usize };
                connection.send(&mut capture, side, bits::ACK, len);
                if burst > 0 && random.below(1000) < self.reordered {
                    capture.swap_last_two();
                }
                if random.below(1000) < self.lost {
                    capture.drop_last();
                }
                if random.below(2) == 0 {
                    connection.send(&mut capture, 1 - side, bits::ACK, 0);
                }
            }
        }
    }
}
