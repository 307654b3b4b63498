use std::time::Duration;

use ::packet::Timestamp;
use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use proptest::prelude::*;

use super::crypto_stream::CryptoStream;
use super::keys::{InitialKeys, Keys};
use super::*;
use crate::{Message, Side};

/// The client's destination connection identifier in the appendices of RFC 9001 and RFC 9369.
const ID: &str = "8394c8f03e515708";
/// The CRYPTO frame of the client's Initial packet there.
const CLIENT_FRAME: &str = "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868\
    04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578\
    616d706c652e636f6dff01000100000a00080006001d00170018001000070005\
    04616c706e000500050100000000003300260024001d00209370b2c9caa47fba\
    baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400\
    0d0010000e0403050306030203080408050806002d00020101001c0002400100\
    3900320408ffffffffffffffff05048000ffff07048000ffff08011001048000\
    75300901100f088394c8f03e51570806048000ffff";
/// The server's Initial packet of RFC 9001, appendix A.3.
const SERVER_1: &str = "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a\
    5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3\
    dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84\
    022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc4\
    2158407dd074ee";
/// The server's Initial packet of RFC 9369, appendix A.3.
const SERVER_2: &str = "dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698\
    baeea26b91eb761d9b89237bbf87263017915358230035f7fd3945d88965cf17\
    f9af6e16886c61bfc703106fbaf3cb4cfa52382dd16a393e42757507698075b2\
    c984c707f0a0812d8cd5a6881eaf21ceda98f4bd23f6fe1a3e2c43edd9ce7ca8\
    4bed8521e2e140";

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(&pair[0]) << 4 | digit(&pair[1])).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Protects a packet whose packet number takes the last four bytes of `header`.
fn seal(keys: &Keys, header: &[u8], payload: &[u8]) -> Vec<u8> {
    let number_at = header.len() - 4;
    let number = u32::from_be_bytes(header[number_at..].try_into().unwrap());
    let sealed = Aes128Gcm::new(&keys.key.into())
        .encrypt(&keys.nonce(number.into()).into(), Payload { msg: payload, aad: header })
        .unwrap();
    let mask = keys.mask(sealed[..16].try_into().unwrap());
    let mut packet = [header, &sealed].concat();
    packet[0] ^= mask[0] & 0x0f;
    for (byte, mask) in packet[number_at..].iter_mut().zip(&mask[1..]) {
        *byte ^= mask;
    }
    packet
}

/// The client's packet of the appendices: the frame with padding.
fn client_packet(version: Version, id: &str, header: &str) -> Vec<u8> {
    let mut payload = bytes(CLIENT_FRAME);
    payload.resize(1162, 0);
    seal(&InitialKeys::derive(version, &bytes(id)).client, &bytes(header), &payload)
}

fn client_1() -> Vec<u8> {
    client_packet(Version::V1, ID, "c300000001088394c8f03e5157080000449e00000002")
}

fn client_2() -> Vec<u8> {
    client_packet(Version::V2, ID, "d36b3343cf088394c8f03e5157080000449e00000002")
}

fn run(datagrams: &[(Side, u64, Vec<u8>)]) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut parser = parser();
    let sink = &mut |message| messages.push(message);
    for (side, time, bytes) in datagrams {
        parser.datagram(*side, Timestamp::from_nanos(*time), bytes, bytes.len(), sink);
    }
    parser.end(sink);
    messages
}

fn text(message: &Message, field: &str) -> String {
    message.get(field).map(|value| value.to_string()).unwrap_or_default()
}

#[test]
fn keys_are_those_of_the_appendices() {
    for (version, client, server) in [
        (
            Version::V1,
            [
                "1f369613dd76d5467730efcbe3b1a22d",
                "fa044b2f42a3fd3b46fb255c",
                "9f50449e04a0e810283a1e9933adedd2",
            ],
            [
                "cf3a5331653c364c88f0f379b6067e37",
                "0ac1493ca1905853b0bba03e",
                "c206b8d9b9f0f37644430b490eeaa314",
            ],
        ),
        (
            Version::V2,
            [
                "8b1a0bc121284290a29e0971b5cd045d",
                "91f73e2351d8fa91660e909f",
                "45b95e15235d6f45a6b19cbcb0294ba9",
            ],
            [
                "82db637861d55e1d011f19ea71d5d2a7",
                "dd13c276499c0249d3310652",
                "edf6d05c83121201b436e16877593c3a",
            ],
        ),
    ] {
        let keys = InitialKeys::derive(version, &bytes(ID));
        for (keys, expected) in [(keys.client, client), (keys.server, server)] {
            assert_eq!([hex(&keys.key), hex(&keys.iv), hex(&keys.header)], expected);
        }
    }
}

/// The whole packets are in the appendices; their beginnings and their tags decide.
#[test]
fn protection_is_that_of_the_appendices() {
    let packet = hex(&client_1());
    assert!(packet.starts_with("c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11"));
    assert!(packet.ends_with("e221af44860018ab0856972e194cd934"));
    let packet = hex(&client_2());
    assert!(packet.starts_with("d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485"));
    assert!(packet.ends_with("a18b2faa745b6fe189cf772a9f84cbfc"));
}

#[test]
fn connections_of_the_appendices_are_read() {
    for (version, client, server) in [("1", client_1(), SERVER_1), ("2", client_2(), SERVER_2)] {
        assert!(packet::is_initial(&client) && packet::is_initial(&bytes(server)));
        let found = run(&[(Side::Initiator, 10, client), (Side::Responder, 35, bytes(server))]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].latency(), Some(Duration::from_nanos(25)));
        for (field, value) in [
            ("quic.version", version),
            ("quic.sni", "example.com"),
            ("quic.alpn", "alpn"),
            ("quic.cipher", "TLS_AES_128_GCM_SHA256"),
            ("quic.dcid", ID),
            ("quic.scid", ""),
            ("quic.server_id", "f067a5502a4262b5"),
            ("quic.retry", "false"),
        ] {
            assert_eq!(text(&found[0], field), value, "{field}");
        }
        assert!(text(&found[0], "quic.ja4").starts_with("q13d0211an_"));
    }
}

#[test]
fn a_hello_in_shuffled_pieces_over_two_packets_is_read() {
    let hello = &bytes(CLIENT_FRAME)[4..];
    let frame = |from: usize, to: usize| {
        let mut frame = vec![6, 0x40 | (from >> 8) as u8, from as u8];
        frame.extend([0x40 | ((to - from) >> 8) as u8, (to - from) as u8]);
        frame.extend(&hello[from..to]);
        frame
    };
    let keys = InitialKeys::derive(Version::V1, &bytes(ID)).client;
    let mut packets = Vec::new();
    for (number, frames) in [
        [frame(200, 241), vec![1, 0, 0], frame(0, 50)].concat(),
        [vec![2, 0, 0, 0, 0], frame(40, 120), frame(120, 210)].concat(),
    ]
    .into_iter()
    .enumerate()
    {
        let mut header = bytes("c300000001088394c8f03e51570800004000000000");
        let length = 0x4000 | (frames.len() + 16 + 4) as u16;
        header.truncate(16);
        header.extend(length.to_be_bytes());
        header.extend((number as u32).to_be_bytes());
        packets.push((Side::Initiator, 0, seal(&keys, &header, &frames)));
    }
    let found = run(&packets);
    assert_eq!(text(&found[0], "quic.sni"), "example.com");
    // Both in one datagram, in the other order.
    let coalesced = [packets[1].2.clone(), packets[0].2.clone()].concat();
    let found = run(&[(Side::Initiator, 0, coalesced)]);
    assert_eq!(text(&found[0], "quic.sni"), "example.com");
}

#[test]
fn a_packet_with_another_tag_is_not_read() {
    let mut packet = client_1();
    *packet.last_mut().unwrap() ^= 1;
    assert!(run(&[(Side::Initiator, 0, packet)]).is_empty());
}

#[test]
fn the_same_ports_may_be_used_again() {
    let server = || (Side::Responder, 0, bytes(SERVER_1));
    let client = || (Side::Initiator, 0, client_1());
    let id = "1122334455667788";
    let header = format!("c30000000108{id}0000449e00000002");
    let second = (Side::Initiator, 0, client_packet(Version::V1, id, &header));
    assert_eq!(run(&[client(), server(), client(), server(), second]).len(), 2);
}

proptest! {
    #[test]
    fn crypto_frames_are_put_in_order(
        frames in prop::collection::vec((0..200_usize, 1..60_usize), 1..40),
    ) {
        let whole: Vec<u8> = (0..=255).collect();
        let mut stream = CryptoStream::default();
        let mut seen = [false; 260];
        for (start, length) in frames {
            let end = (start + length).min(256);
            stream.insert(start as u64, &whole[start..end]);
            seen[start..end].fill(true);
        }
        let expected = seen.iter().position(|seen| !seen).unwrap();
        prop_assert_eq!(stream.in_order(), &whole[..expected]);
    }

    #[test]
    fn any_bytes_are_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        version in prop::sample::select(vec![0, 1, 0x6b33_43cf, 0xff00_001d_u32]),
    ) {
        let datagram = [&[0xc0 | bytes.len() as u8][..], &version.to_be_bytes(), &bytes].concat();
        run(&[(Side::Initiator, 0, datagram.clone()), (Side::Responder, 0, datagram)]);
        let _ = packet::crypto_frames(&bytes, |_, _| {});
    }
}
