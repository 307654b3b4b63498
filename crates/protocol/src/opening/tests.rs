use std::sync::Arc;

use packet::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::side::Side::{self, Initiator, Responder};
use crate::{Content, Message, Ports, Registry, Session};

/// A hello of TLS 1.2 without extensions, as a record.
fn hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x00, 0x2f, 1, 0]);
    let mut record = vec![22, 3, 1, 0, body.len() as u8 + 4, 1, 0, 0, body.len() as u8];
    record.extend(body);
    record
}

/// Runs turns through a session, in pieces of at most `step` bytes.
fn run(turns: &[(Side, &[u8])], step: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut session = Session::new(Arc::new(Registry::default()), Ports::default());
    let sink = &mut |message| messages.push(message);
    for (side, bytes) in turns {
        for piece in bytes.chunks(step) {
            session.data(*side, Timestamp::from_nanos(1), piece, sink);
        }
    }
    session.end(sink);
    messages
}

/// The protocol and the fields of each message, as `name=value` in one line.
fn lines(messages: &[Message]) -> Vec<String> {
    let line = |message: &Message| {
        let mut line = message.protocol().to_string();
        message.fields(&mut |name, value| {
            let name = name.split_once('.').map_or(name, |(_, rest)| rest);
            line += &format!(" {name}={value}");
        });
        line
    };
    messages.iter().map(line).collect()
}

/// The first message, whose content must not depend on how the bytes are divided.
fn opening(turns: &[(Side, &[u8])]) -> (String, Vec<Message>) {
    let all = run(turns, usize::MAX);
    for step in [1, 2, 7] {
        assert_eq!(lines(&run(turns, step)), lines(&all), "in pieces of {step}");
    }
    (lines(&all).first().cloned().unwrap_or_default(), all)
}

/// Checks that the second message is the handshake.
fn assert_tls(messages: &[Message]) {
    let [_, second] = messages else { panic!("two messages: {messages:?}") };
    assert!(matches!(&second.content, Content::Tls(tls) if tls.client.is_some()), "{second:?}");
}

#[test]
fn smtp_goes_on_as_tls() {
    let hello = hello();
    let turns: [(Side, &[u8]); 6] = [
        (Responder, b"220-mail.example ESMTP\r\n220 ready\r\n"),
        (Initiator, b"EHLO me.example\r\n"),
        (Responder, b"250-mail.example\r\n250 STARTTLS\r\n"),
        (Initiator, b"STARTTLS\r\n"),
        (Responder, b"220 Go ahead\r\n"),
        (Initiator, &hello),
    ];
    let (line, all) = opening(&turns);
    assert_eq!(line, "smtp banner=mail.example ESMTP helo=me.example starttls=true");
    assert_tls(&all);
    // A hello that was captured before the answer waits for it.
    let (_, all) = opening(&[turns[0], turns[1], turns[2], turns[3], turns[5], turns[4]]);
    assert_tls(&all);
    // A pipelined command has its own answer.
    let together: (Side, &[u8]) = (Initiator, b"EHLO me.example\r\nSTARTTLS\r\n");
    let (_, all) = opening(&[turns[0], together, turns[2], turns[4], turns[5]]);
    assert_tls(&all);
}

#[test]
fn a_refused_starttls_changes_nothing() {
    let (line, all) = opening(&[
        (Responder, b"220 mail.example ESMTP\r\n"),
        (Initiator, b"EHLO a\r\nSTARTTLS\r\nMAIL FROM:<a@example>\r\n"),
        (Responder, b"250 hello\r\n454 not now\r\n"),
    ]);
    assert_eq!(
        line,
        "smtp banner=mail.example ESMTP helo=a command=MAIL FROM:<a@example> starttls=false"
    );
    assert_eq!(all.len(), 1);
}

#[test]
fn ftp_is_told_from_smtp_by_the_client() {
    let hello = hello();
    let (line, all) = opening(&[
        (Responder, b"220 welcome\r\n"),
        (Initiator, b"AUTH TLS\r\n"),
        (Responder, b"234 go\r\n"),
        (Initiator, &hello),
    ]);
    assert_eq!(line, "ftp banner=welcome starttls=true");
    assert_tls(&all);
    let (line, _) = opening(&[
        (Responder, b"220 welcome\r\n"),
        (Initiator, b"USER anna\r\n"),
        (Responder, b"331 password\r\n"),
        (Initiator, b"PASS hidden\r\nRETR /a file\r\n"),
    ]);
    assert_eq!(line, "ftp banner=welcome user=anna command=RETR /a file starttls=false");
}

#[test]
fn pop3_and_imap_go_on_as_tls() {
    let hello = hello();
    let (line, all) = opening(&[
        (Responder, b"+OK POP3 ready\r\n"),
        (Initiator, b"CAPA\r\n"),
        (Responder, b"+OK list\r\nSTLS\r\n.\r\n"),
        (Initiator, b"STLS\r\n"),
        (Responder, b"+OK begin\r\n"),
        (Initiator, &hello),
    ]);
    assert_eq!(line, "pop3 banner=POP3 ready starttls=true");
    assert_tls(&all);
    let (line, all) = opening(&[
        (Responder, b"* OK IMAP4rev1 ready\r\n"),
        (Initiator, b"a1 CAPABILITY\r\na2 STARTTLS\r\n"),
        (Responder, b"* CAPABILITY STARTTLS\r\na1 OK done\r\na2 OK begin\r\n"),
        (Initiator, &hello),
    ]);
    assert_eq!(line, "imap banner=IMAP4rev1 ready starttls=true");
    assert_tls(&all);
}

#[test]
fn proofs_of_identity_are_not_kept() {
    for turns in [
        [(Responder, &b"* OK ready\r\n"[..]), (Initiator, &b"a LOGIN \"anna\" hidden\r\n"[..])],
        [(Responder, b"* OK ready\r\n"), (Initiator, b"a AUTHENTICATE PLAIN hidden\r\n")],
        [(Responder, b"+OK ready\r\n"), (Initiator, b"USER anna\r\nPASS hidden\r\nSTAT\r\n")],
        [(Responder, b"+OK ready <1@a>\r\n"), (Initiator, b"APOP anna hidden\r\n")],
        [(Responder, b"220 x ESMTP\r\n"), (Initiator, b"EHLO a\r\nAUTH PLAIN hidden\r\n")],
    ] {
        let (line, all) = opening(&turns);
        assert!(all.len() == 1 && !line.contains("hidden"), "{line}");
        assert!(line.contains("anna") || line.contains("PLAIN"), "{line}");
    }
}

#[test]
fn ssh_has_the_identifications_of_both_sides() {
    let (line, all) = opening(&[
        (Responder, b"SSH-2.0-OpenSSH_9.6\r\n\0\0\x05"),
        (Initiator, b"SSH-2.0-libssh_0.10\n\0\0\0"),
    ]);
    assert_eq!(line, "ssh client=SSH-2.0-libssh_0.10 server=SSH-2.0-OpenSSH_9.6");
    assert_eq!(all.len(), 1);
}

/// A packet of PostgreSQL: a type if it has one, the length, the body.
fn postgresql(kind: Option<u8>, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 4).to_be_bytes();
    kind.into_iter().chain(length).chain(body.iter().copied()).collect()
}

#[test]
fn postgresql_has_user_database_and_query() {
    let request = postgresql(None, &80_877_103_u32.to_be_bytes());
    let start =
        [&[0, 3, 0, 0][..], b"user\0anna\0database\0shop\0application_name\0psql\0\0"].concat();
    let start = postgresql(None, &start);
    let password = postgresql(Some(b'p'), b"hidden\0");
    let query = postgresql(Some(b'Q'), b"SELECT 1\0");
    let ready = postgresql(Some(b'R'), &[0; 4]);
    let (line, all) = opening(&[
        (Initiator, &request),
        (Responder, b"N"),
        (Initiator, &start),
        (Responder, &ready),
        (Initiator, &[password, query].concat()),
    ]);
    assert_eq!(
        line,
        "postgresql version=3.0 user=anna database=shop application=psql query=SELECT 1 \
         starttls=false"
    );
    assert_eq!(all.len(), 1);
    let (line, all) = opening(&[(Initiator, &request), (Responder, b"S"), (Initiator, &hello())]);
    assert_eq!(line, "postgresql starttls=true");
    assert_tls(&all);
}

/// A packet of MySQL.
fn mysql(number: u8, body: &[u8]) -> Vec<u8> {
    [&[body.len() as u8, 0, 0, number], body].concat()
}

#[test]
fn mysql_has_version_user_database_and_query() {
    let greeting = mysql(0, b"\x0a8.0.36\0\x01\0\0\0saltsalt\0\xff\xff");
    // PROTOCOL_41, SECURE_CONNECTION, CONNECT_WITH_DB.
    let capabilities = ((1_u32 << 9) | (1 << 15) | (1 << 3)).to_le_bytes();
    let login = [&capabilities[..], &[0; 28], b"anna\0\x06hiddenshop\0"].concat();
    let (line, all) = opening(&[
        (Responder, &greeting),
        (Initiator, &mysql(1, &login)),
        (Responder, &mysql(2, &[0; 7])),
        (Initiator, &mysql(0, b"\x03SELECT 2")),
    ]);
    assert_eq!(line, "mysql version=8.0.36 user=anna database=shop query=SELECT 2 starttls=false");
    assert_eq!(all.len(), 1);
    let request = [&((1_u32 << 9) | (1 << 11)).to_le_bytes()[..], &[0; 28]].concat();
    let (line, all) =
        opening(&[(Responder, &greeting), (Initiator, &[mysql(1, &request), hello()].concat())]);
    assert_eq!(line, "mysql version=8.0.36 starttls=true");
    assert_tls(&all);
}

#[test]
fn a_gap_ends_the_opening_and_is_reported() {
    let mut messages = Vec::new();
    let sink = &mut |message| messages.push(message);
    let mut session = Session::new(Arc::new(Registry::default()), Ports::default());
    let time = Timestamp::from_nanos(1);
    session.data(Responder, time, b"220 mail ESMTP\r\n", sink);
    session.gap(Initiator, time, 10, sink);
    session.data(Initiator, time, b"STARTTLS\r\n", sink);
    assert!(session.is_unknown());
    session.end(sink);
    assert_eq!(lines(&messages)[0], "smtp banner=mail ESMTP starttls=false");
    assert!(matches!(messages[1].content, Content::Lost(lost) if lost.offset == 0));
}

#[test]
fn what_waits_is_bounded() {
    let long = [b"EHLO ".to_vec(), vec![b'a'; 1 << 20]].concat();
    let many = b"NOOP\r\n".repeat(100_000);
    let hostile: [&[u8]; 3] = [&long, &many, &[b"STARTTLS\r\n", &long[..]].concat()];
    for bytes in hostile {
        let mut messages = Vec::new();
        let sink = &mut |message| messages.push(message);
        let mut session = Session::new(Arc::new(Registry::default()), Ports::default());
        session.data(Responder, Timestamp::from_nanos(1), b"220 mail ESMTP\r\n", sink);
        for piece in bytes.chunks(1000) {
            session.data(Initiator, Timestamp::from_nanos(1), piece, sink);
            assert!(session.memory() < 64 << 10, "{}", session.memory());
        }
        assert!(session.is_unknown(), "nothing is parsed behind the limit");
        assert_eq!(lines(&messages), ["smtp banner=mail ESMTP starttls=false"]);
    }
}

#[test]
fn the_servers_packets_of_a_start_do_not_count() {
    let start = postgresql(None, &[&[0, 3, 0, 0][..], b"user\0anna\0\0"].concat());
    let many = postgresql(Some(b'S'), b"name\0value\0").repeat(100);
    let query = postgresql(Some(b'Q'), b"SELECT 1\0");
    let (line, _) = opening(&[(Initiator, &start), (Responder, &many), (Initiator, &query)]);
    assert_eq!(line, "postgresql version=3.0 user=anna query=SELECT 1 starttls=false");
}

#[test]
fn long_values_are_cut() {
    let banner = [b"220 ESMTP ".to_vec(), vec![b'x'; 2000], b"\r\n".to_vec()].concat();
    let (line, _) = opening(&[(Responder, &banner), (Initiator, b"QUIT\r\n")]);
    assert!(line.contains("x… command=QUIT") && line.len() < 600, "{line}");
}

proptest! {
    /// Any bytes: nothing panics, memory is bounded, and the division into pieces changes nothing.
    #[test]
    fn any_bytes_are_survived(
        index in 0..7_usize,
        turns in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..64)), 0..20),
        words in prop::collection::vec(0..8_usize, 20),
    ) {
        const WORDS: [&[u8]; 8] = [
            b"", b"220 a\r\n", b"STARTTLS\r\n", b"a STARTTLS\r\n", b"a OK\r\n", b"STLS\r\n", b"+OK\r\n",
            &[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f],
        ];
        let protocol = protocols()[index].protocol();
        let mut parser = parser(protocol).expect("it is one of them");
        let mut count = 0;
        for ((side, bytes), word) in turns.iter().zip(words) {
            let side = if *side { Initiator } else { Responder };
            for bytes in [WORDS[word], bytes] {
                parser.data(side, Timestamp::from_nanos(1), bytes, &mut |_| count += 1);
            }
            prop_assert!(parser.memory() < 64 << 10);
            if parser.take_switch().is_some() {
                break;
            }
        }
        parser.end(&mut |_| count += 1);
        prop_assert!(count <= 1);
    }
}
