//! tshark's results.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const FIELDS: [&str; 13] = [
    "frame.number",
    "frame.protocols",
    "ip.src",
    "ip.dst",
    "ipv6.src",
    "ipv6.dst",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.len",
    "tcp.seq_raw",
    "udp.srcport",
    "udp.dstport",
    "udp.length",
];

/// tshark's results for the TCP and UDP packets of a capture file, by frame number.
#[derive(Debug)]
pub struct Reference {
    packets: HashMap<u64, Seen>,
}

/// The innermost flow of a packet, according to tshark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The protocols around it, by tshark's names.
    pub stack: String,
    /// 6 or 17; 0 for a packet that another one quotes.
    pub protocol: u8,
    /// Every possible source address: tshark lists several if there are extension headers.
    pub sources: Vec<IpAddr>,
    /// Every possible destination address.
    pub destinations: Vec<IpAddr>,
    /// Source and destination port.
    pub ports: (u16, u16),
    /// TCP: sequence number and payload length.
    pub tcp: Option<(u32, u32)>,
}

/// tshark could not be run.
#[derive(Debug)]
pub struct ReferenceError(io::Error);

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "running tshark (Debian: apt-get install tshark): {}", self.0)
    }
}

impl std::error::Error for ReferenceError {}

impl Reference {
    /// Runs tshark on a capture file, or reads its result from the folder `cache` under the name
    /// `name`.
    ///
    /// # Errors
    /// If tshark cannot be run. For a damaged file, the result covers the packets before the
    /// damage.
    pub fn of(capture: &Path, cache: Option<&Path>, name: &str) -> Result<Self, ReferenceError> {
        let stored: Option<PathBuf> =
            cache.map(|folder| folder.join(format!("{}.tsv", name.replace('/', "@"))));
        if let Some(path) = &stored
            && let Ok(bytes) = fs::read(path)
        {
            return Ok(Self::read(&String::from_utf8_lossy(&bytes)));
        }
        let mut tshark = Command::new("tshark");
        tshark.arg("-n").arg("-r").arg(capture).args(["-Y", "tcp or udp", "-T", "fields"]);
        for option in
            ["ip.defragment:FALSE", "ipv6.defragment:FALSE", "tcp.desegment_tcp_streams:FALSE"]
        {
            tshark.arg("-o").arg(option);
        }
        for field in FIELDS {
            tshark.arg("-e").arg(field);
        }
        tshark.args(["-E", "occurrence=a", "-E", "aggregator=,"]);
        let output =
            tshark.stdin(Stdio::null()).stderr(Stdio::null()).output().map_err(ReferenceError)?;
        if let Some(path) = stored {
            fs::write(path, &output.stdout).map_err(ReferenceError)?;
        }
        Ok(Self::read(&String::from_utf8_lossy(&output.stdout)))
    }

    /// tshark's result for a frame. `None` if it contains neither TCP nor UDP.
    #[must_use]
    pub fn frame(&self, number: u64) -> Option<&Seen> {
        self.packets.get(&number)
    }

    fn read(table: &str) -> Self {
        Self { packets: table.lines().filter_map(packet).collect() }
    }
}

/// Parses the innermost flow from a line of the table.
fn packet(line: &str) -> Option<(u64, Seen)> {
    let columns: Vec<&str> = line.split('\t').collect();
    let [number, protocols, ip_src, ip_dst, ipv6_src, ipv6_dst, tcp @ ..] = columns.as_slice()
    else {
        return None;
    };
    let [tcp_src, tcp_dst, tcp_len, tcp_seq, udp_src, udp_dst, _] = tcp else { return None };
    let stack: Vec<&str> = protocols.split(':').collect();
    let quoted =
        stack.iter().position(|layer| matches!(*layer, "icmp" | "icmpv6" | "sflow" | "cflow"));
    let upto = &stack[..quoted.unwrap_or(stack.len())];
    let tcp_at = upto.iter().position(|layer| *layer == "tcp");
    let udp_at = upto.iter().rposition(|layer| *layer == "udp");
    let at = tcp_at.or(udp_at);
    let mut seen = Seen {
        stack: stack[..at.map_or(stack.len(), |at| at + 1)].join(":"),
        protocol: 0,
        sources: Vec::new(),
        destinations: Vec::new(),
        ports: (0, 0),
        tcp: None,
    };
    if let Some(at) = at {
        let before = &stack[..at];
        let network = before.iter().rposition(|layer| matches!(*layer, "ip" | "ipv6"))?;
        let nth = before[..network].iter().filter(|layer| **layer == stack[network]).count();
        let (sources, destinations) =
            if stack[network] == "ip" { (ip_src, ip_dst) } else { (ipv6_src, ipv6_dst) };
        let only = stack.iter().filter(|layer| **layer == stack[network]).count() == 1;
        seen.sources = addresses(sources, nth, only);
        seen.destinations = addresses(destinations, nth, only);
        if tcp_at.is_some() {
            seen.protocol = 6;
            seen.ports = (number_at(tcp_src, 0)?, number_at(tcp_dst, 0)?);
            seen.tcp = Some((number_at(tcp_seq, 0)?, number_at(tcp_len, 0)?));
        } else {
            let nth = before.iter().filter(|layer| **layer == "udp").count();
            seen.protocol = 17;
            seen.ports = (number_at(udp_src, nth)?, number_at(udp_dst, nth)?);
        }
    }
    Some((number.parse().ok()?, seen))
}

fn addresses(list: &str, nth: usize, only: bool) -> Vec<IpAddr> {
    let all = list.split(',').filter_map(|text| text.parse().ok());
    if only { all.collect() } else { all.skip(nth).take(1).collect() }
}

fn number_at<T: std::str::FromStr>(list: &str, nth: usize) -> Option<T> {
    list.split(',').nth(nth)?.parse().ok()
}
