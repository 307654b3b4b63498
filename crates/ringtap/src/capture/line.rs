//! A packet in one line.

use std::io::{self, Write};

use flow::{Headers, LinkType, Parsed, TcpFlags, Timestamp, protocol};
use ring_core::Packet;

use crate::text::clock::Clock;

/// Prints the time, who speaks to whom, and how much, in the manner of tcpdump.
pub(crate) fn print(w: &mut dyn Write, clock: &Clock, packet: &Packet<'_>) -> io::Result<()> {
    let meta = packet.meta();
    let (data, wire_len) = packet.without_fcs();
    let mut borrowed = flow::Packet::new(
        data,
        Timestamp::from_nanos(meta.timestamp.as_nanos()),
        LinkType(meta.link_type.0),
    );
    borrowed.wire_len = wire_len;
    borrowed.vlan_tci = meta.vlan.map(|tag| tag.tci);
    write!(w, "{} ", clock.at(borrowed.timestamp).time())?;
    match flow::parse(&borrowed) {
        Ok(Parsed::Transport(headers)) => transport(w, &headers),
        Ok(Parsed::Fragment(fragment)) => {
            writeln!(
                w,
                "fragment of {} > {}, length {}",
                fragment.source, fragment.destination, meta.wire_len
            )
        }
        Ok(Parsed::FrameFragment(_)) => {
            writeln!(w, "fragment of a frame, length {}", meta.wire_len)
        }
        Err(reason) => writeln!(w, "{reason}, length {}", meta.wire_len),
    }
}

fn transport(w: &mut dyn Write, headers: &Headers) -> io::Result<()> {
    let Headers {
        source, destination, source_port, destination_port, payload_wire_len: len, ..
    } = headers;
    let family = if source.is_ipv4() { "IP" } else { "IP6" };
    match headers.protocol {
        protocol::TCP => {
            let tcp = &headers.tcp;
            write!(
                w,
                "{family} {source}.{source_port} > {destination}.{destination_port}: Flags [{}], seq {}",
                flags(tcp.flags),
                tcp.sequence
            )?;
            if tcp.flags.contains(TcpFlags::ACK) {
                write!(w, ", ack {}", tcp.acknowledgement)?;
            }
            writeln!(w, ", win {}, length {len}", tcp.window)
        }
        protocol::UDP => {
            writeln!(
                w,
                "{family} {source}.{source_port} > {destination}.{destination_port}: UDP, length {len}"
            )
        }
        other => writeln!(w, "{family} {source} > {destination}: protocol {other}, length {len}"),
    }
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
