//! TCP segments between two hosts.

/// The sender of a segment: a client with port 40000, or a server with port 80.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// 192.0.2.1 port 40000.
    Client,
    /// The peer.
    Server,
}
pub use Host::{Client, Server};

/// An IPv4 packet with a TCP segment.
pub fn segment(
    from: Host,
    sequence: u32,
    acknowledgement: u32,
    flags: &str,
    window: u16,
    payload: &[u8],
) -> Vec<u8> {
    segment_with_options(from, sequence, acknowledgement, flags, window, &[], payload)
}

/// The same with TCP options, which must be a multiple of four bytes.
pub fn segment_with_options(
    from: Host,
    sequence: u32,
    acknowledgement: u32,
    flags: &str,
    window: u16,
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let ends = [([192, 0, 2, 1], 40_000_u16), ([192, 0, 2, 2], 80)];
    let (source, destination) = match from {
        Client => (ends[0], ends[1]),
        Server => (ends[1], ends[0]),
    };
    let bits = flags.chars().fold(0, |bits, letter| {
        bits | match letter {
            'F' => 1,
            'S' => 2,
            'R' => 4,
            'P' => 8,
            'A' => 16,
            _ => panic!("no such control bit: {letter}"),
        }
    });
    let mut packet = vec![0x45, 0];
    packet.extend((40 + (options.len() + payload.len()) as u16).to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    packet.extend(source.0);
    packet.extend(destination.0);
    packet.extend(source.1.to_be_bytes());
    packet.extend(destination.1.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend(acknowledgement.to_be_bytes());
    packet.extend([0x50 + ((options.len() as u8 / 4) << 4), bits]);
    packet.extend(window.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend(options);
    packet.extend(payload);
    packet
}
