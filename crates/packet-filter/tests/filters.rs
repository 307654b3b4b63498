//! Expressions, compiled and run over frames that are built here.

use packet_filter::{Ancillary, ExtensionHeaders, Filter, Instruction, LinkType, Options, Program};

/// An Ethernet frame with a TCP segment from 192.0.2.1:1024 to 192.0.2.2:443.
fn tcp_frame() -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00];
    frame.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    frame.extend([4, 0, 1, 187, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0, 0, 0, 0, 0, 0]);
    frame
}

/// The same with a VLAN tag, identifier 5.
fn tagged_frame() -> Vec<u8> {
    let mut frame = tcp_frame();
    frame.splice(12..12, [0x81, 0x00, 0x20, 0x05]);
    frame
}

fn program(expression: &str, options: &Options) -> Program {
    let filter: Filter =
        expression.parse().unwrap_or_else(|error| panic!("{:.80}: {error}", expression));
    filter
        .compile(LinkType::ETHERNET, options)
        .unwrap_or_else(|error| panic!("{:.80}: {error}", expression))
}

fn matches(expression: &str, options: &Options, frame: &[u8], ancillary: &Ancillary) -> bool {
    program(expression, options).run(frame, frame.len() as u32, ancillary) > 0
}

#[test]
fn primitives_match_what_they_name() {
    let frame = tcp_frame();
    for options in [Options::file(), Options::file().optimise(false)] {
        for (expression, expected) in [
            ("", true),
            ("tcp", true),
            ("udp", false),
            ("tcp port 443", true),
            ("tcp src port 443", false),
            ("port https or ssh", true),
            ("portrange 1000-1100", true),
            ("src host 192.0.2.1 and dst net 192.0.2.0/24", true),
            ("host 192.0.2.3", false),
            ("ether host 02:00:00:00:00:01", true),
            ("ip6", false),
            ("tcp[tcpflags] & (tcp-syn|tcp-fin) != 0", true),
            ("tcp[tcpflags] & tcp-ack != 0", false),
            ("len = 54 and ip[2:2] = 40", true),
            ("ip[0] & 0xf != 5", false),
            ("not vlan", true),
            ("less 54 and greater 54", true),
        ] {
            assert_eq!(
                matches(expression, &options, &frame, &Ancillary::default()),
                expected,
                "{expression}"
            );
        }
    }
}

#[test]
fn a_vlan_tag_is_found_in_the_frame_and_in_the_metadata() {
    let (tagged, plain) = (tagged_frame(), tcp_frame());
    let stripped = Ancillary::vlan(Some(0x2005));
    for (expression, expected) in [
        ("vlan", true),
        ("vlan 5", true),
        ("vlan 6", false),
        ("vlan 5 and tcp port 443", true),
        ("vlan and udp", false),
    ] {
        assert_eq!(
            matches(expression, &Options::file(), &tagged, &Ancillary::default()),
            expected,
            "{expression}"
        );
        assert_eq!(
            matches(expression, &Options::socket(), &tagged, &Ancillary::default()),
            expected,
            "{expression}"
        );
        assert_eq!(
            matches(expression, &Options::socket(), &plain, &stripped),
            expected,
            "{expression}"
        );
        assert!(
            !matches(expression, &Options::socket(), &plain, &Ancillary::default()),
            "{expression}"
        );
    }
}

/// Covers every kind of extension header with various lengths. The second byte of a fragment header
/// is reserved, not a length.
#[test]
fn extension_headers_of_any_length_are_followed() {
    let header = |next, length, bytes: usize| {
        let mut header = vec![0; bytes];
        header[..2].copy_from_slice(&[next, length]);
        header
    };
    let headers = [
        header(60, 1, 16),
        header(43, 3, 32),
        header(44, 2, 24),
        header(51, 60, 8),
        header(17, 4, 24),
        vec![0x30, 0x39, 0, 53, 0, 8, 0, 0],
    ]
    .concat();
    let mut frame = vec![0; 54];
    frame[12..15].copy_from_slice(&[0x86, 0xdd, 0x60]);
    frame.extend(headers);
    for optimise in [true, false] {
        let options =
            Options::file().extension_headers(ExtensionHeaders::Followed).optimise(optimise);
        for (expression, expected) in [
            ("udp dst port 53", true),
            ("src port 12345", true),
            ("ip6 proto 17", true),
            ("ip6 protochain 17", true),
            ("udp dst port 54", false),
            ("tcp", false),
        ] {
            let matched = matches(expression, &options, &frame, &Ancillary::default());
            assert_eq!(matched, expected, "{expression}, optimised: {optimise}");
        }
    }
}

#[test]
fn a_match_returns_the_snap_length() {
    let frame = tcp_frame();
    let program = program("tcp", &Options::file().snaplen(96));
    assert_eq!(program.run(&frame, frame.len() as u32, &Ancillary::default()), 96);
    assert_eq!(program.run(&frame[..20], frame.len() as u32, &Ancillary::default()), 0);
}

#[test]
fn far_jumps_are_reached() {
    let hosts: Vec<String> =
        (0..800).map(|host| format!("host 10.{}.{}.1", host / 250, host % 250)).collect();
    let all = program(&hosts.join(" or "), &Options::socket());
    assert!(all.instructions().len() < 4096, "{}", all.instructions().len());
    let mut frame = tcp_frame();
    assert_eq!(all.run(&frame, 54, &Ancillary::default()), 0);
    frame[30..34].copy_from_slice(&[10, 3, 49, 1]);
    assert_eq!(all.run(&frame, 54, &Ancillary::default()), 262_144);
    let twice: Vec<String> = (0..6_000).map(|host| format!("src host {host}")).collect();
    let filter: Filter = twice.join(" or ").parse().expect("a long expression");
    assert!(filter.compile(LinkType::ETHERNET, &Options::socket()).is_err());
}

#[test]
fn programs_of_others_are_verified_and_run() {
    let from = |instructions: &[(u16, u8, u8, u32)]| {
        let instructions = instructions.iter().map(|(code, jt, jf, k)| Instruction {
            code: *code,
            jt: *jt,
            jf: *jf,
            k: *k,
        });
        Program::from_instructions(instructions.collect())
    };
    // tcpdump -dd arp
    let arp = from(&[(0x28, 0, 0, 12), (0x15, 0, 1, 0x806), (0x6, 0, 0, 262_144), (0x6, 0, 0, 0)])
        .expect("valid");
    assert_eq!(arp, program("arp", &Options::file()));
    for wrong in [
        &[(0x15, 0, 5, 0), (0x6, 0, 0, 0)][..],
        &[(0x05, 0, 0, u32::MAX), (0x6, 0, 0, 0)],
        &[(0x60, 0, 0, 3), (0x16, 0, 0, 0)],
        &[(0x34, 0, 0, 0), (0x16, 0, 0, 0)],
        &[(0x28, 0, 0, 12)],
        &[(0xffff, 0, 0, 12), (0x16, 0, 0, 0)],
        &[],
    ] {
        assert!(from(wrong).is_err(), "{wrong:?}");
    }
}

/// SLIP has a header of 16 bytes that does not name the protocol.
#[test]
fn slip_is_raw_ip_behind_a_header() {
    let ip = tcp_frame().split_off(14);
    let slip = [&[0x45; 16][..], &ip].concat();
    for expression in ["ip", "ip6", "tcp port 443", "udp", "host 192.0.2.1", "not tcp", "ip[8] > 1"]
    {
        let filter: Filter = expression.parse().expect("an expression");
        let verdict = |link_type, frame: &[u8]| {
            let program = filter.compile(link_type, &Options::file()).expect("a program");
            program.run(frame, frame.len() as u32, &Ancillary::default()) > 0
        };
        assert_eq!(verdict(LinkType::SLIP, &slip), verdict(LinkType::RAW, &ip), "{expression}");
    }
}

/// A data frame of 802.11 behind a radiotap header of 8 bytes, with a VLAN tag behind its 802.2
/// header.
#[test]
fn vlan_tags_and_radio_headers_of_wireless_frames_are_found() {
    let radiotap = [0, 0, 8, 0, 0, 0, 0, 0];
    let mut wireless = vec![0x08, 1];
    wireless.resize(24, 7);
    wireless.extend([0xaa, 0xaa, 3, 0, 0, 0]);
    let tagged = [&wireless[..], &tagged_frame()[12..]].concat();
    let plain = [&wireless[..], &tcp_frame()[12..]].concat();
    let with_radio = [&radiotap[..], &tagged].concat();
    for options in [Options::file(), Options::file().optimise(false)] {
        let verdict = |link_type, expression: &str, frame: &[u8]| {
            let filter: Filter = expression.parse().unwrap();
            let program = filter.compile(link_type, &options).unwrap();
            program.run(frame, frame.len() as u32, &Ancillary::default()) > 0
        };
        for (expression, expected) in [
            ("vlan", true),
            ("vlan 5 and tcp port 443", true),
            ("vlan 6", false),
            ("tcp", false),
            ("vlan and udp", false),
        ] {
            for (link_type, frame) in
                [(LinkType::IEEE802_11, &tagged), (LinkType::IEEE802_11_RADIOTAP, &with_radio)]
            {
                assert_eq!(verdict(link_type, expression, frame), expected, "{expression}");
            }
        }
        assert!(!verdict(LinkType::IEEE802_11, "vlan", &plain));
        for (expression, expected) in [
            ("radio[2] = 8 and vlan 5", true),
            ("radio[2:2] = 8", false),
            ("radio[0:4] & 0xff00 = 0x800", true),
        ] {
            let found = verdict(LinkType::IEEE802_11_RADIOTAP, expression, &with_radio);
            assert_eq!(found, expected, "{expression}");
        }
    }
    let filter: Filter = "radio[0] = 0".parse().unwrap();
    assert!(filter.compile(LinkType::IEEE802_11, &Options::file()).is_err());
}
