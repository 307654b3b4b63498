//! A packet in one line, and its bytes in the lines below.

use std::io::{self, Write};

use flow::{Headers, LinkType, Packet, Parsed, TcpFlags, Timestamp, protocol};

use crate::text::clock::Clock;
use crate::text::payload;
use crate::text::wrap::Width;

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;

/// The parts of each packet that are printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) stamps: Stamps,
    /// Decimals of seconds.
    pub(crate) decimals: usize,
    pub(crate) number: bool,
    pub(crate) link_header: bool,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    pub(crate) bytes: Bytes,
    /// Bytes from the link layer on, not from the network layer on.
    pub(crate) with_link_layer: bool,
}

/// The time before each line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stamps {
    Time,
    None,
    Seconds,
    SinceLast,
    Date,
    SinceFirst,
}

/// The form of the bytes below a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bytes {
    None,
    Text,
    Hex { text: bool },
}

/// Prints packets in the manner of tcpdump.
#[derive(Debug)]
pub(crate) struct Printer {
    clock: Clock,
    look: Look,
    printed: u64,
    first: Timestamp,
    last: Timestamp,
}

#[cfg(fuzzing)]
impl Default for Look {
    fn default() -> Self {
        Self {
            stamps: Stamps::Time,
            decimals: 6,
            number: false,
            link_header: false,
            quiet: false,
            verbose: false,
            bytes: Bytes::None,
            with_link_layer: false,
        }
    }
}

impl Printer {
    pub(crate) fn new(clock: Clock, look: Look) -> Self {
        let time = Timestamp::default();
        Self { clock, look, printed: 0, first: time, last: time }
    }

    /// Prints the time, who speaks to whom, and how much; below it the bytes, if they are wanted.
    pub(crate) fn print(
        &mut self,
        w: &mut dyn Write,
        width: Width,
        packet: &Packet<'_>,
    ) -> io::Result<()> {
        let meta = packet.meta();
        let payload = packet.without_fcs();
        let data = payload.data();
        self.printed += 1;
        if self.look.number {
            write!(w, "{:5}  ", self.printed)?;
        }
        self.stamp(w, meta.timestamp)?;
        if self.look.link_header {
            link_header(w, &payload)?;
        }
        let parsed = flow::parse(&payload);
        // What is no IP packet begins behind an Ethernet header, too.
        let is_ethernet = payload.link_type() == LinkType::ETHERNET;
        let mut network = if is_ethernet { ETHERNET.min(data.len()) } else { 0 };
        match &parsed {
            Ok(Parsed::Transport(headers)) => {
                network = headers.network_offset as usize;
                self.transport(w, headers, data)?;
            }
            Ok(Parsed::Fragment(fragment)) => {
                let (from, to) = (fragment.source, fragment.destination);
                writeln!(w, "fragment of {from} > {to}, length {}", meta.wire_len)?;
            }
            Ok(Parsed::FrameFragment(_)) => {
                writeln!(w, "fragment of a frame, length {}", meta.wire_len)?;
            }
            Err(reason) => writeln!(w, "{reason}, length {}", meta.wire_len)?,
        }
        let start = if self.look.with_link_layer { 0 } else { network };
        let bytes = data.get(start..).unwrap_or_default();
        match self.look.bytes {
            Bytes::None => Ok(()),
            Bytes::Text => payload::ascii(w, width, bytes),
            Bytes::Hex { text } => payload::dump(w, width, 0, bytes, text),
        }
    }

    fn stamp(&mut self, w: &mut dyn Write, time: Timestamp) -> io::Result<()> {
        let decimals = self.look.decimals;
        let moment = self.clock.at(time);
        if self.printed == 1 {
            (self.first, self.last) = (time, time);
        }
        let since = |w: &mut dyn Write, before: Timestamp| {
            // Time may run backwards.
            let sign = if time < before { "-" } else { " " };
            let nanos = time.as_nanos().abs_diff(before.as_nanos());
            let elapsed = Clock::new(true).at(Timestamp::from_nanos(nanos));
            write!(w, "{sign}{} ", elapsed.precise(decimals))
        };
        match self.look.stamps {
            Stamps::None => {}
            Stamps::Time => write!(w, "{} ", moment.precise(decimals))?,
            Stamps::Date => {
                write!(w, "{} {} ", moment.day_of_calendar(), moment.precise(decimals))?;
            }
            Stamps::Seconds => {
                let fraction = format!("{:09}", time.subsec_nanos());
                write!(w, "{}.{} ", time.seconds(), &fraction[..decimals])?;
            }
            Stamps::SinceLast => since(w, self.last)?,
            Stamps::SinceFirst => since(w, self.first)?,
        }
        self.last = time;
        Ok(())
    }

    fn transport(&self, w: &mut dyn Write, headers: &Headers, data: &[u8]) -> io::Result<()> {
        let Headers {
            source,
            destination,
            source_port,
            destination_port,
            payload_wire_len: len,
            ..
        } = headers;
        let family = if source.is_ipv4() { "IP" } else { "IP6" };
        write!(w, "{family} ")?;
        let network = data.get(headers.network_offset as usize..);
        if self.look.verbose
            && let Some(header) = network.and_then(<[u8]>::first_chunk::<9>)
        {
            let number = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
            match source.is_ipv4() {
                true => write!(w, "(ttl {}, id {}, length {}) ", header[8], number(4), number(2))?,
                false => write!(w, "(hlim {}, payload length {}) ", header[7], number(4))?,
            }
        }
        let ports =
            format_args!("{source}.{source_port} > {destination}.{destination_port}").to_string();
        match headers.protocol {
            protocol::TCP if self.look.quiet => writeln!(w, "{ports}: tcp {len}"),
            protocol::TCP => {
                let tcp = &headers.tcp;
                write!(w, "{ports}: Flags [{}], seq {}", flags(tcp.flags), tcp.sequence)?;
                if tcp.flags.contains(TcpFlags::ACK) {
                    write!(w, ", ack {}", tcp.acknowledgement)?;
                }
                writeln!(w, ", win {}, length {len}", tcp.window)
            }
            protocol::UDP => writeln!(w, "{ports}: UDP, length {len}"),
            other => writeln!(w, "{source} > {destination}: protocol {other}, length {len}"),
        }
    }
}

/// Prints the addresses and the EtherType of an Ethernet frame; of other frames only what they are.
fn link_header(w: &mut dyn Write, packet: &Packet<'_>) -> io::Result<()> {
    let len = packet.wire_len();
    match packet.data().first_chunk::<ETHERNET>() {
        Some(header) if packet.link_type() == LinkType::ETHERNET => {
            address(w, &header[6..12])?;
            w.write_all(b" > ")?;
            address(w, &header[..6])?;
            let kind = u16::from_be_bytes([header[12], header[13]]);
            write!(w, ", ethertype 0x{kind:04x}, length {len}: ")
        }
        _ => write!(w, "link type {}, length {len}: ", packet.link_type().0),
    }
}

fn address(w: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    for (at, byte) in bytes.iter().enumerate() {
        write!(w, "{}{byte:02x}", if at > 0 { ":" } else { "" })?;
    }
    Ok(())
}

/// The control bits as tcpdump prints them: `S`, `F`, `P.` …
fn flags(flags: TcpFlags) -> String {
    let letters = [
        (TcpFlags::FIN, 'F'),
        (TcpFlags::SYN, 'S'),
        (TcpFlags::RST, 'R'),
        (TcpFlags::PSH, 'P'),
        (TcpFlags::ACK, '.'),
        (TcpFlags::URG, 'U'),
        (TcpFlags::ECE, 'E'),
        (TcpFlags::CWR, 'W'),
    ];
    let set: String = letters
        .iter()
        .filter(|(flag, _)| flags.contains(*flag))
        .map(|(_, letter)| letter)
        .collect();
    if set.is_empty() { "none".to_owned() } else { set }
}
