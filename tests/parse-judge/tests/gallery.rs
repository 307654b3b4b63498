//! Compares the parser with tshark on the frames of the parser's own tests.

use std::path::{Path, PathBuf};

use capture_file::{CaptureWriter, LinkType, Packet, PacketMeta, Timestamp};
use flow_testkit::gallery;
use parse_judge::{Reference, judge};

/// Frames that tshark 4.0 does not decode, at least not without a preference, or for which it
/// reports a wrong length. tcpdump decodes some of them. For the rest, the specifications are the
/// only reference.
const CLOSED: &[&str] = &[
    "older double tag",
    "MPLS, Ethernet",
    "MPLS, Ethernet, control word",
    "FabricPath",
    "Marvell's tag with a type",
    "GRE, 802.11",
    "VXLAN, Linux port",
    "L2TPv3",
    "L2TPv3, sublayer",
    "L2TPv3, cookie",
    "L2TPv3, cookie and sublayer",
    "L2TPv3, IP",
    "L2TPv3, PPP",
    "L2TPv3 over UDP",
    "GUE",
    "GUE, IPv6, options",
    "GUE, GRE",
    "GUE, variant 1",
    "GUE, variant 1, IPv6",
    "CAPWAP, 802.11",
    "IPIP, the old number",
    "minimal encapsulation",
    "MPLS in UDP",
    "SLIP",
    "SLIP, TCP to be compressed",
    "Symantec's firewall, version 3",
    "OpenBSD IPsec",
    "OpenBSD packet filter log",
    "Prism",
    "DOCSIS",
    "PPP, pppd",
    "multilink frame relay",
    "per-packet information",
    "Cisco HDLC with direction",
    "frame relay with direction",
    "MPLS without a link layer",
    "Solaris, IPv4",
    "Solaris, IPv6",
    "netANALYZER",
    "Apple's header",
    "Ethernet with preamble",
    "Broadcom's switch tag",
    "Broadcom's switch tag in front",
    "Marvell's switch tag",
    "Marvell's long switch tag",
    "ATSC 3.0",
    "ATSC 3.0, long",
];

#[test]
fn tshark_sees_the_same_in_the_gallery() {
    let required = std::env::var_os("RINGTAP_REQUIRE_LIVE").is_some_and(|value| value == "1");
    let folder = Folder(std::env::temp_dir().join(format!("gallery-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).expect("a folder for the capture");
    let path = folder.0.join("gallery.pcapng");
    let exhibits = gallery::gallery();
    write(&path, &exhibits).expect("a capture is written");
    let reference = match Reference::of(&path, None, "gallery") {
        Ok(reference) => reference,
        Err(error) if !required => {
            eprintln!("SKIPPED: {error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let judgement = judge(&path, &reference).expect("the capture can be read");
    assert_eq!(judgement.tcp, exhibits.len() as u64);
    let mut unexpected = Vec::new();
    for (number, exhibit) in (1..).zip(&exhibits) {
        let difference = judgement.differences.iter().find(|it| it.frame == number);
        if difference.is_some() != CLOSED.contains(&exhibit.name) {
            let difference = difference.map_or("the same".to_owned(), ToString::to_string);
            unexpected.push(format!("{} {}: {difference}", exhibit.link_type, exhibit.name));
        }
    }
    assert!(unexpected.is_empty(), "{unexpected:#?}");
}

/// Writes a pcapng file with an interface for each link type.
fn write(path: &Path, exhibits: &[gallery::Exhibit]) -> Result<(), capture_file::Error> {
    let mut writer = CaptureWriter::builder().create(path)?;
    for exhibit in exhibits {
        let link_type = LinkType(exhibit.link_type);
        let mut meta = PacketMeta::new(0, Timestamp::from_nanos(1_000_000_000), link_type);
        meta.interface = u32::from(exhibit.link_type);
        writer.write(&Packet::with_meta(&exhibit.frame.0, meta))?;
    }
    writer.finish().map(|_| ())
}

/// A folder that is removed after the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
