//! TCP connections and datagrams, made byte by byte.

use std::collections::VecDeque;

/// The flag FIN.
pub const FIN: u8 = 0x01;
/// The flag SYN.
pub const SYN: u8 = 0x02;
/// The flag RST.
pub const RST: u8 = 0x04;
/// The flag ACK.
pub const ACK: u8 = 0x10;

/// One TCP connection between 10.0.0.1:`port` and 10.0.0.2:80, whose packets are made in the order
/// of the calls.
pub struct Connection {
    port: u16,
    /// The last two bytes of the client's address.
    host: [u8; 2],
    /// The next sequence number of the client and of the server.
    next: [u32; 2],
    /// The bytes of each side.
    pub sent: [Vec<u8>; 2],
    /// The frames that were not taken yet.
    pub packets: VecDeque<Vec<u8>>,
}

impl Connection {
    /// A connection after its handshake.
    pub fn open(port: u16) -> Self {
        Self::from_host([0, 1], port)
    }

    /// The same, from any number of clients.
    pub fn between(number: usize) -> Self {
        let host = (number >> 10) as u16 + 16;
        Self::from_host(host.to_be_bytes(), 1024 + (number & 0x3ff) as u16)
    }

    fn from_host(host: [u8; 2], port: u16) -> Self {
        let mut connection = Self {
            port,
            host,
            next: [u32::MAX - 10, 7],
            sent: Default::default(),
            packets: VecDeque::new(),
        };
        connection.segment(0, SYN, &[]);
        connection.next[0] = connection.next[0].wrapping_add(1);
        connection.segment(1, SYN | ACK, &[]);
        connection.next[1] = connection.next[1].wrapping_add(1);
        connection.segment(0, ACK, &[]);
        connection
    }

    /// Data from side 0 (client) or 1 (server), in one segment, and its acknowledgement.
    pub fn send(&mut self, side: usize, bytes: &[u8]) {
        self.segment(side, ACK, bytes);
        self.next[side] = self.next[side].wrapping_add(bytes.len() as u32);
        self.sent[side].extend_from_slice(bytes);
        self.segment(1 - side, ACK, &[]);
    }

    /// Data that the capture misses; its acknowledgement is seen.
    pub fn lose(&mut self, side: usize, len: usize) {
        self.next[side] = self.next[side].wrapping_add(len as u32);
        self.segment(1 - side, ACK, &[]);
    }

    /// A FIN of one side, and its acknowledgement.
    pub fn fin(&mut self, side: usize) {
        self.segment(side, FIN | ACK, &[]);
        self.next[side] = self.next[side].wrapping_add(1);
        self.segment(1 - side, ACK, &[]);
    }

    /// A reset by one side.
    pub fn rst(&mut self, side: usize) {
        self.segment(side, RST | ACK, &[]);
    }

    fn segment(&mut self, side: usize, flags: u8, payload: &[u8]) {
        let ports = [[self.port, 80], [80, self.port]][side];
        let acknowledgement = if flags & ACK != 0 { self.next[1 - side] } else { 0 };
        let mut frame = segment(side, ports, [self.next[side], acknowledgement], flags, payload);
        let address = [26, 30][side];
        frame[address + 2..address + 4].copy_from_slice(&self.host);
        self.packets.push_back(frame);
    }
}

/// A TCP segment from host 10.0.0.1 (side 0) or 10.0.0.2, with the ports of its sender and its
/// receiver, its sequence number and what it acknowledges.
pub fn segment(
    side: usize,
    ports: [u16; 2],
    numbers: [u32; 2],
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut tcp: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
    tcp.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
    tcp.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    tcp.extend(payload);
    frame(side, 6, &tcp)
}

/// A UDP datagram between the same two hosts.
pub fn udp(side: usize, port: u16, payload: &[u8]) -> Vec<u8> {
    let ports = [[port, 53], [53, port]][side];
    let mut udp: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
    udp.extend((payload.len() as u16 + 8).to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(payload);
    frame(side, 17, &udp)
}

fn frame(side: usize, protocol: u8, transport: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45, 0];
    frame.extend((transport.len() as u16 + 20).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    let hosts = [[10, 0, 0, 1], [10, 0, 0, 2]];
    frame.extend(hosts[side]);
    frame.extend(hosts[1 - side]);
    frame.extend(transport);
    frame
}

/// Bytes that differ by position and seed.
pub fn pattern(seed: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| ((i * 31 + seed * 7919) >> 3) as u8).collect()
}
