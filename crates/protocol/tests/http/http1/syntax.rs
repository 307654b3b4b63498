//! Start lines and fields (RFC 9112, 2 to 5).

use protocol::LostCause;
use protocol::Side::Initiator;
use protocol::http1::Flags;

use crate::lab::Lab;

fn request(bytes: &str) -> Lab {
    let mut lab = Lab::new();
    lab.ask(bytes).end();
    assert_eq!(lab.exchanges().len(), 1, "{bytes:?} {:?}", lab.lost());
    lab
}

fn flags(bytes: &str) -> Flags {
    request(bytes).exchanges()[0].flags
}

fn value(bytes: &str, name: &str) -> String {
    let lab = request(bytes);
    let request = lab.exchanges()[0].request.clone().unwrap();
    String::from_utf8(request.headers().get(name).expect("the field").to_vec()).unwrap()
}

#[test]
fn a_usual_request_has_no_flags() {
    assert!(flags("GET /a?b HTTP/1.1\r\nHost: h\r\nX:\t y \t\r\nEmpty:\r\n\r\n").is_empty());
    assert_eq!(value("GET / HTTP/1.1\r\nX:\t y \t\r\n\r\n", "x"), "y");
    assert_eq!(value("GET / HTTP/1.1\r\nX: a\r\nx: b\r\n\r\n", "x"), "a");
}

#[test]
fn folded_lines_are_joined_by_spaces() {
    let text = "GET / HTTP/1.1\r\nX: a\r\n  b\r\n\tc\r\nY: d\r\n\r\n";
    assert_eq!(flags(text), Flags::OBS_FOLD);
    assert_eq!(value(text, "x").split_ascii_whitespace().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(!value(text, "x").contains(['\r', '\n']));
    assert_eq!(value(text, "y"), "d");
}

#[test]
fn line_feeds_alone_end_lines() {
    let text = "GET / HTTP/1.1\nX: a\nY: b\n\n";
    assert_eq!(flags(text), Flags::BARE_LF);
    assert_eq!(value(text, "y"), "b");
    assert_eq!(flags("GET / HTTP/1.1\r\nX: a\nY: b\r\n\r\n"), Flags::BARE_LF);
}

#[test]
fn white_space_before_the_colon_is_removed() {
    let text = "GET / HTTP/1.1\r\nX \t: a\r\n\r\n";
    assert_eq!(flags(text), Flags::SPACE_BEFORE_COLON);
    assert_eq!(value(text, "x"), "a");
    // The length counts, as it does for a server that removes the space.
    let mut lab = Lab::new();
    lab.ask("POST / HTTP/1.1\r\nContent-Length : 2\r\n\r\nhiGET /n HTTP/1.1\r\n\r\n").end();
    assert_eq!(lab.lines(), ["POST / - -", "GET /n - -"]);
}

#[test]
fn lines_before_the_first_field_that_begin_with_a_space_are_ignored() {
    let text = "GET / HTTP/1.1\r\n X: a\r\nY: b\r\n\r\n";
    assert_eq!(flags(text), Flags::SPACE_BEFORE_FIELDS);
    assert_eq!(value(text, "y"), "b");
    assert_eq!(request(text).exchanges()[0].request.as_ref().unwrap().headers().len(), 1);
}

#[test]
fn carriage_returns_and_nul_within_a_line_are_spaces() {
    assert_eq!(flags("GET / HTTP/1.1\r\nX: a\rb\r\n\r\n"), Flags::BARE_CR);
    assert_eq!(value("GET / HTTP/1.1\r\nX: a\rb\0c\r\n\r\n", "x"), "a b c");
}

#[test]
fn lines_that_are_no_fields_are_ignored() {
    let text = "GET / HTTP/1.1\r\nnonsense\r\n: empty\r\nX y: z\r\nA: b\r\n\r\n";
    assert_eq!(flags(text), Flags::INVALID_FIELD);
    assert_eq!(request(text).exchanges()[0].request.as_ref().unwrap().headers().len(), 1);
}

#[test]
fn several_hosts_are_flagged() {
    assert_eq!(flags("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), Flags::SEVERAL_HOSTS);
}

#[test]
fn start_lines_with_more_space_are_understood() {
    let lab = request("GET  /a b \tHTTP/1.1\r\n\r\n");
    assert_eq!(lab.lines(), ["GET /a b - -"]);
    assert_eq!(lab.exchanges()[0].flags, Flags::LOOSE_START_LINE);
}

#[test]
fn empty_lines_before_a_message_are_ignored() {
    let mut lab = Lab::new();
    lab.ask("\r\n\r\nGET /a HTTP/1.1\r\n\r\n\r\nGET /b HTTP/1.1\r\n\r\n").end();
    assert_eq!(lab.lines(), ["GET /a - -", "GET /b - -"]);
    assert!(lab.exchanges().iter().all(|exchange| exchange.flags.is_empty()));
}

#[test]
fn the_host_of_an_absolute_target_counts() {
    let lab = request("GET http://a.example:8080/x?y=1 HTTP/1.1\r\nHost: b.example\r\n\r\n");
    let request = lab.exchanges()[0].request.clone().unwrap();
    assert_eq!(request.host(), Some(&b"a.example:8080"[..]));
    assert_eq!((request.path(), request.query()), (&b"/x"[..], Some(&b"y=1"[..])));

    let lab = self::request("GET http://a.example HTTP/1.1\r\n\r\n");
    assert_eq!(lab.exchanges()[0].request.as_ref().unwrap().path(), b"/");
    let lab = self::request("OPTIONS * HTTP/1.1\r\nHost: b.example\r\n\r\n");
    let request = lab.exchanges()[0].request.clone().unwrap();
    assert_eq!((request.path(), request.host()), (&b"*"[..], Some(&b"b.example"[..])));
    // A path that holds an address is a path.
    let lab = self::request("GET /go?to=http://c.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n");
    assert_eq!(lab.exchanges()[0].request.as_ref().unwrap().host(), Some(&b"b.example"[..]));
}

#[test]
fn what_is_no_message_loses_the_place_until_the_next() {
    let mut lab = Lab::new();
    lab.ask("GET /a HTTP/1.1\r\n\r\n").ask("\x01\x02 nonsense GET /b HTTP/1.1\r\n\r\n").end();
    assert_eq!(lab.lines(), ["GET /a - -", "GET /b - -"]);
    let [(Initiator, lost)] = lab.lost()[..] else { panic!("lost once") };
    assert_eq!((lost.cause, lost.offset), (LostCause::Syntax, 19));
}

#[test]
fn bytes_of_other_protocols_are_unknown() {
    for bytes in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "EHLO me\r\n",
        "\x16\x03\x01\x02\x00\x01",
        "GETTING /\r\n",
        "get /\r\n",
        "HTTP/2.0 x",
    ] {
        let mut lab = Lab::new();
        lab.ask(bytes);
        assert!(lab.session().is_unknown(), "{bytes:?}");
    }
    let mut lab = Lab::new();
    lab.answer("220 mail ESMTP\r\n").ask("EHLO me\r\n");
    assert!(lab.session().is_unknown());
}

#[test]
fn a_malformed_first_request_is_http_if_the_answer_is() {
    for request in ["GET /\r\n", "OPTIONS\r\n\r\n", "GET\x20HTTP/1.1\r\n\r\n"] {
        let mut lab = Lab::new();
        lab.ask(request);
        assert!(!lab.session().is_unknown(), "{request:?}");
        lab.answer("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").end();
        assert_eq!(lab.lines(), ["- - 400 0"], "{request:?}");
        let mut lab = Lab::new();
        lab.ask(request).answer("+OK\r\n");
        assert!(lab.session().is_unknown(), "{request:?}");
    }
}

#[test]
fn the_bytes_decide_which_side_is_the_client() {
    let mut lab = Lab::new();
    lab.answer("GET /a HTTP/1.1\r\n\r\n").ask("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(lab.lines(), ["GET /a 200 0"]);
    assert_eq!(lab.out.messages[0].side, protocol::Side::Responder);
}

#[test]
fn fields_are_found_by_name() {
    let mut lab = Lab::new();
    lab.ask("GET /a?b=c HTTP/1.1\r\nHost: h\r\nUser-Agent: me\r\n\r\n");
    lab.answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Fine\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi");
    let message = &lab.out.messages[0];
    for (name, expected) in [
        ("http.method", "GET"),
        ("http.request.method", "GET"),
        ("HTTP.Host", "h"),
        ("http.path", "/a"),
        ("http.query", "b=c"),
        ("http.request.uri", "/a?b=c"),
        ("http.version", "1.1"),
        ("http.status", "200"),
        ("http.response.code", "200"),
        ("http.reason", "Fine"),
        ("http.user_agent", "me"),
        ("http.content_type", "text/plain"),
        ("http.response_bytes", "2"),
        ("http.complete", "true"),
        ("http.interim", "100"),
        ("http.latency", "0.000001000"),
        ("http.request_header", "Host: h"),
    ] {
        assert_eq!(
            message.get(name).map(|value| value.to_string()),
            Some(expected.into()),
            "{name}"
        );
    }
    assert_eq!(message.get("http.location"), None);
    let mut names = Vec::new();
    message.fields(&mut |name, _| names.push(name.to_owned()));
    assert!(names.contains(&"http.host".into()) && !names.contains(&"http.location".into()));
    for field in protocol::Field::all() {
        let info = field.info();
        let kind = message.value(field).map(|value| value.kind());
        assert!(kind.is_none_or(|kind| kind == info.kind), "{}", info.name);
        assert!(info.name.starts_with(field.protocol().name()) && info.about.ends_with('.'));
    }
}
