//! `ringtap interfaces`: what can be captured on, and whether this process may.

use std::fmt::Write as _;

use ring_sys::capability::Capability;
use ring_sys::interface::{self, Interface};

use crate::Error;
use crate::output::Output;

/// Show the interfaces that packets can be captured on, and what this process may do.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// `IFF_UP`, `IFF_LOOPBACK` and `IFF_RUNNING` of `linux/if.h`.
const FLAGS: [(u32, &str); 3] = [(0x1, "up"), (0x40, "running"), (0x8, "loopback")];

pub(crate) fn run(_: &Arguments) -> Result<(), Error> {
    let output = Output::stdout();
    for interface in interface::list().map_err(Error::Interfaces)? {
        output.write(|w| writeln!(w, "{}", describe(&interface)));
    }
    output.write(|w| writeln!(w, "any: all of them at once"));
    let rights = [
        (Capability::NetRaw, "capture and inject packets"),
        (Capability::NetAdmin, "turn on hardware time stamps, attach XDP programs"),
        (Capability::Bpf, "load XDP programs"),
        (Capability::IpcLock, "lock ring memory beyond the limit"),
    ];
    output.write(|w| writeln!(w, "\nThis process:"));
    for (capability, purpose) in rights {
        let held = capability.is_effective().map_err(Error::Interfaces)?;
        let verdict = if held { "may" } else { "may not" };
        output.write(|w| writeln!(w, "  {verdict:<7} {purpose} ({})", capability.name()));
    }
    if !Capability::NetRaw.is_effective().map_err(Error::Interfaces)? {
        output.write(|w| {
            writeln!(
                w,
                "\nTo capture: run as root, or `setcap cap_net_raw+ep` this program as root once."
            )
        });
    }
    Ok(output.finish()?)
}

/// One line: name, index, state, MTU, address, driver, queues, offloads.
fn describe(interface: &Interface) -> String {
    let mut line = format!("{}: index {}", interface.name, interface.index);
    for (flag, name) in FLAGS {
        if interface.flags & flag != 0 {
            let _ = write!(line, ", {name}");
        }
    }
    let _ = write!(line, ", mtu {}", interface.mtu);
    if let Some(mac) = interface.mac {
        let text: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = write!(line, ", address {}", text.join(":"));
    }
    if let Some(driver) = &interface.driver {
        let _ = write!(line, ", driver {driver}");
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
    let on: Vec<&str> = named.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
    let _ =
        write!(line, ", offloads {}", if on.is_empty() { "none".to_owned() } else { on.join(" ") });
    if interface.timestamping.is_some_and(|bits| bits & HARDWARE_RECEIVE != 0) {
        line.push_str(", hardware time stamps");
    }
    line
}

/// `SOF_TIMESTAMPING_RX_HARDWARE` of `linux/net_tstamp.h`.
const HARDWARE_RECEIVE: u32 = 1 << 2;
