use std::time::Duration;

use packet::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::{Content, LostCause, Message, Next, Prefix, Side, Verdict};

const CLIENT: Side = Side::Initiator;
const SERVER: Side = Side::Responder;

fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_nanos(milliseconds * 1_000_000)
}

fn vector16(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

fn extension(number: u16, data: &[u8]) -> Vec<u8> {
    [number.to_be_bytes().to_vec(), vector16(data)].concat()
}

fn numbers(list: &[u16]) -> Vec<u8> {
    list.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn server_name(name: &str) -> Vec<u8> {
    extension(0, &vector16(&[vec![0], vector16(name.as_bytes())].concat()))
}

fn alpn(names: &[&str]) -> Vec<u8> {
    let list = names.iter().flat_map(|name| [&[name.len() as u8], name.as_bytes()].concat());
    extension(16, &vector16(&list.collect::<Vec<_>>()))
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (body.len() as u32).to_be_bytes();
    [&[kind, a, b, c], body].concat()
}

fn client_hello(version: u16, ciphers: &[u16], extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut body = [&version.to_be_bytes()[..], &[7; 32], &[0]].concat();
    body.extend(vector16(&numbers(ciphers)));
    body.extend([1, 0]);
    if !extensions.is_empty() {
        body.extend(vector16(&extensions.concat()));
    }
    handshake(1, &body)
}

fn server_hello(random: [u8; 32], cipher: u16, extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut body = [&[3, 3][..], &random, &[0], &cipher.to_be_bytes(), &[0]].concat();
    body.extend(vector16(&extensions.concat()));
    handshake(2, &body)
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3][..], &vector16(body)].concat()
}

fn run(pieces: &[(Side, u64, Vec<u8>)]) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut parser = parser();
    let sink = &mut |message| messages.push(message);
    for (side, time, bytes) in pieces {
        parser.data(*side, at(*time), bytes, sink);
    }
    parser.end(sink);
    messages
}

fn text(message: &Message, field: &str) -> String {
    message.get(field).map(|value| value.to_string()).unwrap_or_default()
}

fn hello_1_3(name: &str) -> Vec<u8> {
    let versions = extension(43, &[&[4][..], &numbers(&[0x0304, 0x0303])].concat());
    client_hello(
        0x0303,
        &[0x1301, 0xc02f],
        &[server_name(name), alpn(&["h2", "http/1.1"]), versions],
    )
}

fn answer_1_3() -> Vec<u8> {
    server_hello([9; 32], 0x1301, &[extension(43, &[3, 4])])
}

fn connection_1_3() -> Vec<(Side, u64, Vec<u8>)> {
    vec![
        (CLIENT, 10, record(22, &hello_1_3("example.org"))),
        (SERVER, 35, [record(22, &answer_1_3()), record(20, &[1]), record(23, &[0; 90])].concat()),
        (CLIENT, 60, [record(20, &[1]), record(23, &[0; 50])].concat()),
    ]
}

#[test]
fn a_handshake_of_1_3_is_one_message() {
    let found = run(&connection_1_3());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].latency(), Some(Duration::from_millis(25)));
    for (field, value) in [
        ("tls.sni", "example.org"),
        ("tls.handshake.extensions_server_name", "example.org"),
        ("tls.version", "TLS 1.3"),
        ("tls.alpn", "h2"),
        ("tls.cipher", "TLS_AES_128_GCM_SHA256"),
        ("tls.established", "true"),
        ("tls.resumed", "false"),
        ("tls.ech", "false"),
        ("tls.handshake_time", "0.050000000"),
    ] {
        assert_eq!(text(&found[0], field), value, "{field}");
    }
}

#[test]
fn the_parser_ends_when_both_sides_encrypt() {
    let mut parser = parser();
    for (side, time, bytes) in connection_1_3() {
        assert!(parser.take_switch().is_none());
        parser.data(side, at(time), &bytes, &mut |_| {});
    }
    assert_eq!(parser.take_switch().map(|switch| switch.next), Some(Next::Opaque));
}

#[test]
fn a_second_hello_after_a_request_to_retry_is_read_over_the_change_of_ciphers() {
    let retry = [
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8,
        0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8,
        0x33, 0x9c,
    ];
    let retry = server_hello(retry, 0x1302, &[extension(43, &[3, 4])]);
    let mut pieces = connection_1_3();
    let second = [record(20, &[1]), record(22, &hello_1_3("example.org"))].concat();
    pieces.splice(1..1, [(SERVER, 20, record(22, &retry)), (CLIENT, 22, second)]);
    let found = run(&pieces);
    assert_eq!(found.len(), 1);
    assert_eq!(text(&found[0], "tls.hello_retry"), "true");
    assert_eq!(text(&found[0], "tls.cipher"), "TLS_AES_128_GCM_SHA256");
    assert_eq!(text(&found[0], "tls.established"), "true");
}

#[test]
fn a_fatal_alert_ends_the_handshake() {
    let found =
        run(&[(CLIENT, 0, record(22, &hello_1_3("a.test"))), (SERVER, 1, record(21, &[2, 40]))]);
    assert_eq!(text(&found[0], "tls.alert"), "handshake_failure");
    assert_eq!(text(&found[0], "tls.established"), "false");
    assert_eq!(found.len(), 1);
}

#[test]
fn resumption_by_session_and_by_ticket_is_noted() {
    let with_session = |mut hello: Vec<u8>, at: usize| {
        hello[at] = 4;
        hello.splice(at + 1..at + 1, [5; 4]);
        let length = (hello.len() - 4) as u32;
        hello[1..4].copy_from_slice(&length.to_be_bytes()[1..]);
        hello
    };
    let hello = with_session(client_hello(0x0303, &[0xc02f], &[]), 38);
    let answer = with_session(server_hello([9; 32], 0xc02f, &[]), 38);
    let finish = [record(20, &[1]), record(22, &[0xee; 40])].concat();
    let found = run(&[
        (CLIENT, 0, record(22, &hello)),
        (SERVER, 1, [record(22, &answer), finish.clone()].concat()),
        (CLIENT, 2, finish),
    ]);
    assert_eq!(text(&found[0], "tls.resumed"), "true");
    assert_eq!(text(&found[0], "tls.version"), "TLS 1.2");
}

#[test]
fn certificates_are_counted_and_damaged_ones_marked() {
    let der = [0x30, 3, 1, 2, 3];
    let entry = [&[0, 0, 5][..], &der].concat();
    let list = entry.repeat(20);
    let body = [&(list.len() as u32).to_be_bytes()[1..], &list].concat();
    let found = run(&[
        (CLIENT, 0, record(22, &client_hello(0x0303, &[0xc02f], &[]))),
        (
            SERVER,
            1,
            record(22, &[server_hello([9; 32], 0xc02f, &[]), handshake(11, &body)].concat()),
        ),
    ]);
    let Content::Tls(tls) = &found[0].content else { panic!("not TLS") };
    assert_eq!((tls.certificate_count, tls.certificates.len()), (20, 16));
    assert!(tls.certificates[0].malformed);
}

#[test]
fn messages_that_are_too_long_are_skipped() {
    let hello = [record(22, &hello_1_3("a.test"))].concat();
    let long = handshake(11, &vec![0; 200 << 10]);
    let mut bytes = record(22, &server_hello([9; 32], 0xc02f, &[]));
    for fragment in long.chunks(16 << 10) {
        bytes.extend(record(22, fragment));
    }
    bytes.extend(record(21, &[2, 80]));
    let mut parser = parser();
    let mut found = Vec::new();
    parser.data(CLIENT, at(0), &hello, &mut |message| found.push(message));
    for piece in bytes.chunks(1000) {
        parser.data(SERVER, at(0), piece, &mut |message| found.push(message));
        assert!(parser.memory() < 256 << 10);
    }
    let Content::Tls(tls) = &found[0].content else { panic!("not TLS") };
    assert_eq!((tls.oversized, tls.alerts.len()), (1, 1));
}

#[test]
fn hellos_of_ssl_2_are_read() {
    let mut hello = vec![0x80, 0, 1, 3, 1, 0, 9, 0, 0, 0, 16];
    hello.extend([0, 0, 0x2f, 1, 0, 0x80, 0, 0, 0x35]);
    hello.extend([6; 16]);
    hello[1] = (hello.len() - 2) as u8;
    assert_eq!(record::probe(&Prefix::new(&hello, &[])), Verdict::Yes);
    assert_eq!(record::probe(&Prefix::new(&hello[..7], &[])), Verdict::More);
    let found =
        run(&[(CLIENT, 0, hello), (SERVER, 1, record(22, &server_hello([9; 32], 0x2f, &[])))]);
    let Content::Tls(tls) = &found[0].content else { panic!("not TLS") };
    let client = tls.client.as_ref().unwrap();
    assert!(client.ssl2_format);
    assert_eq!(client.ciphers, [0x2f, 0x35]);
    assert_eq!(text(&found[0], "tls.cipher"), "TLS_RSA_WITH_AES_128_CBC_SHA");
}

#[test]
fn a_hello_that_was_cut_off_shows_its_name() {
    let mut bytes = record(22, &hello_1_3("example.org"));
    bytes.truncate(bytes.len() - 4);
    let found = run(&[(CLIENT, 0, bytes)]);
    let Content::Tls(tls) = &found[0].content else { panic!("not TLS") };
    assert!(tls.client.as_ref().unwrap().malformed);
    assert_eq!(tls.server_name(), Some("example.org"));
}

#[test]
fn gaps_are_survived() {
    let mut found = Vec::new();
    let mut parser = parser();
    let hello = record(22, &hello_1_3("a.test"));
    parser.data(CLIENT, at(0), &hello, &mut |message| found.push(message));
    parser
        .data(SERVER, at(1), &record(22, &answer_1_3())[..20], &mut |message| found.push(message));
    parser.gap(SERVER, at(1), 1000, &mut |message| found.push(message));
    let rest = [vec![9; 30], record(23, &[1; 30])].concat();
    parser.data(SERVER, at(2), &rest, &mut |message| found.push(message));
    parser.data(CLIENT, at(3), &record(23, &[1; 30]), &mut |message| found.push(message));
    let Content::Lost(lost) = &found[0].content else { panic!("not lost") };
    assert_eq!(lost.cause, LostCause::Gap);
    assert_eq!(text(&found[1], "tls.established"), "true");
    assert_eq!(found.len(), 2);
}

#[test]
fn the_probe_wants_a_hello() {
    let hello = record(22, &hello_1_3("a.test"));
    assert_eq!(record::probe(&Prefix::new(&hello, &[])), Verdict::Yes);
    assert_eq!(record::probe(&Prefix::new(&hello[..4], &[])), Verdict::More);
    assert_eq!(record::probe(&Prefix::new(b"GET / HTTP/1.1\r\n", &[])), Verdict::No);
    assert_eq!(record::probe(&Prefix::new(&[], &record(22, &answer_1_3()))), Verdict::Yes);
}

fn read_client(message: &[u8]) -> ClientHello {
    ClientHello::parse(&message[4..]).unwrap()
}

/// The examples of the description of JA3.
#[test]
fn ja3_is_as_published() {
    let groups = extension(10, &vector16(&numbers(&[23, 24, 25])));
    let hello = read_client(&client_hello(
        769,
        &[47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4],
        &[server_name("a"), groups, extension(11, &[1, 0])],
    ));
    assert_eq!(
        hello.ja3_string(),
        "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0"
    );
    assert_eq!(hello.ja3(), "ada70206e40642a3e4461f35503241d5");
    let hello = read_client(&client_hello(769, &[4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99], &[]));
    assert_eq!(hello.ja3(), "de350869b8c85de67a350c8d186f11e6");
}

/// The example of the description of JA4, with values of RFC 8701 mixed in as Chrome does.
#[test]
fn ja4_is_as_published() {
    let ciphers = [
        0x0a0a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013,
        0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
    ];
    let algorithms = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
    let mut extensions = vec![
        extension(0x1a1a, &[]),
        server_name("example.org"),
        alpn(&["h2", "http/1.1"]),
        extension(13, &vector16(&numbers(&algorithms))),
        extension(43, &[&[6][..], &numbers(&[0x2a2a, 0x0304, 0x0303])].concat()),
    ];
    for number in [0x1b, 0x33, 0x4469, 0x17, 0x2d, 0x5, 0x23, 0x12, 0xff01, 0x15] {
        extensions.push(extension(number, &[]));
    }
    extensions.push(extension(10, &vector16(&numbers(&[29]))));
    extensions.push(extension(11, &[1, 0]));
    let hello = read_client(&client_hello(0x0303, &ciphers, &extensions));
    assert_eq!(hello.ja4(), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    assert_eq!(&hello.ja4_quic()[..10], "q13d1516h2");
}

#[test]
fn ja3s_has_version_cipher_and_extensions() {
    let extensions: Vec<_> =
        [65281, 0, 11, 35, 5, 16].into_iter().map(|number| extension(number, &[])).collect();
    let mut message = server_hello([9; 32], 47, &extensions);
    message[5] = 1;
    let mut hello = ServerHello::parse(&message[4..]).unwrap();
    // An empty ALPN cannot be read, which must not change the fingerprint.
    assert_eq!(hello.alpn.take(), None);
    assert_eq!(hello.ja3s_string(), "769,47,65281-0-11-35-5-16");
    assert_eq!(hello.ja3s(), "836ce314215654b5b1f85f97c73e506f");
}

/// The first alert that ends the connection is the last that counts, however they are divided.
#[test]
fn alerts_behind_the_end_of_the_connection_do_not_count() {
    let alerts = record(21, &[1, 90, 1, 0, 3, 21]);
    let whole = run(&[(SERVER, 0, alerts.clone())]);
    let bytewise: Vec<_> = alerts.iter().map(|&byte| (SERVER, 0, vec![byte])).collect();
    assert_eq!(format!("{whole:?}"), format!("{:?}", run(&bytewise)));
    assert_eq!(format!("{whole:?}").matches("Alert {").count(), 2);
}

proptest! {
    #[test]
    fn division_and_fragments_do_not_change_the_message(
        fragment in 1..200_usize,
        cuts in prop::collection::vec(1..80_usize, 1..20),
    ) {
        let whole = run(&connection_1_3().into_iter().map(|(side, _, bytes)| (side, 0, bytes)).collect::<Vec<_>>());
        let mut pieces = Vec::new();
        let mut cuts = cuts.iter().cycle();
        for (index, (side, _, bytes)) in connection_1_3().into_iter().enumerate() {
            // The hello in records of `fragment` bytes.
            let bytes = if index == 0 {
                hello_1_3("example.org").chunks(fragment).flat_map(|part| record(22, part)).collect()
            } else {
                bytes
            };
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                pieces.push((side, 0, piece.to_vec()));
                rest = after;
            }
        }
        prop_assert_eq!(format!("{whole:?}"), format!("{:?}", run(&pieces)));
    }

    #[test]
    fn any_bytes_are_survived(
        start in prop::sample::select(vec![vec![], vec![22, 3, 1, 0, 200, 1], vec![0x80, 40, 1, 3, 1]]),
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
        gap in any::<u16>(),
    ) {
        let bytes = [start, bytes].concat();
        let mut parser = parser();
        parser.data(CLIENT, at(0), &bytes, &mut |_| {});
        parser.gap(CLIENT, at(0), gap.into(), &mut |_| {});
        parser.data(CLIENT, at(0), &bytes, &mut |_| {});
        parser.data(SERVER, at(0), &bytes, &mut |_| {});
        parser.end(&mut |_| {});
    }
}
