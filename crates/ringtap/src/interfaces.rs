//! `ringtap interfaces`: what can be captured on, and what this process may do.

use std::fmt::Write as _;
use std::io;

use ring_core::{LinkType, link_type_of};
use ring_sys::bpf::instruction::{MOV_K, Register};
use ring_sys::bpf::{self, ProgramKind};
use ring_sys::capability::Capability;
use ring_sys::interface::{self, Interface};
use ring_sys::packet::PacketSocket;

use crate::Error;
use crate::output::Output;
use crate::text::escape::Escaped;

/// Show the interfaces that packets can be captured on, and what this process may do.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// `IFF_*` of `linux/if.h`.
const FLAGS: [(u32, &str); 8] = [
    (0x1, "up"),
    (0x40, "running"),
    (0x8, "loopback"),
    (0x10, "point-to-point"),
    (0x2, "broadcast"),
    (0x1000, "multicast"),
    (0x80, "no ARP"),
    (0x100, "promiscuous"),
];

/// `SOF_TIMESTAMPING_*` of `linux/net_tstamp.h`.
const TIMESTAMPING: [(u32, &str); 4] = [
    (1 << 3, "software"),
    (1 << 2, "hardware"),
    (1 << 1, "software when sent"),
    (1 << 0, "hardware when sent"),
];

pub(crate) fn run(_: &Arguments) -> Result<(), Error> {
    let output = Output::stdout(false)?;
    for interface in interface::list().map_err(Error::Interfaces)? {
        output.write(|w| writeln!(w, "{}", describe(&interface)));
    }
    output.write(|w| writeln!(w, "any: all interfaces at once"));
    output.write(|w| writeln!(w, "\nThis process"));
    for (what, obstacle) in rights().map_err(Error::Interfaces)? {
        output.write(|w| match &obstacle {
            None => writeln!(w, "  may {what}"),
            Some(why) => writeln!(w, "  may not {what}: {why}"),
        });
    }
    Ok(output.finish()?)
}

/// Prints a numbered line for each interface, as tcpdump does.
pub(crate) fn print_names(output: &Output) -> Result<(), Error> {
    let all = interface::list().map_err(Error::Interfaces)?;
    for (number, Interface { name, flags, .. }) in (1..).zip(&all) {
        let named: Vec<_> = FLAGS[..3]
            .iter()
            .filter(|(flag, _)| flags & flag != 0)
            .map(|(_, name)| *name)
            .collect();
        output.write(|w| writeln!(w, "{number}.{} [{}]", Escaped(name), named.join(", ")));
    }
    output.write(|w| writeln!(w, "{}.any (all interfaces at once)", all.len() + 1));
    Ok(())
}

/// Returns one line with everything that is known of an interface.
fn describe(interface: &Interface) -> String {
    let mut line = format!("{}: index {}", Escaped(&interface.name), interface.index);
    for (flag, name) in FLAGS {
        if interface.flags & flag != 0 {
            let _ = write!(line, ", {name}");
        }
    }
    let _ = match link_type_of(interface.hardware_type) {
        Some(LinkType::ETHERNET) => write!(line, ", Ethernet"),
        Some(LinkType::RAW) => write!(line, ", raw IP"),
        Some(link_type) => write!(line, ", link type {}", link_type.0),
        None => write!(
            line,
            ", cannot be captured on: packets of hardware type {} (linux/if_arp.h) are not read",
            interface.hardware_type
        ),
    };
    let _ = write!(line, ", mtu {}", interface.mtu);
    if let Some(mac) = interface.mac {
        let text: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = write!(line, ", address {}", text.join(":"));
    }
    if let Some(driver) = &interface.driver {
        let _ = write!(line, ", driver {}", Escaped(driver));
    }
    if let Some(speed) = interface.speed {
        let _ = write!(line, ", {speed} Mbit/s");
    }
    let (receive, send) = interface.queues;
    let _ = write!(line, ", queues {receive} in {send} out");
    if let Some(node) = interface.numa_node {
        let _ = write!(line, ", NUMA node {node}");
    }
    let offloads = interface.offloads;
    let named = [
        (offloads.rx_checksum, "rx-checksum"),
        (offloads.tx_checksum, "tx-checksum"),
        (offloads.tcp_segmentation, "tso"),
        (offloads.generic_receive, "gro"),
        (offloads.large_receive, "lro"),
    ];
    list(&mut line, "offloads", named);
    let bits = interface.timestamping.unwrap_or(0);
    list(&mut line, "time stamps", TIMESTAMPING.map(|(bit, name)| (bits & bit != 0, name)));
    line
}

/// Appends what of this there is.
fn list<const N: usize>(line: &mut String, title: &str, names: [(bool, &str); N]) {
    let there: Vec<&str> =
        names.iter().filter(|(there, _)| *there).map(|(_, name)| *name).collect();
    let there = if there.is_empty() { "none".to_owned() } else { there.join(" + ") };
    let _ = write!(line, ", {title}: {there}");
}

/// The things that can be done, each with the obstacle if there is one. If trying changes nothing
/// it is tried, since a capability may be in effect and still not reach: a network namespace
/// belongs to a user namespace, and BPF to the first of them.
fn rights() -> io::Result<[(&'static str, Option<String>); 4]> {
    let lacks = |needed: Capability| -> io::Result<Option<String>> {
        let name = needed.name();
        let why =
            format!("{name} is not in effect; run as root, or `setcap {name}+ep PROGRAM` once");
        Ok((!needed.is_effective()?).then_some(why))
    };
    let refused = |needed: Capability, error: io::Error| -> io::Result<String> {
        if error.kind() != io::ErrorKind::PermissionDenied {
            return Ok(error.to_string());
        }
        let elsewhere = || format!("{} is in effect, but not where it is needed", needed.name());
        Ok(lacks(needed)?.unwrap_or_else(elsewhere))
    };

    let capture = match PacketSocket::new() {
        Ok(_) => None,
        Err(error) => {
            let hint = "; `unshare -rn` gives a network namespace that sees only its own traffic";
            Some(refused(Capability::NetRaw, error)? + hint)
        }
    };
    let pass =
        [bpf::Instruction::new(MOV_K, Register::R0, Register::R0, 0, 2), bpf::Instruction::exit()];
    let kind = ProgramKind::Xdp { fragments: false };
    let load = match bpf::Program::load(kind, &pass, "ringtap") {
        Ok(_) => None,
        Err(error) => Some(refused(Capability::Bpf, error.source)?),
    };
    Ok([
        ("capture and inject packets", capture),
        ("switch hardware time stamps on, attach XDP programs", lacks(Capability::NetAdmin)?),
        ("load XDP programs", load),
        ("lock any amount of memory, as AF_XDP may need", lacks(Capability::IpcLock)?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_told_of_the_loopback_interface() {
        let loopback = interface::find("lo").expect("every namespace has it");
        let line = describe(&loopback);
        for part in [
            "lo: index 1",
            ", loopback",
            ", Ethernet, mtu ",
            ", address 00:00:00:00:00:00",
            ", queues ",
            ", offloads: ",
            ", time stamps: ",
        ] {
            assert!(line.contains(part), "{part:?} in {line}");
        }
    }

    #[test]
    fn a_name_moves_no_cursor() {
        let mut loopback = interface::find("lo").expect("every namespace has it");
        loopback.name = "e\u{1b}[2Jth\n\u{202e}0".to_owned();
        let line = describe(&loopback);
        assert!(!line.contains(['\u{1b}', '\n', '\u{202e}']), "{line:?}");
        assert!(line.starts_with("e\\"), "{line:?}");
    }

    #[test]
    fn what_may_be_done_is_what_can_be_done() {
        let rights = rights().expect("this process has a status");
        let capture = &rights[0].1;
        assert_eq!(capture.is_none(), PacketSocket::new().is_ok(), "{capture:?}");
        assert!(rights.iter().all(|(_, obstacle)| obstacle.as_deref() != Some("")));
    }
}
