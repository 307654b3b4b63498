//! Compiles every expression with libpcap and with packet-filter, and runs both programs over the
//! same packets.

use std::collections::BTreeMap;
use std::path::Path;

use filter_judge::{Libpcap, Packet, expressions, frames, packets, skip};
use packet_filter::{
    Ancillary, CompileError, Filter, LinkType, MAX_EXTENSION_HEADERS, Options, Program, Target,
};

/// libpcap's number of each link type.
const LINK_TYPES: &[(i32, LinkType)] = &[
    (1, LinkType::ETHERNET),
    (113, LinkType::LINUX_SLL),
    (276, LinkType::LINUX_SLL2),
    (12, LinkType::RAW),
    (228, LinkType::IPV4),
    (229, LinkType::IPV6),
    (0, LinkType::NULL),
    (108, LinkType::LOOP),
];

/// Link types for which each of the two compilers lacks some of the other's primitives. SLIP is not
/// among them: libpcap mistakes its first byte, the direction, for the version of IP.
const RARE_LINK_TYPES: &[(i32, LinkType)] = &[
    (6, LinkType::TOKEN_RING),
    (7, LinkType::ARCNET_BSD),
    (9, LinkType::PPP),
    (10, LinkType::FDDI),
    (11, LinkType::ATM_RFC1483),
    (19, LinkType::ATM_CLIP),
    (50, LinkType::PPP_HDLC),
    (51, LinkType::PPP_ETHER),
    (104, LinkType::C_HDLC),
    (105, LinkType::IEEE802_11),
    (109, LinkType::ENC),
    (117, LinkType::PFLOG),
    (119, LinkType::IEEE802_11_PRISM),
    (122, LinkType::IP_OVER_FC),
    (123, LinkType::SUNATM),
    (127, LinkType::IEEE802_11_RADIOTAP),
    (129, LinkType::ARCNET_LINUX),
    (138, LinkType::APPLE_IP_OVER_IEEE1394),
    (163, LinkType::IEEE802_11_AVS),
    (166, LinkType::PPP_PPPD),
    (240, LinkType::NETANALYZER),
    (241, LinkType::NETANALYZER_TRANSPARENT),
];

/// The reason for an intended difference from libpcap's verdict. `None` if the verdicts must be
/// equal.
///
/// The documentation of packet-filter has the same list.
fn intended(
    link_type: LinkType,
    expression: &str,
    packet: &Packet,
    ours: bool,
) -> Option<&'static str> {
    let has = |word: &str| expression.contains(word);
    if has("protochain") && ours {
        return Some("libpcap takes an AH header's own length as the offset of what follows it");
    }
    if has("protochain") && extension_headers(&packet.data) > MAX_EXTENSION_HEADERS {
        return Some(
            "libpcap loops over any number of extension headers, which the kernel does not take",
        );
    }
    if matches!(link_type, LinkType::NULL | LinkType::ENC | LinkType::LOOP) {
        let family = packet.data.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))?;
        let compiled_in = match link_type {
            LinkType::NULL | LinkType::ENC => [2u32.swap_bytes(), 10u32.swap_bytes()],
            _ => [2, 10],
        };
        if !compiled_in.contains(&family) {
            return Some("libpcap knows the protocol families of this machine only");
        }
    }
    if link_type == LinkType::LINUX_SLL2
        && matches!(packet.data.first_chunk(), Some([0, 1 | 4] | [0x81, 0x37]))
    {
        return Some("libpcap looks for no 802.2 header in SLL2");
    }
    if has("geneve") && !has("geneve and") && ours && packet.data.len() < packet.wire_len as usize {
        return Some("libpcap reads the type behind a Geneve header even if nothing asks for it");
    }
    None
}

/// The same for link types with which libpcap's optimiser is off, limited or wrong.
fn intended_if_rare(
    filter: &Filter,
    link_type: LinkType,
    options: Options,
    packet: &Packet,
    theirs: bool,
) -> Option<&'static str> {
    let plain = filter.compile(link_type, &options.optimise(false)).ok()?;
    if run(&plain, packet) == theirs {
        return Some("our optimiser leaves out a load that decides nothing");
    }
    let has_length_field = matches!(
        link_type,
        LinkType::PFLOG
            | LinkType::IEEE802_11
            | LinkType::IEEE802_11_PRISM
            | LinkType::IEEE802_11_RADIOTAP
            | LinkType::IEEE802_11_AVS
    );
    if has_length_field && packet.data.len() < packet.wire_len as usize {
        return Some(
            "libpcap does not optimise where headers have no fixed length, and so loads more",
        );
    }
    let text = filter.to_string();
    let behind_tunnel = text.contains("geneve") || text.contains("pppoes");
    if has_length_field && behind_tunnel {
        return Some(
            "libpcap takes the start of a tunnel's packet from a memory cell that it never stored",
        );
    }
    let starts_otherwise = ["len", "less", "greater", "inbound", "outbound"];
    (has_length_field && starts_otherwise.iter().any(|word| text.contains(word)))
        .then_some("libpcap writes a constant over the length of a header that it has stored")
}

/// Returns `true` if libpcap does not support an expression, as opposed to rejecting it as invalid.
fn is_unsupported(error: &str) -> bool {
    ["not supported", "no MPLS support", "not implemented"].iter().any(|text| error.contains(text))
}

/// The number of options, routing and fragment headers at the start of an IPv6 packet on Ethernet.
fn extension_headers(data: &[u8]) -> usize {
    let (mut next, mut at) = (data.get(20).copied().unwrap_or(59), 54);
    let mut count = 0;
    while let (0 | 43 | 44 | 60, Some([following, length])) = (next, data.get(at..at + 2)) {
        (next, at, count) = (*following, at + (usize::from(*length) + 1) * 8, count + 1);
    }
    count
}

#[derive(Default)]
struct Tally {
    programs: usize,
    packets: usize,
    verdicts: u64,
    intended: BTreeMap<&'static str, u64>,
    differences: BTreeMap<String, (u64, String)>,
    errors: Vec<String>,
    /// The number of instructions, ours and libpcap's. Programs in which libpcap has a loop are
    /// left out.
    lengths: (usize, usize),
    longest: Vec<(f64, String)>,
}

impl Tally {
    fn judge(
        &mut self,
        libpcap: &Libpcap,
        all: &BTreeMap<i32, Vec<Packet>>,
        expressions: &[String],
    ) {
        for (number, link_type) in LINK_TYPES.iter().chain(RARE_LINK_TYPES) {
            let Some(packets) = all.get(number) else { continue };
            self.packets += packets.len();
            for expression in expressions {
                self.expression(libpcap, (*number, *link_type), expression, packets);
            }
        }
    }

    fn expression(
        &mut self,
        libpcap: &Libpcap,
        (number, link_type): (i32, LinkType),
        expression: &str,
        packets: &[Packet],
    ) {
        let filter: Filter = match expression.parse() {
            Ok(filter) => filter,
            Err(error) => return self.errors.push(format!("{expression}: {error}")),
        };
        let options = Options::file().netmask([255, 255, 255, 0].into());
        let is_rare = RARE_LINK_TYPES.iter().any(|(_, rare)| *rare == link_type);
        let theirs = libpcap.compile(number, expression);
        let ours = match (filter.compile(link_type, &options), &theirs) {
            (Ok(_), Err(error)) if is_rare && is_unsupported(error) => return,
            (Ok(ours), _) => ours,
            (Err(_), Err(_)) => return,
            (Err(CompileError::LinkType { .. }), Ok(_)) if is_rare => return,
            // Without a device, libpcap compiles expressions that need a live capture.
            (Err(_), Ok(theirs))
                if filter.compile(link_type, &options.target(Target::Socket)).is_ok() =>
            {
                assert!(
                    theirs.instructions().iter().any(|instruction| instruction.k > 0xffff_f000),
                    "{expression}"
                );
                return;
            }
            (Err(error), Ok(_)) => {
                return self.errors.push(format!("{link_type:?} {expression}: ours {error}"));
            }
        };
        self.programs += 1;
        let rejects_all =
            matches!(&theirs, Err(error) if error == "expression rejects all packets");
        match &theirs {
            Ok(theirs) if !expression.contains("protochain") => {
                let (our_len, their_len) = (ours.instructions().len(), theirs.instructions().len());
                self.lengths = (self.lengths.0 + our_len, self.lengths.1 + their_len);
                let what = format!("{link_type:?} {expression}: {our_len} against {their_len}");
                self.longest.push((our_len as f64 / their_len as f64, what));
            }
            Err(error) if !rejects_all => {
                return self.errors.push(format!("{link_type:?} {expression}: theirs {error}"));
            }
            _ => {}
        }
        for packet in packets {
            let our = run(&ours, packet);
            let their = theirs.as_ref().is_ok_and(|theirs| theirs.run(packet) > 0);
            self.verdicts += 1;
            if our == their {
                continue;
            }
            if is_rare
                && let Some(reason) = intended_if_rare(&filter, link_type, options, packet, their)
            {
                *self.intended.entry(reason).or_default() += 1;
                continue;
            }
            if let Some(reason) = intended(link_type, expression, packet, our) {
                *self.intended.entry(reason).or_default() += 1;
                continue;
            }
            let example = || {
                format!("{} of {} bytes {:02x?}", packet.data.len(), packet.wire_len, packet.data)
            };
            let key = format!("{link_type:?} {expression}: ours {our}");
            self.differences.entry(key).or_insert_with(|| (0, example())).0 += 1;
        }
    }

    fn report(&mut self, expressions: usize) {
        println!(
            "{expressions} expressions, {} programs, {} packets, {} verdicts, {} unexplained differences",
            self.programs,
            self.packets,
            self.verdicts,
            self.differences.values().map(|(count, _)| count).sum::<u64>(),
        );
        for (reason, count) in &self.intended {
            println!("{count} intended: {reason}");
        }
        let (ours, theirs) = self.lengths;
        println!("instructions: {ours} against {theirs}: {:.3}", ours as f64 / theirs as f64);
        self.longest.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (ratio, what) in self.longest.iter().take(12) {
            println!("  {ratio:.2} {what}");
        }
        for (what, (count, example)) in &self.differences {
            println!("{count} × {what}, such as {:.300}", example);
        }
        for error in &self.errors {
            println!("{error}");
        }
        assert!(self.differences.is_empty() && self.errors.is_empty());
    }
}

fn run(program: &Program, packet: &Packet) -> bool {
    program.run(&packet.data, packet.wire_len, &Ancillary::default()) > 0
}

#[test]
fn generated_packets_get_the_same_verdicts() {
    let Some(libpcap) = Libpcap::open() else { return skip("libpcap is not installed") };
    let link_types = LINK_TYPES.iter().chain(RARE_LINK_TYPES);
    let all = link_types.map(|(number, _)| (*number, frames(*number))).collect();
    let expressions = expressions();
    assert!(expressions.len() >= 500, "{}", expressions.len());
    let mut tally = Tally::default();
    tally.judge(&libpcap, &all, &expressions);
    tally.report(expressions.len());
}

#[test]
fn packets_of_the_corpus_get_the_same_verdicts() {
    let Some(libpcap) = Libpcap::open() else { return skip("libpcap is not installed") };
    let Ok(folder) = std::env::var("RINGTAP_CORPUS") else {
        return skip("RINGTAP_CORPUS is not set");
    };
    let all = packets(&libpcap, Path::new(&folder));
    let expressions = expressions();
    let mut tally = Tally::default();
    tally.judge(&libpcap, &all, &expressions);
    tally.report(expressions.len());
}
