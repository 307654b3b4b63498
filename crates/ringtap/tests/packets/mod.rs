//! Captures of a few packets, each made by hand.

// Each test binary uses a part of it.
#![allow(dead_code)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Time stamp of the first packet in nanoseconds since 1970: 2023-11-14 22:13:20 UTC.
pub(crate) const START: u64 = 1_700_000_000_000_000_000;

pub(crate) const CLIENT: &str = "192.0.2.10:40000";
pub(crate) const SERVER: &str = "198.51.100.20:8080";

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const ACK: u8 = 16;

/// The sequence number at which the stream of either side begins; its SYN has the one before.
const FIRST: [u32; 2] = [1_000, 5_000];

/// A pcap file with nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Packets {
    file: Vec<u8>,
    /// Of the next packet.
    pub(crate) time: u64,
    /// The VLAN tags of what the client sends, and of what the server sends.
    tags: [Vec<u16>; 2],
    /// The number that is added to the sequence numbers of both.
    shift: u32,
    /// The packets that are left out, counted from 1.
    left_out: Vec<u64>,
    number: u64,
}

/// The sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Client,
    Server,
}
use Host::{Client, Server};

impl Packets {
    pub(crate) fn new(link_type: u32) -> Self {
        let header: [u32; 6] = [0xa1b2_3c4d, 4 << 16 | 2, 0, 0, 262_144, link_type];
        let file = header.iter().flat_map(|word| word.to_le_bytes()).collect();
        let tags = Default::default();
        Self { file, time: START, tags, shift: 0, left_out: Vec::new(), number: 0 }
    }

    /// Tags the TCP segments of both sides from now on.
    pub(crate) fn tagged(mut self, client: &[u16], server: &[u16]) -> Self {
        self.tags = [client.to_vec(), server.to_vec()];
        self
    }

    /// Moves the sequence numbers of both sides from now on.
    pub(crate) fn shifted(mut self, by: u32) -> Self {
        self.shift = by;
        self
    }

    /// Ethernet.
    pub(crate) fn ethernet() -> Self {
        Self::new(1)
    }

    /// A conversation that is open: each side's bytes in turn, and no other packets.
    pub(crate) fn conversation(turns: &[(Host, &[u8])]) -> Self {
        let mut at = [0; 2];
        turns.iter().fold(Self::ethernet().handshake(), |packets, &(from, bytes)| {
            let [own, other] = if from == Client { [0, 1] } else { [1, 0] };
            let packets = packets.tcp(from, ACK, at[own], at[other], bytes);
            at[own] += bytes.len() as u32;
            packets
        })
    }

    /// Leaves out a packet that comes later, counted from 1.
    pub(crate) fn without(mut self, number: u64) -> Self {
        self.left_out.push(number);
        self
    }

    /// Adds a packet, one millisecond after the one before.
    pub(crate) fn packet(mut self, bytes: &[u8]) -> Self {
        self.number += 1;
        if !self.left_out.contains(&self.number) {
            let (seconds, nanos) = (self.time / 1_000_000_000, self.time % 1_000_000_000);
            let len = bytes.len() as u32;
            for word in [seconds as u32, nanos as u32, len, len] {
                self.file.extend(word.to_le_bytes());
            }
            self.file.extend(bytes);
        }
        self.time += 1_000_000;
        self
    }

    /// Lets time pass.
    pub(crate) fn after(mut self, nanos: u64) -> Self {
        self.time += nanos;
        self
    }

    /// An Ethernet frame of this type.
    pub(crate) fn frame(self, ethertype: u16, payload: &[u8]) -> Self {
        let mut frame = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2].to_vec();
        frame.extend(ethertype.to_be_bytes());
        frame.extend(payload);
        self.packet(&frame)
    }

    /// A TCP segment: flags, offsets in the streams of sender and receiver, and what it carries.
    pub(crate) fn tcp(self, from: Host, flags: u8, at: u32, ack: u32, payload: &[u8]) -> Self {
        let (at, ack) = (at.wrapping_add(self.shift), ack.wrapping_add(self.shift));
        let segment = tcp(from, flags, at, ack, payload);
        let mut packet = ipv4(from, 6, &segment);
        let mut ethertype = 0x0800_u16;
        for tag in self.tags[usize::from(from == Server)].iter().rev() {
            packet = [&tag.to_be_bytes()[..], &ethertype.to_be_bytes(), &packet].concat();
            ethertype = 0x8100;
        }
        self.frame(ethertype, &packet)
    }

    /// A TCP segment with a wrong checksum.
    pub(crate) fn damaged_tcp(
        self,
        from: Host,
        flags: u8,
        at: u32,
        ack: u32,
        payload: &[u8],
    ) -> Self {
        let mut segment = tcp(from, flags, at, ack, payload);
        segment[16] ^= 0x55;
        self.frame(0x0800, &ipv4(from, 6, &segment))
    }

    /// A UDP datagram.
    pub(crate) fn udp(self, from: Host, payload: &[u8]) -> Self {
        let [source, destination] = ports(from);
        let mut datagram = [source.to_be_bytes(), destination.to_be_bytes()].concat();
        datagram.extend((8 + payload.len() as u16).to_be_bytes());
        datagram.extend([0, 0]);
        datagram.extend(payload);
        self.frame(0x0800, &ipv4(from, 17, &datagram))
    }

    pub(crate) fn handshake(self) -> Self {
        self.tcp(Client, SYN, u32::MAX, u32::MAX, b"")
            .tcp(Server, SYN | ACK, u32::MAX, 0, b"")
            .tcp(Client, ACK, 0, 0, b"")
    }

    /// The FINs of both sides at these offsets.
    pub(crate) fn close(self, client: u32, server: u32) -> Self {
        self.tcp(Client, FIN | ACK, client, server, b"")
            .tcp(Server, FIN | ACK, server, client + 1, b"")
            .tcp(Client, ACK, client + 1, server + 1, b"")
    }

    /// A whole conversation: a request, a response.
    pub(crate) fn exchange(self, request: &[u8], response: &[u8]) -> Self {
        let (sent, received) = (request.len() as u32, response.len() as u32);
        self.handshake()
            .tcp(Client, ACK, 0, 0, request)
            .tcp(Server, ACK, 0, sent, response)
            .tcp(Client, ACK, sent, received, b"")
            .close(sent, received)
    }

    pub(crate) fn write(&self, folder: &Path) -> io::Result<PathBuf> {
        let path = folder.join("packets.pcap");
        fs::write(&path, &self.file)?;
        Ok(path)
    }
}

fn ports(from: Host) -> [u16; 2] {
    match from {
        Client => [40_000, 8_080],
        Server => [8_080, 40_000],
    }
}

fn addresses(from: Host) -> [[u8; 4]; 2] {
    let (client, server) = ([192, 0, 2, 10], [198, 51, 100, 20]);
    match from {
        Client => [client, server],
        Server => [server, client],
    }
}

pub(crate) fn tcp(from: Host, flags: u8, at: u32, ack: u32, payload: &[u8]) -> Vec<u8> {
    let [source, destination] = ports(from);
    let [mine, theirs] = if from == Client { FIRST } else { [FIRST[1], FIRST[0]] };
    let ack = if flags & ACK == 0 { 0 } else { theirs.wrapping_add(ack) };
    let mut segment = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    segment.extend(mine.wrapping_add(at).to_be_bytes());
    segment.extend(ack.to_be_bytes());
    segment.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    let pseudo = pseudo_header(from, 6, segment.len());
    let sum = checksum(&[&pseudo, &segment]);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    segment
}

fn pseudo_header(from: Host, protocol: u8, len: usize) -> Vec<u8> {
    let mut header = addresses(from).concat();
    header.extend([0, protocol]);
    header.extend((len as u16).to_be_bytes());
    header
}

pub(crate) fn ipv4(from: Host, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len() as u16).to_be_bytes();
    let mut header = vec![0x45, 0, len[0], len[1], 0, 0, 0x40, 0, 64, protocol, 0, 0];
    header.extend(addresses(from).concat());
    let sum = checksum(&[&header]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header.extend(payload);
    header
}

/// RFC 1071. Each part begins at an even offset.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum = words.fold(0_u32, |sum, word| {
        sum + u32::from(word[0]) * 256 + u32::from(word.get(1).copied().unwrap_or(0))
    });
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}
