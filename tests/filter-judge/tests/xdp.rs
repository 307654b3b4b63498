//! Filters as XDP programs: the kernel's verifier accepts them, and their verdicts are those of the
//! interpreter.

use filter_judge::{Packet, XdpProgram, expressions, frames, skip};
use packet_filter::{
    Ancillary, CompileError, ExtensionHeaders, Filter, LinkType, Options, XdpAction, XdpFragment,
};

/// Returns `true` if this process may load programs.
fn may_load() -> bool {
    let fragment = Filter::everything().xdp(&Options::file()).expect("the shortest fragment");
    match XdpProgram::load(&fragment.program(XdpAction::Drop, XdpAction::Pass)) {
        Ok(_) => true,
        Err(error) if error.error.raw_os_error() != Some(libc::EPERM) => {
            panic!("{}\n{}", error.error, error.log)
        }
        Err(error) => {
            skip(&format!(
                "BPF programs cannot be loaded (CAP_BPF and CAP_NET_ADMIN): {}",
                error.error
            ));
            false
        }
    }
}

/// Packets that the kernel accepts for a test run, which requires an Ethernet header. One of each
/// length and kind is enough.
fn packets() -> Vec<Packet> {
    let mut packets: Vec<Packet> =
        frames(1).into_iter().filter(|packet| packet.data.len() >= 15).collect();
    packets.iter_mut().for_each(|packet| packet.wire_len = packet.data.len() as u32);
    packets.into_iter().step_by(11).collect()
}

fn judge(expression: &str, options: &Options, packets: &[Packet]) -> usize {
    let filter: Filter = expression.parse().unwrap_or_else(|error| panic!("{expression}: {error}"));
    let classic =
        match filter.compile(LinkType::ETHERNET, &options.target(packet_filter::Target::File)) {
            Ok(classic) => classic,
            Err(CompileError::LiveOnly { .. } | CompileError::Encapsulated { .. }) => return 0,
            // XDP packets begin with an Ethernet header, so both forms refuse the fields of others.
            Err(CompileError::LinkType { .. }) => {
                let refused = filter.xdp(options);
                assert!(
                    matches!(refused, Err(CompileError::LinkType { .. })),
                    "{expression}: {refused:?}"
                );
                return 0;
            }
            Err(error) => panic!("{expression}: {error}"),
        };
    let fragment = filter.xdp(options).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let program = XdpProgram::load(&fragment.program(XdpAction::Drop, XdpAction::Pass))
        .unwrap_or_else(|error| panic!("{expression}: {}\n{}\n{classic}", error.error, error.log));
    for packet in packets {
        let expected = classic.run(&packet.data, packet.wire_len, &Ancillary::default()) > 0;
        let action =
            program.run(&packet.data).unwrap_or_else(|error| panic!("{expression}: {error}"));
        assert_eq!(
            action == XdpAction::Drop as u32,
            expected,
            "{expression} {:02x?}\n{classic}",
            packet.data
        );
    }
    packets.len()
}

#[test]
fn the_kernel_agrees_with_the_interpreter() {
    if !may_load() {
        return;
    }
    let packets = packets();
    let options = Options::file().netmask([255, 255, 255, 0].into());
    let expressions = expressions();
    let runs: usize =
        expressions.iter().map(|expression| judge(expression, &options, &packets)).sum();
    println!("{} programs, {runs} runs", expressions.len());
    assert!(runs > 100_000, "{runs}");
}

#[test]
fn extension_headers_and_plain_programs_pass_the_verifier() {
    if !may_load() {
        return;
    }
    let packets = packets();
    let options = Options::file().extension_headers(ExtensionHeaders::Followed);
    for expression in ["tcp port 80", "tcp", "icmp6", "port 53 or portrange 1-1024", "not udp"] {
        judge(expression, &options, &packets);
        judge(expression, &options.optimise(false), &packets);
    }
}

#[test]
fn division_and_shifts_are_those_of_classic_bpf() {
    if !may_load() {
        return;
    }
    let packets = packets();
    for expression in [
        "ip[8] / ip[1] = 0",
        "ip[8] % ip[1] = 0",
        "1 << ip[8] = 0",
        "1 >> ip[8] = 0",
        "ip[ip[2:2]] = 0",
        "len = 60",
    ] {
        judge(expression, &Options::file(), &packets);
    }
}

#[test]
fn kernel_metadata_has_no_place_in_xdp() {
    let filter: Filter = "vlan 5".parse().expect("an expression");
    let program = filter.compile(LinkType::ETHERNET, &Options::socket()).expect("a program");
    assert_eq!(XdpFragment::new(&program), Err(CompileError::NotInXdp { at: 0 }));
}
