//! Streams as exchanges.

use protocol::http1::Framing;
use protocol::{Field, Side};

use super::frames::*;
use crate::lab::Lab;

#[test]
fn streams_are_exchanges_though_they_interleave() {
    let mut lab = open();
    lab.ask([get(1, "/one"), get(3, "/two?q")].concat());
    let head = |stream| frame(HEADERS, END_HEADERS, stream, &block(&[(":status", "200")]));
    lab.answer([head(3), head(1)].concat());
    lab.answer([frame(DATA, 0, 1, b"ab"), frame(DATA, END_STREAM, 3, b"three")].concat());
    lab.answer(frame(DATA, END_STREAM, 1, b"cd"));
    assert_eq!(lab.lines(), ["3 GET /two?q 200 5", "1 GET /one 200 4"]);
    let bodies: Vec<_> = lab.out.bodies.iter().map(|body| (body.1, &body.2[..], body.3)).collect();
    assert_eq!(bodies, [(1, &b"abcd"[..], Some(true)), (3, &b"three"[..], Some(true))]);
    let [first, _] = &lab.out.messages[..] else { panic!("two") };
    for (name, value) in [
        ("http.method", "GET"),
        ("http.host", "x.example"),
        ("http.path", "/two"),
        ("http.query", "q"),
        ("http.version", "2"),
        ("http.status", "200"),
        ("http.stream", "3"),
        ("http.complete", "true"),
        ("http.response_bytes", "5"),
    ] {
        let field = Field::find(name).expect(name);
        assert_eq!(first.value(field).expect(name).to_string(), value, "{name}");
    }
    assert_eq!(first.side, Side::Initiator);
    assert!(first.latency().is_some());
}

#[test]
fn blocks_come_in_parts_with_padding_and_priority() {
    let fields = block(&[(":method", "POST"), (":path", "/p"), ("x", "y")]);
    let (a, b) = fields.split_at(9);
    let mut lab = open();
    let padded = [&[3, 0, 0, 0, 0, 16], a, &[0; 3]].concat();
    lab.ask(frame(HEADERS, PADDED | PRIORITY, 1, &padded));
    lab.ask(frame(CONTINUATION, 0, 1, b"")).ask(frame(CONTINUATION, END_HEADERS, 1, b));
    lab.ask(frame(DATA, PADDED, 1, b"\x02body\0\0"));
    lab.ask(frame(DATA, PADDED | END_STREAM, 1, b"\x04\0\0\0\0"));
    lab.answer(frame(HEADERS, END_HEADERS, 1, &block(&[(":status", "103"), ("link", "l")])));
    lab.answer(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[(":status", "204")])));
    assert_eq!(lab.lines(), ["1 POST /p 204 0"]);
    let exchange = lab.exchanges()[0];
    let request = exchange.request.as_ref().expect("a request");
    assert_eq!((request.body().len(), request.body().framing), (4, Framing::Frames));
    assert_eq!(request.headers().get("x"), Some(&b"y"[..]));
    assert_eq!(exchange.interim, [103]);
    assert_eq!(lab.out.bodies, [(Side::Initiator, 1, b"body".to_vec(), Some(true))]);
}

#[test]
fn trailers_and_the_outcome_of_grpc_are_known() {
    let mut lab = open();
    let fields = [
        (":method", "POST"),
        (":path", "/pkg.Service/Method"),
        ("content-type", "application/grpc+proto"),
    ];
    lab.ask(frame(HEADERS, END_HEADERS, 1, &block(&fields)));
    lab.ask(frame(DATA, END_STREAM, 1, b"\0\0\0\0\x03abc"));
    lab.answer(frame(HEADERS, END_HEADERS, 1, &block(&[(":status", "200")])));
    lab.answer(frame(DATA, 0, 1, b"\0\0\0\0\x02xy\0\0\0"));
    lab.answer(frame(DATA, 0, 1, b"\0\x01z\0\0\0\0\0"));
    let trailers = block(&[("grpc-status", "5"), ("grpc-message", "not%20found")]);
    lab.answer(frame(HEADERS, END_HEADERS | END_STREAM, 1, &trailers));
    let message = &lab.out.messages[0];
    for (name, value) in [
        ("http.grpc_status", "5"),
        ("http.grpc_message", "not%20found"),
        ("http.grpc_request_messages", "1"),
        ("http.grpc_response_messages", "3"),
    ] {
        assert_eq!(message.get(name).expect(name).to_string(), value, "{name}");
    }
    let response = lab.exchanges()[0].response.as_ref().expect("a response");
    assert_eq!(response.body().trailers.len(), 2);
}

#[test]
fn resets_and_promises_are_reported() {
    let mut lab = open();
    lab.ask(get(1, "/page"));
    let promised = block(&[(":method", "GET"), (":path", "/style")]);
    let promise = [&2_u32.to_be_bytes()[..], &promised].concat();
    lab.answer(frame(PUSH_PROMISE, END_HEADERS, 1, &promise)).answer(ok(2, "style"));
    lab.ask(frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes()));
    // The server had answered already.
    lab.answer(ok(1, "late"));
    lab.ask(get(3, "/next")).answer(ok(3, "n")).end();
    assert_eq!(lab.lines(), ["2 GET /style 200 5", "1 GET /page - -", "3 GET /next 200 1"]);
    let details = |index: usize| lab.exchanges()[index].http2.as_ref().expect("details").clone();
    assert!(details(0).pushed);
    assert_eq!(details(1).reset, Some(8));
}

#[test]
fn an_upgrade_of_http_1_goes_on() {
    let mut lab = Lab::any();
    lab.ask(
        "GET /first HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n\
         Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    );
    lab.answer(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    lab.answer([frame(SETTINGS, 0, 0, &[]), ok(1, "first")].concat());
    lab.ask(PREFACE).ask(get(3, "/second")).answer(ok(3, "second")).end();
    assert_eq!(lab.lines(), ["GET /first 101 0", "1 - - 200 5", "3 GET /second 200 6"]);
}

#[test]
fn a_server_may_speak_first() {
    let mut lab = Lab::any();
    lab.answer(frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]));
    lab.ask(&PREFACE[..5]).ask(&PREFACE[5..]).ask(get(1, "/")).answer(ok(1, "x"));
    assert_eq!(lab.lines(), ["1 GET / 200 1"]);
}

#[test]
fn a_request_without_an_answer_is_reported_at_the_end() {
    let mut lab = open();
    lab.ask(get(1, "/a")).ask(get(3, "/b")).answer(frame(
        HEADERS,
        END_HEADERS,
        3,
        &block(&[(":status", "200")]),
    ));
    lab.answer(frame(DATA, 0, 3, b"part")).end();
    assert_eq!(lab.lines(), ["1 GET /a - -", "3 GET /b 200 4"]);
    assert_eq!(lab.out.bodies[0].3, Some(false));
    assert!(!lab.exchanges()[1].response.as_ref().expect("one").body().complete);
}
