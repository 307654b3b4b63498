//! Programs for sockets. libpcap compiles for the loopback interface, for which the kernel removes
//! VLAN tags from the frames. Both programs run with the same metadata.

use filter_judge::{Libpcap, frames, skip};
use packet_filter::{Ancillary, Filter, LinkType, Options, Program};

#[test]
fn tags_in_the_metadata_are_found_as_libpcap_finds_them() {
    let Some(libpcap) = Libpcap::open() else { return skip("libpcap is not installed") };
    if let Err(error) = libpcap.compile_live("lo", "ip") {
        return skip(&format!("lo cannot be captured (CAP_NET_RAW): {error}"));
    }
    let expressions = [
        "vlan",
        "vlan 100",
        "vlan 200",
        "not vlan",
        "vlan and ip",
        "vlan 100 and host 192.0.2.1",
        "vlan and tcp port 80",
        "vlan and vlan",
        "vlan 100 and vlan 200",
        "vlan and ip6",
        "vlan and udp portrange 50-60",
        "vlan 100 or ip6",
        "vlan and arp",
        "not vlan and tcp",
        "vlan and ip[8] = 64",
        "vlan and tcp[tcpflags] & tcp-syn != 0",
        "vlan and mpls",
        "ether host 02:00:00:00:00:01 and vlan",
        "vlan and ether multicast",
        "inbound",
        "outbound",
        "ifindex 3",
        "inbound and vlan 100",
        "outbound and tcp",
        "inbound or ifindex 2",
        "llc",
        "llc ui",
        "vlan and llc",
        "vlan 100 and llc u",
        "decnet host 10.123",
        "vlan and decnet src 10.123",
        "tcp",
        "port 80",
        "host 192.0.2.1",
    ];
    // Each packet is truncated at 18 lengths. A step of five, which is coprime to 18, keeps every
    // length.
    let packets: Vec<_> = frames(1).into_iter().step_by(5).collect();
    let mut verdicts = 0;
    for expression in expressions {
        let filter: Filter = expression.parse().expect("an expression");
        let ours = filter.compile(LinkType::ETHERNET, &Options::socket()).expect("a program");
        let theirs = libpcap
            .compile_live("lo", expression)
            .unwrap_or_else(|error| panic!("{expression}: {error}"));
        let theirs = Program::from_instructions(theirs.instructions().to_vec())
            .unwrap_or_else(|error| panic!("{expression}: {error}"));
        println!(
            "{expression}: {} against {}",
            ours.instructions().len(),
            theirs.instructions().len()
        );
        for packet in &packets {
            for tag in [None, Some(100), Some(0xe064), Some(200), Some(0)] {
                for (packet_type, interface_index) in [(0, 3), (4, 2)] {
                    let mut ancillary = Ancillary::vlan(tag);
                    ancillary.packet_type = packet_type;
                    ancillary.interface_index = interface_index;
                    let run = |program: &Program| {
                        program.run(&packet.data, packet.wire_len, &ancillary) > 0
                    };
                    verdicts += 1;
                    assert_eq!(
                        run(&ours),
                        run(&theirs),
                        "{expression} {tag:?} {:02x?}\n{ours}\n\n{theirs}",
                        packet.data
                    );
                }
            }
        }
    }
    println!("{verdicts} verdicts");
}
