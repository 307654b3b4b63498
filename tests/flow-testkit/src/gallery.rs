//! One packet for each supported encapsulation of a TCP segment.

use crate::frame::Frame;

/// A frame around the TCP segment "hello" from port 40000 to port 80.
#[derive(Clone, Debug)]
pub struct Exhibit {
    /// The name of the encapsulation.
    pub name: &'static str,
    /// The link type of the frame, as in pcap files.
    pub link_type: u16,
    /// The frame.
    pub frame: Frame,
    /// `true` if the encapsulation makes it another flow than the bare segment.
    pub scoped: bool,
}

const ETHERNET: u16 = 1;

/// All exhibits.
pub fn gallery() -> Vec<Exhibit> {
    let mut all = Vec::new();
    links(&mut all);
    tags(&mut all);
    tunnels(&mut all);
    all
}

fn tcp4() -> Frame {
    Frame::new(b"hello").tcp(&[], 0x18).ipv4(6)
}

fn tcp6() -> Frame {
    Frame::new(b"hello").tcp(&[], 0x18).ipv6(6)
}

fn ether4() -> Frame {
    tcp4().ethernet(0x0800)
}

fn snap(ether_type: u16) -> Vec<u8> {
    [&[0xaa, 0xaa, 0x03, 0, 0, 0][..], &ether_type.to_be_bytes()].concat()
}

fn links(all: &mut Vec<Exhibit>) {
    let mut add = |name, link_type, frame| {
        all.push(Exhibit { name, link_type, frame, scoped: false });
    };
    add("Ethernet", ETHERNET, ether4());
    add("Ethernet, IPv6", ETHERNET, tcp6().ethernet(0x86dd));
    add("Ethernet, IPv6 where IPv4 is announced", ETHERNET, tcp6().ethernet(0x0800));
    let llc = tcp4().within(&snap(0x0800));
    let len = llc.0.len() as u16;
    add("Ethernet, 802.3 with LLC and SNAP", ETHERNET, llc.ethernet(len));
    add("raw IPv4", 101, tcp4());
    add("raw IPv6", 101, tcp6());
    add("raw, BSD", 12, tcp6());
    add("raw, OpenBSD", 14, tcp4());
    add("IPv4", 228, tcp4());
    add("IPv6", 229, tcp6());
    add("loopback, little-endian", 0, tcp4().within(&[2, 0, 0, 0]));
    add("loopback, big-endian, IPv6 on Darwin", 0, tcp6().within(&[0, 0, 0, 30]));
    add("loopback, IPv6 on FreeBSD", 0, tcp6().within(&[28, 0, 0, 0]));
    add("OpenBSD loopback", 108, tcp6().within(&[0, 0, 0, 24]));
    let cooked = [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x08, 0x00];
    add("cooked", 113, tcp4().within(&cooked));
    let mut cooked_llc = cooked;
    cooked_llc[14..].copy_from_slice(&[0, 4]);
    add("cooked, LLC", 113, tcp4().within(&snap(0x0800)).within(&cooked_llc));
    let mut cooked_2 = [0; 20];
    cooked_2[..2].copy_from_slice(&[0x86, 0xdd]);
    add("cooked 2", 276, tcp6().within(&cooked_2));
    add("PPP", 9, tcp4().within(&[0x00, 0x21]));
    add("PPP, compressed protocol", 9, tcp4().within(&[0x21]));
    add("PPP, framed", 50, tcp6().within(&[0xff, 0x03, 0x00, 0x57]));
    add("PPP, Cisco HDLC after all", 50, tcp4().within(&[0x0f, 0x00, 0x08, 0x00]));
    add("PPP with direction", 204, tcp4().within(&[1, 0xff, 0x03, 0x00, 0x21]));
    add("PPP, pppd", 166, tcp4().within(&[1, 0x03, 0x00, 0x21]));
    add("Cisco HDLC", 104, tcp4().within(&[0x0f, 0x00, 0x08, 0x00]));
    add("frame relay", 107, tcp4().within(&[0x18, 0x41, 0x03, 0xcc]));
    add("frame relay, padded SNAP", 107, {
        tcp4().within(&[0x18, 0x41, 0x03, 0x00, 0x80, 0, 0, 0, 0x08, 0x00])
    });
    add("frame relay, Cisco", 107, tcp6().within(&[0x18, 0x41, 0x86, 0xdd]));
    let mut fddi = vec![0x50];
    fddi.extend([2; 12]);
    add("FDDI", 10, tcp4().within(&snap(0x0800)).within(&fddi));
    let mut ring = vec![0x10, 0x40];
    ring.extend([2; 6]);
    ring.extend([0x82; 6]);
    ring.extend([0x04, 0, 0, 0]);
    add("token ring with a route", 6, tcp4().within(&snap(0x0800)).within(&ring));
    add("ARCNET, Linux", 129, tcp4().within(&[1, 2, 0, 0, 212, 0, 0, 0]));
    add("ARCNET, BSD, old", 7, tcp4().within(&[1, 2, 240]));
    add("ATM, RFC 1483", 100, tcp4().within(&snap(0x0800)));
    add("SunATM", 123, tcp4().within(&snap(0x0800)).within(&[2, 0, 0, 5]));
    add("FireWire", 138, tcp4().within(&[[1; 16].as_slice(), &[8, 0]].concat()));
    add("InfiniBand", 242, tcp4().within(&[[0; 40].as_slice(), &[8, 0, 0, 0]].concat()));
    let mut log = vec![2, 0, 0, 0, 8, 0, 1, 0, 8, 0, 3, 0];
    let len = (tcp4().0.len() + 4) as u16;
    log.extend(len.to_le_bytes());
    log.extend([9, 0]);
    add("netfilter log", 239, tcp4().within(&log));
    add("OpenBSD IPsec", 109, tcp4().within(&[0; 12]));
    let mut packet_filter_log = vec![61];
    packet_filter_log.resize(64, 0);
    add("OpenBSD packet filter log", 117, tcp4().within(&packet_filter_log));
    add("Juniper", 178, ether4().within(&[0x4d, 0x47, 0x43, 0x80, 0, 2, 9, 9]));
    add("DOCSIS", 143, ether4().within(&[0x01, 3, 0, 0, 9, 9, 9, 9, 9]));
    add("netANALYZER", 240, ether4().within(&[0; 4]));
    add("Ethernet with preamble", 274, ether4().within(&[0x55; 8]));
    let tagged = |tag: &[u8]| {
        let mut frame = ether4().0;
        frame.splice(12..12, tag.iter().copied());
        Frame(frame)
    };
    add("Broadcom's switch tag", 281, tagged(&[1, 2, 3, 4]));
    add("Broadcom's switch tag in front", 282, ether4().within(&[1, 2, 3, 4]));
    add("Marvell's switch tag", 284, tagged(&[1, 2, 3, 4]));
    add("Marvell's long switch tag", 285, tagged(&[0xda, 0xda, 0, 0, 0xc0, 2, 3, 4]));
    let data = |control: [u8; 2], len: usize| {
        let mut header = control.to_vec();
        header.resize(len, 0);
        tcp4().within(&snap(0x0800)).within(&header)
    };
    add("802.11", 105, data([0x08, 0x02], 24));
    add("802.11, QoS, four addresses", 105, data([0x88, 0x03], 32));
    add("802.11, QoS, padded", 105, data([0x88, 0x02], 28));
    let mut aggregate = tcp4().within(&snap(0x0800));
    let len = aggregate.0.len();
    aggregate = aggregate.within_with_len(&[2; 12], 0);
    assert_eq!(aggregate.0.len(), len + 14);
    let mut header = vec![0x88, 0x02];
    header.resize(24, 0);
    header.extend([0x80, 0]);
    add("802.11, aggregate", 105, aggregate.within(&header));
    let radiotap = [0, 0, 12, 0, 2, 0, 0, 0, 0, 0, 0, 0];
    add("radiotap", 127, data([0x08, 0x02], 24).within(&radiotap));
    add("Prism", 119, data([0x08, 0x02], 24).within(&[0; 144]));
    let mut avs = vec![0x80, 0x21, 0x10, 0x01, 0, 0, 0, 64];
    avs.resize(64, 0);
    add("AVS", 163, data([0x08, 0x02], 24).within(&avs));
    add("per-packet information", 192, {
        data([0x08, 0x02], 24).within(&[0, 0, 12, 0, 105, 0, 0, 0, 9, 9, 9, 9])
    });
    let mut apple = vec![16, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0];
    apple.resize(16, 0);
    add("Apple's header", 258, ether4().within(&apple));
    more_links(&mut add);
}

fn more_links(add: &mut impl FnMut(&'static str, u16, Frame)) {
    let station = |last| [b'N' << 1, b'0' << 1, b'C' << 1, b'A' << 1, b'L' << 1, b' ' << 1, last];
    let stations = [station(0xe0), station(0x60), station(0xe1)].concat();
    let packet_radio = tcp4().within(&[0x03, 0xcc]).within(&stations);
    add("AX.25", 3, packet_radio.clone());
    add("AX.25, KISS", 202, packet_radio.within(&[0]));
    add("SLIP", 8, tcp4().within(&[0; 16]));
    let mut uncompressed = tcp4();
    uncompressed.0[9] = 17; // the number of a connection
    add("SLIP, TCP to be compressed", 8, {
        uncompressed.within(&[[0, 0x75].as_slice(), &[0; 14]].concat())
    });
    let mut firewall = [0; 44];
    firewall[6] = 8;
    add("Symantec's firewall", 99, tcp4().within(&firewall));
    let mut firewall = [0; 56];
    firewall[20..22].copy_from_slice(&[0x86, 0xdd]);
    add("Symantec's firewall, version 3", 99, tcp6().within(&firewall));
    add("IP over Fibre Channel", 122, tcp4().within(&snap(0x0800)).within(&[1; 16]));
    add("TZSP, captured", 128, ether4().within(&[1, 0, 0, 1, 1]));
    let mut wireless = vec![1, 0, 0, 18, 0, 1, 0x08, 0x02];
    wireless.resize(6 + 24, 0);
    add("TZSP, 802.11", 128, tcp4().within(&snap(0x0800)).within(&wireless));
    let record = |kind: u8, extensions: &[u8], frame: Frame| {
        let wire_len = (frame.0.len() as u16).to_be_bytes();
        let head = [&[0; 8], &[kind, 4, 0, 0, 0, 0][..], &wire_len, extensions].concat();
        frame.within(&head)
    };
    let mut checked = ether4();
    checked.0.extend([9; 4]);
    let len = (checked.0.len() as u16).to_be_bytes();
    let head = [&[0; 8], &[2, 4, 0, 0, 0, 0][..], &len, &[0, 0]].concat();
    add("ERF, Ethernet", 197, checked.within(&head));
    add("ERF, HDLC with extensions", 197, {
        let extensions = [0x83, 1, 1, 1, 1, 1, 1, 1, 0x05, 1, 1, 1, 1, 1, 1, 1];
        record(0x81, &extensions, tcp4().within(&[0x0f, 0, 8, 0]))
    });
    add("ERF, IPv6", 197, record(23, &[], tcp6()));
    add("ERF, AAL5", 197, record(4, &[], tcp4().within(&snap(0x0800)).within(&[0; 4])));
    add("Cisco HDLC with direction", 205, tcp4().within(&[1, 0x0f, 0x00, 0x08, 0x00]));
    add("frame relay with direction", 206, tcp4().within(&[0, 0x18, 0x41, 0x03, 0xcc]));
    add("multilink frame relay", 182, tcp4().within(&[0xc0, 1, 0x18, 0x41, 0x03, 0xcc]));
    let juniper = [0x4d, 0x47, 0x43, 0];
    add("Juniper, PPP", 179, tcp4().within(&[0xff, 0x03, 0x00, 0x21]).within(&juniper));
    add("Juniper, frame relay", 180, tcp4().within(&[0x18, 0x41, 0x03, 0xcc]).within(&juniper));
    add("Juniper, Cisco HDLC", 181, tcp4().within(&[0x0f, 0, 8, 0]).within(&juniper));
    add("Juniper, PPPoE", 167, ether4().within(&juniper));
    add("MPLS without a link layer", 219, tcp4().within(&[0, 2, 1, 64]));
    let solaris = |family| [[1, family].as_slice(), &[0; 22]].concat();
    add("Solaris, IPv4", 226, tcp4().within(&solaris(2)));
    add("Solaris, IPv6", 226, tcp6().within(&solaris(26)));
    add("passive optical network", 259, ether4().within(&[0x55, 0x55, 0xd5, 0x55, 0x55, 0, 1, 0]));
    let len = tcp4().0.len() as u8;
    add("ATSC 3.0", 289, tcp4().within(&[0, len]));
    add("ATSC 3.0, long", 289, tcp4().within(&[0x08, len, 0]));
    let mut mesh = vec![0x88, 0x03];
    mesh.resize(30, 0);
    mesh.extend([0, 1, 1, 31, 0, 0, 0, 1]);
    mesh.extend([2; 6]);
    add("802.11, mesh", 105, tcp4().within(&snap(0x0800)).within(&mesh));
}

fn tags(all: &mut Vec<Exhibit>) {
    let mut add = |name, frame: Frame, scoped| {
        all.push(Exhibit { name, link_type: ETHERNET, frame, scoped });
    };
    add("VLAN", tcp4().within(&[0, 5, 8, 0]).ethernet(0x8100), true);
    add("priority tag", tcp4().within(&[0xe0, 0, 8, 0]).ethernet(0x8100), false);
    let service = tcp4().within(&[0, 6, 8, 0]).within(&[0, 5, 0x81, 0]);
    add("service VLAN", service.ethernet(0x88a8), true);
    add("old double tag", tcp4().within(&[0, 5, 8, 0]).ethernet(0x9100), true);
    add("older double tag", tcp4().within(&[0, 5, 8, 0]).ethernet(0x9200), true);
    add("MPLS", tcp4().within(&[0, 1, 0, 64, 0, 2, 1, 64]).ethernet(0x8847), false);
    add("MPLS, IPv6", tcp6().within(&[0, 2, 1, 64]).ethernet(0x8848), false);
    add("MPLS, Ethernet", ether4().within(&[0, 2, 1, 64]).ethernet(0x8847), false);
    let control_word = [0, 2, 1, 64, 0, 0, 0, 7];
    add("MPLS, Ethernet, control word", ether4().within(&control_word).ethernet(0x8847), false);
    let ppp = tcp4().within(&[0x00, 0x21]);
    let session = ppp.within_with_len(&[0x11, 0, 0, 7], 0);
    add("PPPoE", session.ethernet(0x8864), true);
    add("Cisco metadata", tcp4().within(&[1, 1, 0, 1, 0, 2, 8, 0]).ethernet(0x8909), false);
    add("backbone bridge", ether4().within(&[0, 0, 0, 9]).ethernet(0x88e7), true);
    let mut authenticated = tcp4().within(&[0x20, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 8, 0]);
    authenticated.0.extend([0; 16]);
    add("MACsec, not encrypted", authenticated.ethernet(0x88e5), false);
    let mut path = vec![0x0f, 0xc6, 1, 3, 0, 0, 9, 255];
    path.extend([0; 16]);
    add("service header", ether4().within(&path).ethernet(0x894f), false);
    add("TRILL", ether4().within(&[0, 0x3f, 0, 1, 0, 2]).ethernet(0x22f3), false);
    add("FabricPath", ether4().within(&[0, 7]).ethernet(0x8903), false);
    add("VN-Tag", tcp4().within(&[0, 1, 0, 2, 8, 0]).ethernet(0x8926), false);
    add("bridge port extension", tcp4().within(&[0, 1, 0, 2, 0, 0, 8, 0]).ethernet(0x893f), false);
    add("HSR", tcp4().within(&[0, 1, 0, 2, 8, 0]).ethernet(0x892f), false);
    add("redundancy tag", tcp4().within(&[0, 0, 0, 2, 8, 0]).ethernet(0xf1c1), false);
    let marvell = [0, 0, 0xc0, 2, 3, 4, 8, 0];
    add("Marvell's tag with a type", tcp4().within(&marvell).ethernet(0xdada), false);
    add("LLC without a length", tcp4().within(&snap(0x0800)).ethernet(0x8870), false);
    let unicast = [0x40, 15, 50, 0, 2, 0, 0, 0, 0, 9];
    add("batman-adv", ether4().within(&unicast).ethernet(0x4305), false);
    let broadcast = [0x01, 15, 50, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9];
    add("batman-adv, broadcast", ether4().within(&broadcast).ethernet(0x4305), false);
    let options = [1, 1, 1, 0];
    let with_options = Frame::new(b"hello").tcp(&[], 0x18).ipv4_with(6, &options, 0, 0x4000);
    add("IPv4 options", with_options.ethernet(0x0800), false);
    let extended = Frame::new(b"hello")
        .tcp(&[], 0x18)
        .within(&[6, 0, 1, 4, 0, 0, 0, 0])
        .within(&[60, 0, 0, 0, 0, 0, 0, 9])
        .within(&[44, 0, 1, 4, 0, 0, 0, 0])
        .ipv6(0);
    add("IPv6 extension headers", extended.ethernet(0x86dd), false);
    let authenticated = |frame: Frame| frame.within(&[6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
    let digest = [0; 12];
    let inner = || authenticated(Frame::new(b"hello").tcp(&[], 0x18).within(&digest));
    add("authentication header", inner().ipv4(51).ethernet(0x0800), false);
    add("authentication header, IPv6", inner().ipv6(51).ethernet(0x86dd), false);
}

fn tunnels(all: &mut Vec<Exhibit>) {
    let mut add = |name, frame: Frame| {
        all.push(Exhibit { name, link_type: ETHERNET, frame, scoped: true });
    };
    let over_ip = |frame: Frame, protocol| frame.ipv4(protocol).ethernet(0x0800);
    add("IPv4 in IPv4", over_ip(tcp4(), 4));
    add("6in4", over_ip(tcp6(), 41));
    add("4in6", tcp4().ipv6(4).ethernet(0x86dd));
    add("6in6", tcp6().ipv6(41).ethernet(0x86dd));
    add("EtherIP", over_ip(ether4().within(&[0x30, 0]), 97));
    add("MPLS in IP", over_ip(tcp4().within(&[0, 2, 1, 64]), 137));
    add("Ethernet in IP", over_ip(ether4(), 143));
    add("GRE", over_ip(tcp4().within(&[0, 0, 8, 0]), 47));
    let everything = [0xb0, 0, 8, 0, 9, 9, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
    add("GRE, checksum, key and sequence", over_ip(tcp4().within(&everything), 47));
    let routed = [0x40, 0, 8, 0, 0, 0, 0, 0, 8, 0, 4, 4, 1, 1, 1, 1, 0, 0, 0, 0];
    add("GRE, source route", over_ip(tcp4().within(&routed), 47));
    add("GRE, Ethernet", over_ip(ether4().within(&[0, 0, 0x65, 0x58]), 47));
    add("NVGRE", over_ip(ether4().within(&[0x20, 0, 0x65, 0x58, 0, 0, 1, 7]), 47));
    let redirect = [0, 0, 0x88, 0x3e, 0x10, 0, 0, 0];
    add("GRE, WCCP 2", over_ip(tcp4().within(&redirect), 47));
    let mut wlan = vec![0, 0, 0x90, 0, 0x08, 0x02];
    wlan.resize(28, 0);
    add("GRE, 802.11", over_ip(tcp4().within(&snap(0x0800)).within(&wlan), 47));
    let ppp = tcp4().within(&[0xff, 0x03, 0x00, 0x21]);
    let len = (ppp.0.len() as u16).to_be_bytes();
    let pptp = [&[0x30, 0x81, 0x88, 0x0b], &len[..], &[0, 1, 0, 0, 0, 2, 0, 0, 0, 3]].concat();
    add("PPTP", over_ip(ppp.within(&pptp), 47));
    let len = (ether4().0.len() as u16).to_be_bytes();
    let eoip = [&[0x20, 0x01, 0x64, 0x00], &len[..], &[7, 0]].concat();
    add("EoIP", over_ip(ether4().within(&eoip), 47));
    add("ERSPAN I", over_ip(ether4().within(&[0, 0, 0x88, 0xbe]), 47));
    let second = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0, 9, 0, 0, 0, 0];
    add("ERSPAN II", over_ip(ether4().within(&second), 47));
    let mut third = vec![0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1];
    third.extend([0; 8]);
    add("ERSPAN III with subheader", over_ip(ether4().within(&third), 47));
    let over_udp = |frame: Frame, port| over_ip(frame.udp(50_000, port), 17);
    let vxlan = [8, 0, 0, 0, 0, 0, 9, 0];
    add("VXLAN", over_udp(ether4().within(&vxlan), 4789));
    add("VXLAN, Linux port", over_udp(ether4().within(&vxlan), 8472));
    let six = ether4().within(&vxlan).udp(50_000, 4789).ipv6(17);
    add("VXLAN over IPv6", six.ethernet(0x86dd));
    add("VXLAN twice", {
        let once = over_udp(ether4().within(&vxlan), 4789);
        over_udp(once.within(&vxlan), 4789)
    });
    add("VXLAN-GPE, IPv4", over_udp(tcp4().within(&[0x0c, 0, 0, 1, 0, 0, 9, 0]), 4790));
    let options = [0x02, 0, 0x65, 0x58, 0, 0, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    add("Geneve with options", over_udp(ether4().within(&options), 6081));
    add("Geneve, IPv6", over_udp(tcp6().within(&[0, 0, 0x86, 0xdd, 0, 0, 9, 0]), 6081));
    let gtp = |frame: Frame, flags: u8, optional: &[u8]| {
        let frame = frame.within(optional);
        let len = (frame.0.len() as u16).to_be_bytes();
        over_udp(frame.within(&[&[flags, 0xff], &len[..], &[0, 0, 0, 7]].concat()), 2152)
    };
    add("GTP", gtp(tcp4(), 0x30, &[]));
    add("GTP with extension headers", {
        gtp(tcp6(), 0x34, &[0, 0, 0, 0x85, 1, 0, 0, 0xc0, 1, 9, 9, 0])
    });
    add("Teredo", over_udp(tcp6(), 3544));
    let mut indications = vec![0, 1, 2, 3];
    indications.extend([7; 14]);
    indications.extend([0, 0, 1, 2, 3, 4, 5, 6]);
    add("Teredo with indications", over_udp(tcp6().within(&indications), 3544));
    let mut ayiya = vec![0x42, 0x52, 0x11, 41, 0, 0, 0, 0];
    ayiya.extend([0; 36]);
    add("AYIYA", over_udp(tcp6().within(&ayiya), 5072));
    let ppp = tcp4().within(&[0xff, 0x03, 0x00, 0x21]);
    let len = ((ppp.0.len() + 14) as u16).to_be_bytes();
    let l2tp = [&[0x4a, 0x02], &len[..], &[0, 1, 0, 2, 0, 0, 0, 0, 0, 0]].concat();
    add("L2TP", over_udp(ppp.within(&l2tp), 1701));
    more_tunnels(&mut add);
    add("LISP", over_udp(tcp4().within(&[0x08, 0, 0, 0, 0, 0, 7, 0]), 4341));
    add("GRE in UDP", over_udp(tcp4().within(&[0, 0, 8, 0]), 4754));
    add("MPLS in UDP", over_udp(tcp4().within(&[0, 2, 1, 64]), 6635));
    add("TZSP", over_udp(ether4().within(&[1, 0, 0, 1, 0, 10, 1, 200, 1]), 37_008));
}

fn more_tunnels(add: &mut impl FnMut(&'static str, Frame)) {
    let over_ip = |frame: Frame, protocol| frame.ipv4(protocol).ethernet(0x0800);
    let over_udp = |frame: Frame, port| over_ip(frame.udp(50_000, port), 17);
    // Without an outer header that announces it, an inner packet is accepted only with a right
    // checksum.
    let sure = || tcp4().ipv4_checksum();
    let frame = || sure().ethernet(0x0800);
    let session = [0, 0, 0, 7];
    add("L2TPv3", over_ip(frame().within(&session), 115));
    add("L2TPv3, sublayer", over_ip(frame().within(&[0; 4]).within(&session), 115));
    let cookie = [0xab, 0xcd, 0xef, 1, 2, 3, 4, 5];
    add("L2TPv3, cookie", over_ip(frame().within(&cookie).within(&session), 115));
    add("L2TPv3, cookie and sublayer", {
        let tagged = sure().within(&[0, 0, 8, 0]).ethernet(0x8100);
        over_ip(tagged.within(&[0x40, 0, 0, 1]).within(&cookie).within(&session), 115)
    });
    add("L2TPv3, IP", over_ip(sure().within(&cookie[..4]).within(&session), 115));
    let ppp = sure().within(&[0xff, 0x03, 0x00, 0x21]);
    add("L2TPv3, PPP", over_ip(ppp.within(&session), 115));
    add("L2TPv3 over UDP", {
        over_udp(frame().within(&cookie).within(&[0, 3, 0, 0, 0, 0, 0, 7]), 1701)
    });
    add("GUE", over_udp(tcp4().within(&[0, 4, 0, 0]), 6080));
    add(
        "GUE, IPv6, options",
        over_udp(tcp6().within(&[2, 41, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]), 6080),
    );
    add("GUE, GRE", over_udp(tcp4().within(&[0, 0, 8, 0]).within(&[0, 47, 0, 0]), 6080));
    add("GUE, variant 1", over_udp(tcp4(), 6080));
    add("GUE, variant 1, IPv6", over_udp(tcp6(), 6080));
    let control = |flags: [u8; 3]| [[0].as_slice(), &flags, &[0; 4]].concat();
    add("CAPWAP, Ethernet", over_udp(ether4().within(&control([0x10, 0x00, 0])), 5247));
    let wireless = |control: [u8; 2]| {
        let mut header = control.to_vec();
        header.resize(24, 0);
        tcp4().within(&snap(0x0800)).within(&header)
    };
    let native = [0x10, 0x03, 0];
    add("CAPWAP, 802.11", over_udp(wireless([0x08, 0x02]).within(&control(native)), 5247));
    add("CAPWAP, 802.11, swapped", over_udp(wireless([0x02, 0x08]).within(&control(native)), 5247));
    add("CAPWAP, radio's address", {
        let header = [control([0x20, 0x00, 0x10]), vec![6, 2, 0, 0, 0, 0, 9, 0]].concat();
        over_udp(ether4().within(&header), 5247)
    });
    add("PIM register", over_ip(tcp4().within(&[0x21, 0, 0, 0, 0, 0, 0, 0]), 103));
    add("IPIP, the old number", over_ip(tcp4(), 94));
    add("Mobile IP over UDP", over_udp(tcp4().within(&[4, 4, 0, 0]), 434));
    let mut minimal = vec![6, 0x80, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1];
    let sum: u32 = minimal.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    minimal[2..4].copy_from_slice(&(!sum as u16).to_be_bytes());
    let minimal = Frame::new(b"hello").tcp(&[], 0x18).within(&minimal);
    add("minimal encapsulation", over_ip(minimal, 55));
}
