//! Packets made by hand, and sources that give them.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::collections::VecDeque;
use std::iter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use conversation::Handle;
use ring_core::{
    Error, LinkType, MemorySource, Next, PacketSource, Statistics, Timeout, Timestamp,
};

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;

/// One TCP connection between 10.0.0.1:`port` and 10.0.0.2:80, whose packets are made in the order
/// of the calls.
pub struct Connection {
    port: u16,
    /// The last two bytes of the client's address.
    host: [u8; 2],
    /// The next sequence number of the client and of the server.
    next: [u32; 2],
    pub sent: [Vec<u8>; 2],
    pub packets: VecDeque<Vec<u8>>,
}

impl Connection {
    /// A connection after its handshake.
    pub fn open(port: u16) -> Self {
        Self::from_host([0, 1], port)
    }

    /// The same, from as many clients as one likes.
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

    pub fn fin(&mut self, side: usize) {
        self.segment(side, FIN | ACK, &[]);
        self.next[side] = self.next[side].wrapping_add(1);
        self.segment(1 - side, ACK, &[]);
    }

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

/// The connections' packets, taken in turn, as a file would hold them.
pub fn interleave(connections: &mut [Connection]) -> MemorySource {
    let mut packets = Vec::new();
    while connections.iter().any(|connection| !connection.packets.is_empty()) {
        packets
            .extend(connections.iter_mut().filter_map(|connection| connection.packets.pop_front()));
    }
    source(packets)
}

/// A millisecond between any two packets.
pub fn source(packets: Vec<Vec<u8>>) -> MemorySource {
    let mut source = MemorySource::new(LinkType::ETHERNET).batch_size(16);
    for (i, packet) in packets.iter().enumerate() {
        source.push(Timestamp::from_nanos(1_000_000_000_000 + i as u64 * 1_000_000), packet);
    }
    source
}

/// A source that claims to be a wire: its consumers must not make it wait.
pub struct Live(pub MemorySource);

impl PacketSource for Live {
    type Batch<'a> = <MemorySource as PacketSource>::Batch<'a>;
    type Error = Error;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Self::Batch<'_>>, Error> {
        Ok(self.0.next_batch(timeout)?)
    }

    fn statistics(&mut self) -> Result<Statistics, Error> {
        Ok(self.0.statistics()?)
    }

    fn link_type(&self) -> Option<LinkType> {
        self.0.link_type()
    }

    fn is_live(&self) -> bool {
        true
    }
}

/// A source that fails at its end, if `fails` is set.
pub struct Failing {
    pub source: MemorySource,
    pub fails: bool,
}

impl PacketSource for Failing {
    type Batch<'a> = <MemorySource as PacketSource>::Batch<'a>;
    type Error = Error;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Self::Batch<'_>>, Error> {
        match self.source.next_batch(timeout)? {
            Next::End if self.fails => Err(Error::NoRuntime),
            next => Ok(next),
        }
    }

    fn statistics(&mut self) -> Result<Statistics, Error> {
        Ok(self.source.statistics()?)
    }

    fn link_type(&self) -> Option<LinkType> {
        self.source.link_type()
    }

    fn is_live(&self) -> bool {
        false
    }
}

/// A wire whose packets come when the test says so.
pub struct Fed {
    packets: Receiver<Vec<u8>>,
    source: MemorySource,
    count: u64,
}

pub struct Feed(Sender<Vec<u8>>);

impl Fed {
    pub fn new() -> (Feed, Self) {
        let (sender, packets) = channel();
        (Feed(sender), Self { packets, source: MemorySource::new(LinkType::ETHERNET), count: 0 })
    }
}

impl Feed {
    /// All that a connection has by now.
    pub fn all(&self, connection: &mut Connection) {
        for packet in connection.packets.drain(..) {
            self.0.send(packet).expect("an engine");
        }
    }
}

impl Feed {
    /// Returns `true` if the source was dropped.
    pub fn is_dropped(&self) -> bool {
        self.0.send(Vec::new()).is_err()
    }
}

impl PacketSource for Fed {
    type Batch<'a> = <MemorySource as PacketSource>::Batch<'a>;
    type Error = Error;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Self::Batch<'_>>, Error> {
        let first = match timeout {
            Timeout::Now => self.packets.recv_timeout(Duration::ZERO),
            Timeout::After(time) => self.packets.recv_timeout(time),
            Timeout::Never => self.packets.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match first {
            Ok(first) => {
                // All of them in one batch: what is left over would be lost with the source.
                self.source = MemorySource::new(LinkType::ETHERNET).batch_size(1 << 20);
                for packet in iter::once(first).chain(self.packets.try_iter()) {
                    self.count += 1;
                    self.source.push(Timestamp::from_nanos(1_000_000 * self.count), &packet);
                }
                Ok(self.source.next_batch(Timeout::Now)?)
            }
            Err(RecvTimeoutError::Timeout) => Ok(Next::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Ok(Next::End),
        }
    }

    fn statistics(&mut self) -> Result<Statistics, Error> {
        Ok(self.source.statistics()?)
    }

    fn link_type(&self) -> Option<LinkType> {
        self.source.link_type()
    }

    fn is_live(&self) -> bool {
        true
    }
}

/// A pipe of packets that is stopped while its first packet is processed. Each packet that follows
/// is in the pipe already, and comes after an interruption.
pub struct Stopping {
    packets: VecDeque<Vec<u8>>,
    handle: Arc<OnceLock<Handle>>,
    interrupted: bool,
    source: MemorySource,
}

impl Stopping {
    pub fn new(packets: Vec<Vec<u8>>) -> (Self, Arc<OnceLock<Handle>>) {
        let handle = Arc::default();
        let source = MemorySource::new(LinkType::ETHERNET);
        let stopping = Self {
            packets: packets.into(),
            handle: Arc::clone(&handle),
            interrupted: true,
            source,
        };
        (stopping, handle)
    }
}

impl PacketSource for Stopping {
    type Batch<'a> = <MemorySource as PacketSource>::Batch<'a>;
    type Error = Error;

    fn next_batch(&mut self, _: Timeout) -> Result<Next<Self::Batch<'_>>, Error> {
        let Some(handle) = self.handle.get() else { return Ok(Next::TimedOut) };
        handle.shutdown();
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Ok(Next::Interrupted);
        }
        let Some(packet) = self.packets.pop_front() else { return Ok(Next::TimedOut) };
        self.source = source(vec![packet]);
        Ok(self.source.next_batch(Timeout::Now)?)
    }

    fn statistics(&mut self) -> Result<Statistics, Error> {
        Ok(self.source.statistics()?)
    }

    fn link_type(&self) -> Option<LinkType> {
        self.source.link_type()
    }

    fn is_live(&self) -> bool {
        false
    }
}

/// A file that takes its time to close, like one that has something to write yet, and may fail at
/// that.
pub struct Closing {
    pub source: MemorySource,
    pub closed: Arc<AtomicBool>,
    pub panics: bool,
}

impl Drop for Closing {
    fn drop(&mut self) {
        thread::sleep(Duration::from_millis(30));
        self.closed.store(true, Ordering::SeqCst);
        assert!(!self.panics, "the disk is full");
    }
}

impl PacketSource for Closing {
    type Batch<'a> = <MemorySource as PacketSource>::Batch<'a>;
    type Error = Error;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Self::Batch<'_>>, Error> {
        Ok(self.source.next_batch(timeout)?)
    }

    fn statistics(&mut self) -> Result<Statistics, Error> {
        Ok(self.source.statistics()?)
    }

    fn link_type(&self) -> Option<LinkType> {
        self.source.link_type()
    }

    fn is_live(&self) -> bool {
        false
    }
}
