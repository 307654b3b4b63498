//! The end of a body (RFC 9112, 6 and 7).

use protocol::Side::{Initiator, Responder};
use protocol::http1::{Flags, Framing};
use protocol::{Content, LostCause};

use crate::lab::Lab;

#[test]
fn a_length_is_followed_by_the_next_message() {
    let mut lab = Lab::new();
    lab.ask("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\n\r\n");
    lab.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(lab.lines(), ["POST /a 200 2", "GET /b 404 0"]);
    assert_eq!(lab.body(Initiator), "abc");
    assert_eq!(lab.exchanges()[0].request.as_ref().unwrap().body().framing, Framing::Length(3));
    assert!(lab.lost().is_empty());
}

#[test]
fn chunks_end_with_a_trailer_section() {
    let mut lab = Lab::new();
    lab.ask("GET / HTTP/1.1\r\n\r\n");
    lab.answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    lab.answer(
        "4;ext=\"a\"\r\nwiki\r\n00A\r\n0123456789\r\n0\r\nX-Sum: 7\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    );
    assert_eq!(lab.lines(), ["GET / 200 14"]);
    assert_eq!(lab.body(Responder), "wiki0123456789");
    let response = lab.exchanges()[0].response.as_ref().unwrap();
    assert_eq!(response.body().trailers.get("x-sum"), Some(&b"7"[..]));
    assert!(response.body().complete);
    assert!(lab.exchanges()[0].flags.is_empty());
}

#[test]
fn without_a_length_the_end_of_the_connection_ends_a_response() {
    let mut lab = Lab::new();
    lab.ask("GET / HTTP/1.0\r\n\r\n").answer("HTTP/1.0 200 OK\r\n\r\nall of it");
    assert!(lab.lines().is_empty());
    lab.finish(Responder);
    assert_eq!(lab.lines(), ["GET / 200 9"]);
    assert!(lab.exchanges()[0].response.as_ref().unwrap().body().complete);
}

#[test]
fn a_connection_that_breaks_leaves_the_body_incomplete() {
    let mut lab = Lab::new();
    lab.ask("GET / HTTP/1.1\r\n\r\n")
        .answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        .end();
    assert_eq!(lab.lines(), ["GET / 200 3"]);
    assert!(!lab.exchanges()[0].response.as_ref().unwrap().body().complete);
    assert_eq!(lab.out.bodies[0].3, Some(false));
}

#[test]
fn responses_without_a_body_have_none_whatever_they_declare() {
    let mut lab = Lab::new();
    lab.ask("HEAD / HTTP/1.1\r\n\r\nGET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n");
    lab.answer("HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\n");
    lab.answer("HTTP/1.1 204 No\r\nContent-Length: 700\r\n\r\n");
    lab.answer("HTTP/1.1 304 Same\r\nContent-Length: 700\r\n\r\n");
    lab.answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(lab.lines(), ["HEAD / 200 0", "GET /a 204 0", "GET /b 304 0", "GET /c 200 1"]);
}

#[test]
fn of_both_lengths_the_chunks_count() {
    let mut lab = Lab::new();
    lab.ask("POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    lab.ask("GET /next HTTP/1.1\r\n\r\n").end();
    assert_eq!(lab.lines(), ["POST / - -", "GET /next - -"]);
    assert_eq!(lab.exchanges()[0].flags, Flags::BOTH_LENGTHS);
    assert_eq!(lab.body(Initiator), "hi");
}

#[test]
fn equal_lengths_count_once_and_different_ones_not_at_all() {
    let mut lab = Lab::new();
    lab.ask("POST / HTTP/1.1\r\nContent-Length: 2, 2\r\nContent-Length: 2\r\n\r\nhiGET / HTTP/1.1\r\n\r\n").end();
    assert_eq!(lab.lines(), ["POST / - -", "GET / - -"]);
    assert_eq!(lab.exchanges()[0].flags, Flags::REPEATED_LENGTH);

    let mut lab = Lab::new();
    lab.ask("POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 7\r\n\r\nhi").end();
    assert_eq!(lab.exchanges()[0].flags, Flags::DIFFERENT_LENGTHS);
    assert_eq!(lab.exchanges()[0].request.as_ref().unwrap().body().framing, Framing::Unknown);
    let [(Initiator, lost)] = lab.lost()[..] else { panic!("lost once") };
    assert_eq!((lost.cause, lost.offset), (LostCause::Ambiguous, 57));
}

#[test]
fn lengths_are_decimal_numbers() {
    for length in ["+2", "-1", "0x2", "2 2", "", "99999999999999999999999", "2;"] {
        let mut lab = Lab::new();
        lab.ask(format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\nhi")).end();
        assert_eq!(lab.exchanges()[0].flags, Flags::INVALID_LENGTH, "{length}");
    }
}

#[test]
fn a_request_whose_last_coding_is_not_chunked_has_no_known_end() {
    let mut lab = Lab::new();
    lab.ask("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\nhi").end();
    assert_eq!(lab.exchanges()[0].flags, Flags::NOT_CHUNKED);
    assert_eq!(lab.lost()[0].1.cause, LostCause::Ambiguous);

    // A response ends with the connection.
    let mut lab = Lab::new();
    lab.ask("GET / HTTP/1.1\r\n\r\n");
    lab.answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhi").finish(Responder);
    assert_eq!(lab.lines(), ["GET / 200 2"]);
    assert!(lab.lost().is_empty());
}

#[test]
fn transfer_codings_in_1_0_are_flagged() {
    let mut lab = Lab::new();
    lab.ask("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").end();
    assert_eq!(lab.exchanges()[0].flags, Flags::TRANSFER_ENCODING_IN_1_0);
}

#[test]
fn chunk_lines_that_only_some_understand_are_flagged() {
    for (chunks, flags) in [
        ("2\nhi\r\n0\r\n\r\n", Flags::LOOSE_CHUNK),
        ("2\r\nhi\n0\r\n\r\n", Flags::LOOSE_CHUNK),
        (" 2\r\nhi\r\n0\r\n\r\n", Flags::LOOSE_CHUNK),
        ("2 \r\nhi\r\n0\r\n\r\n", Flags::LOOSE_CHUNK),
        ("2\rx\r\nhi\r\n0\r\n\r\n", Flags::LOOSE_CHUNK),
        ("2\r\nhi\r\n0\r\n\n", Flags::BARE_LF),
        ("2\r\nhi\r\n0\r\nA: b\n\n", Flags::BARE_LF),
    ] {
        let mut lab = Lab::new();
        lab.ask(format!(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}GET /n HTTP/1.1\r\n\r\n"
        ));
        lab.end();
        assert_eq!(lab.lines(), ["POST / - -", "GET /n - -"], "{chunks:?}");
        assert_eq!(lab.exchanges()[0].flags, flags, "{chunks:?}");
    }
}

#[test]
fn chunk_lines_that_nobody_understands_lose_the_place() {
    for chunks in [
        "\r\n",
        "x\r\n",
        "0x2\r\nhi\r\n",
        "-2\r\n",
        "2\r\nhiX\r\n",
        "10000000000000000\r\n",
        ";a\r\n",
    ] {
        let mut lab = Lab::new();
        lab.ask(format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
        lab.ask("GET /n HTTP/1.1\r\n\r\n").end();
        assert_eq!(lab.lines(), ["POST / - -", "GET /n - -"], "{chunks:?}");
        assert_eq!(lab.lost().len(), 1, "{chunks:?}");
        assert_eq!(lab.lost()[0].1.cause, LostCause::Syntax, "{chunks:?}");
    }
}

#[test]
fn times_are_those_of_the_first_and_the_last_byte() {
    let mut lab = Lab::new();
    lab.ask("POST / HTTP/1.1\r\n").ask("Content-Length: 2\r\n\r\nh").ask("i");
    lab.answer("HTTP/1.1 200 OK\r\nContent-").answer("Length: 1\r\n\r\n").answer("x");
    let message = lab.out.messages.iter().find(|m| matches!(m.content, Content::Http(_))).unwrap();
    let [asked, answered] = [message.times.initiator.unwrap(), message.times.responder.unwrap()];
    assert_eq!([asked.first, asked.last].map(|t| t.as_nanos()), [1_000, 3_000]);
    assert_eq!([answered.first, answered.last].map(|t| t.as_nanos()), [4_000, 6_000]);
    assert_eq!(message.latency().unwrap().as_nanos(), 1_000);
}
