//! Any text is either parsed or rejected. A parsed expression prints to a text that parses to the
//! same tree, and compiles to a program that verifies and runs.

#![no_main]

use libfuzzer_sys::fuzz_target;
use packet_filter::{Ancillary, ExtensionHeaders, Filter, LinkType, Options, Program, XdpFragment};

fuzz_target!(|input: (&str, &[u8], Option<u16>)| {
    let (text, packet, tag) = input;
    let Ok(filter) = text.parse::<Filter>() else { return };
    assert_eq!(filter.to_string().parse::<Filter>().as_ref(), Ok(&filter));
    let links = [
        LinkType::ETHERNET,
        LinkType::LINUX_SLL,
        LinkType::RAW,
        LinkType::NULL,
        LinkType::IEEE802_11_RADIOTAP,
        LinkType::IEEE802_11_PRISM,
        LinkType::PFLOG,
    ];
    for link_type in links {
        for options in [Options::file(), Options::socket().extension_headers(ExtensionHeaders::Followed)] {
            let Ok(program) = filter.compile(link_type, &options) else { continue };
            assert!(Program::from_instructions(program.instructions().to_vec()).is_ok());
            program.run(packet, packet.len() as u32, &Ancillary::vlan(tag));
            let _ = XdpFragment::new(&program);
        }
    }
});
