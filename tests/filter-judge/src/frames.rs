//! Generated packets: the headers that primitives name, nested in each other and truncated at many
//! lengths.

mod others;

use crate::corpus::Packet;

const MACS: [u8; 12] = [0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1];

/// Packets that begin with a header of this link type (in libpcap's numbering), whole and
/// truncated.
pub fn frames(link_type: i32) -> Vec<Packet> {
    let mut whole = Vec::new();
    for (ether_type, payload) in payloads() {
        match link_type {
            1 => {
                let frame = ethernet(&MACS, ether_type, &payload);
                for tags in [
                    &[(0x8100u16, 100u16)][..],
                    &[(0x88a8, 100), (0x8100, 200)],
                    &[(0x9100, 0xf064)],
                ] {
                    let mut tagged = frame[..12].to_vec();
                    for (protocol, tag) in tags {
                        tagged.extend(protocol.to_be_bytes());
                        tagged.extend(tag.to_be_bytes());
                    }
                    tagged.extend(&frame[12..]);
                    whole.push(tagged);
                }
                let ppp: u16 = if ether_type == 0x0800 { 0x21 } else { 0x57 };
                let mut pppoe = vec![0x11, 0, 0, 7, 0, 40];
                pppoe.extend(ppp.to_be_bytes());
                pppoe.extend(&payload);
                whole.push(ethernet(&MACS, 0x8864, &pppoe));
                for labels in [&[0x0006_4100u32 | 64][..], &[0x0006_4000 | 64, 0x0040_0100 | 64]] {
                    let mut mpls: Vec<u8> =
                        labels.iter().flat_map(|label| label.to_be_bytes()).collect();
                    mpls.extend(&payload);
                    whole.push(ethernet(&MACS, 0x8847, &mpls));
                }
                for options in [0u8, 2] {
                    for inside in [ethernet(&MACS, ether_type, &payload), payload.clone()] {
                        let is_frame = inside.len() > payload.len();
                        let carried: u16 = if is_frame { 0x6558 } else { ether_type };
                        let mut geneve = vec![options, 0];
                        geneve.extend(carried.to_be_bytes());
                        geneve.extend([0, 0, 0xb, 0]);
                        geneve.extend(vec![0; usize::from(options) * 4]);
                        geneve.extend(&inside);
                        whole.push(ethernet(
                            &MACS,
                            0x0800,
                            &ip(17, 0, &udp(40_000, 6081, &geneve)),
                        ));
                        whole.push(ethernet(&MACS, 0x86dd, &ip6(17, &udp(40_000, 6081, &geneve))));
                    }
                }
                let mut multicast = frame.clone();
                multicast[..6].copy_from_slice(&[0x01, 0, 0x5e, 0, 0, 1]);
                whole.push(multicast);
                let mut broadcast = frame.clone();
                broadcast[..6].copy_from_slice(&[0xff; 6]);
                whole.push(broadcast);
                whole.push(frame);
            }
            113 => {
                for packet_type in [0u16, 4] {
                    let mut frame = packet_type.to_be_bytes().to_vec();
                    frame.extend([0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0]);
                    frame.extend(ether_type.to_be_bytes());
                    frame.extend(&payload);
                    whole.push(frame);
                }
            }
            276 => {
                for packet_type in [0u8, 4] {
                    let mut frame = ether_type.to_be_bytes().to_vec();
                    frame.extend([0, 0, 0, 0, 0, 3, 0, 1, packet_type, 6, 2, 0, 0, 0, 0, 1, 0, 0]);
                    frame.extend(&payload);
                    whole.push(frame);
                }
            }
            0 => {
                let family: u32 = if ether_type == 0x0800 { 2 } else { 10 };
                whole.push([family.to_le_bytes().to_vec(), payload].concat());
            }
            108 => {
                let family: u32 = if ether_type == 0x0800 { 2 } else { 10 };
                whole.push([family.to_be_bytes().to_vec(), payload].concat());
            }
            _ => match others::headers(link_type, ether_type) {
                Some(headers) => {
                    whole.extend(
                        headers.into_iter().map(|header| [header, payload.clone()].concat()),
                    );
                }
                None => whole.push(payload),
            },
        }
    }
    if link_type == 1 {
        for body in logical_link_control() {
            let frame = ethernet(&MACS, body.len() as u16, &body);
            let mut tagged = frame[..12].to_vec();
            tagged.extend([0x81, 0, 0, 100]);
            tagged.extend(&frame[12..]);
            let mut geneve = vec![0, 0, 0x65, 0x58, 0, 0, 0xb, 0];
            geneve.extend(&frame);
            whole.push(ethernet(&MACS, 0x0800, &ip(17, 0, &udp(40_000, 6081, &geneve))));
            whole.extend([frame, tagged]);
        }
    }
    let bodies = logical_link_control();
    let framed = bodies.iter().filter_map(|body| others::with_llc(link_type, body, true)).flatten();
    let mut packets: Vec<Packet> = framed.map(Packet::whole).collect();
    for frame in whole {
        let packet = Packet::whole(frame);
        packets.extend(
            [0, 10, 13, 15, 17, 21, 25, 27, 33, 35, 37, 41, 45, 53, 55, 57, 61]
                .map(|len| packet.cut(len)),
        );
        packets.push(packet);
    }
    packets
}

/// EtherType and network-layer packet.
fn payloads() -> Vec<(u16, Vec<u8>)> {
    let mut payloads = Vec::new();
    let transports: Vec<(u8, Vec<u8>)> = vec![
        (6, tcp(1024, 80, 0x02)),
        (6, tcp(443, 50_000, 0x12)),
        (6, tcp(6005, 22, 0x11)),
        (17, udp(53, 33_000, &[1, 2, 3, 4])),
        (17, udp(67, 68, &[0; 20])),
        (132, vec![0, 80, 0, 81, 0, 0, 0, 1, 0, 0, 0, 0]),
        (1, vec![8, 0, 0, 0, 0, 1, 0, 1]),
        (1, vec![3, 1, 0, 0, 0, 0, 0, 0]),
        (58, vec![128, 0, 0, 0, 0, 1, 0, 1]),
        (58, vec![135, 0, 0, 0, 0, 0, 0, 0]),
        (2, vec![0x16, 0, 0, 0, 224, 0, 0, 1]),
        (47, vec![0; 8]),
        (50, vec![0; 16]),
        (103, vec![0x20, 0, 0, 0]),
        (112, vec![0x21, 1, 100, 1]),
        (89, vec![2, 1, 0, 44]),
    ];
    for (protocol, transport) in &transports {
        for fragment in [0u16, 0x4000, 0x2000, 0x00b9] {
            payloads.push((0x0800, ip(*protocol, fragment, transport)));
        }
        let mut options = ip(*protocol, 0, &[&[1u8; 8][..], transport].concat());
        options[0] = 0x47;
        payloads.push((0x0800, options));
        payloads.push((0x86dd, ip6(*protocol, transport)));
        // Hop-by-hop options, destination options, a fragment, an authentication header, and
        // several of them.
        let extension = |next: u8, body: &[u8]| [&[next, 0, 1, 4, 0, 0, 0, 0][..], body].concat();
        let authentication = |next: u8, body: &[u8]| [&[next, 4][..], &[0u8; 22], body].concat();
        let fragment = |next: u8, offset: u16, body: &[u8]| {
            [&[next, 0][..], &(offset << 3 | 1).to_be_bytes(), &[0, 0, 0, 9], body].concat()
        };
        payloads.push((0x86dd, ip6(0, &extension(*protocol, transport))));
        payloads.push((0x86dd, ip6(60, &extension(43, &extension(*protocol, transport)))));
        payloads.push((0x86dd, ip6(44, &fragment(*protocol, 0, transport))));
        payloads.push((0x86dd, ip6(44, &fragment(*protocol, 5, transport))));
        payloads.push((0x86dd, ip6(51, &authentication(*protocol, transport))));
        payloads.push((0x86dd, ip6(0, &extension(51, &authentication(*protocol, transport)))));
        payloads.push((0x0800, ip(51, 0, &authentication(*protocol, transport))));
    }
    payloads.push((0x86dd, ip6(59, &[])));
    for operation in [1u8, 2] {
        let mut arp =
            vec![0, 1, 8, 0, 6, 4, 0, operation, 2, 0, 0, 0, 0, 1, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0];
        arp.extend([192, 0, 2, 2]);
        payloads.push((0x0806, arp.clone()));
        payloads.push((0x8035, arp));
    }
    payloads.extend(decnet().map(|packet| (0x6003, packet)));
    for other in
        [0x809bu16, 0x80f3, 0x6001, 0x6002, 0x6003, 0x6004, 0x6007, 0x8137, 0x9000, 0x8863, 0x22f0]
    {
        payloads.push((other, (0..40).collect()));
    }
    payloads
}

/// 802.3 frames with 802.2 headers: the spanning tree, IPX, NetBEUI, OSI, SNAP.
fn logical_link_control() -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = vec![
        [&[0x42, 0x42, 3][..], &[0; 35]].concat(),
        [&[0xe0, 0xe0, 3][..], &[0; 35]].concat(),
        [&[0xf0, 0xf0, 3][..], &[0; 35]].concat(),
        [&[0xff, 0xff][..], &[0; 35]].concat(),
        [&[0xaa, 0xaa, 3, 8, 0, 7, 0x80, 0x9b][..], &[0; 35]].concat(),
        [&[0xaa, 0xaa, 3, 0, 0, 0, 0x80, 0xf3][..], &[0; 35]].concat(),
        [&[0xaa, 0xaa, 3, 0, 0, 0, 0x81, 0x37][..], &[0; 35]].concat(),
        // A VLAN tag behind the 802.2 header, as in 802.11.
        [
            &[0xaa, 0xaa, 3, 0, 0, 0, 0x81, 0, 0, 100, 8, 0][..],
            &ip(17, 0, &udp(40_000, 53, &[0; 8])),
        ]
        .concat(),
        [&[0xfe, 0xfe, 3, 0x81][..], &[0; 35]].concat(),
        [&[0xfe, 0xfe, 3, 0x82][..], &[0; 35]].concat(),
    ];
    for control in [
        0x00, 0x02, 0x01, 0x05, 0x09, 0x0d, 0x11, 0x03, 0x13, 0x63, 0x73, 0x43, 0x53, 0x0f, 0x1f,
        0x6f, 0x7f, 0xe3, 0xf3, 0xaf, 0xbf, 0x87, 0x97, 0xff,
    ] {
        bodies.push([&[0x04, 0x04, control][..], &[0; 35]].concat());
    }
    // Lengths on both sides of the limit between a length and an EtherType.
    bodies.push([&[0x04, 0x04, 3][..], &[0; 1497]].concat());
    bodies.push([&[0x04, 0x04, 3][..], &[0; 1498]].concat());
    for kind in 14..29 {
        bodies.push([&[0xfe, 0xfe, 3, 0x83, 27, 1, 0, kind][..], &[0; 35]].concat());
    }
    bodies
}

/// DECnet packets with the short and the long header, with and without padding, from 10.123 to
/// 1.1023.
fn decnet() -> impl Iterator<Item = Vec<u8>> {
    let (source, destination) = ([0x7b, 0x28], [0xff, 0x07]);
    let short = [&[0x02][..], &destination, &source, &[0, 0]].concat();
    let long =
        [&[0x26, 0, 0, 0xaa, 0, 4, 0][..], &destination, &[0, 0, 0xaa, 0, 4, 0], &source, &[0; 6]]
            .concat();
    let hello = [&[0x0d][..], &source, &[0; 20]].concat();
    [short, long, hello].into_iter().flat_map(|header| {
        let padded = [&[0x81][..], &header].concat();
        [header, padded].map(|packet| [&[40, 0][..], &packet, &[0; 20]].concat())
    })
}

fn ethernet(macs: &[u8], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [macs, &ether_type.to_be_bytes(), payload].concat()
}

fn ip(protocol: u8, fragment: u16, transport: &[u8]) -> Vec<u8> {
    let length = (20 + transport.len()) as u16;
    let mut header = vec![0x45, 0];
    header.extend(length.to_be_bytes());
    header.extend([0, 7]);
    header.extend(fragment.to_be_bytes());
    header.extend([64, protocol, 0, 0, 192, 0, 2, 1]);
    header.extend(if protocol == 2 { [224, 0, 0, 1] } else { [10, 1, 2, 255] });
    header.extend(transport);
    header
}

fn ip6(next: u8, transport: &[u8]) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend((transport.len() as u16).to_be_bytes());
    header.extend([next, 64, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    header.extend(if next == 58 {
        [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    } else {
        [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    });
    header.extend(transport);
    header
}

fn tcp(source: u16, destination: u16, flags: u8) -> Vec<u8> {
    let mut header = source.to_be_bytes().to_vec();
    header.extend(destination.to_be_bytes());
    header.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    header.extend(b"GET / HTTP/1.1\r\n");
    header
}

fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut header = source.to_be_bytes().to_vec();
    header.extend(destination.to_be_bytes());
    header.extend(((8 + payload.len()) as u16).to_be_bytes());
    header.extend([0, 0]);
    header.extend(payload);
    header
}
