//! Bytes that were not captured.

use protocol::LostCause;
use protocol::Side::{Initiator, Responder};
use protocol::http1::Flags;

use crate::lab::Lab;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn a_gap_within_a_body_of_known_length_is_skipped() {
    let mut lab = Lab::new();
    lab.ask("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n");
    lab.answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        .gap(Responder, 4)
        .answer("hij")
        .answer(OK);
    assert_eq!(lab.lines(), ["GET /a 200 10", "GET /b 200 0"]);
    assert_eq!(lab.body(Responder), "abc????hij");
    let body = lab.exchanges()[0].response.as_ref().unwrap().body();
    assert_eq!((body.captured, body.missing, body.complete), (6, 4, true));
    assert!(lab.lost().is_empty());
    assert_eq!(lab.out.bodies[0].3, Some(false));
}

#[test]
fn a_gap_up_to_the_end_of_a_body_is_skipped() {
    let mut lab = Lab::new();
    lab.ask("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n");
    lab.answer("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nabc").gap(Responder, 4).answer(OK);
    assert_eq!(lab.lines(), ["GET /a 200 7", "GET /b 200 0"]);
    assert!(lab.lost().is_empty());
}

#[test]
fn a_gap_within_a_chunk_is_skipped() {
    let mut lab = Lab::new();
    lab.ask("GET /a HTTP/1.1\r\n\r\n");
    lab.answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nabc").gap(Responder, 5);
    lab.answer("\r\n2\r\nxy\r\n0\r\n\r\n");
    assert_eq!(lab.lines(), ["GET /a 200 10"]);
    assert_eq!(lab.body(Responder), "abc?????xy");
}

#[test]
fn a_gap_beyond_a_body_loses_the_place() {
    let mut lab = Lab::new();
    lab.ask("GET /a HTTP/1.1\r\n\r\n");
    lab.answer("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nabc").gap(Responder, 90);
    assert_eq!(lab.lines(), ["GET /a 200 7"]);
    let [(Responder, lost)] = lab.lost()[..] else { panic!("lost once") };
    assert_eq!((lost.cause, lost.offset), (LostCause::Gap, 41));
    lab.ask("GET /b HTTP/1.1\r\n\r\n").answer("bytes of something").answer(OK);
    assert_eq!(lab.lines()[1..], ["GET /b 200 0"]);
}

#[test]
fn a_gap_across_the_marks_of_chunks_loses_the_place() {
    let mut lab = Lab::new();
    lab.ask("GET /a HTTP/1.1\r\n\r\n");
    lab.answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nabc").gap(Responder, 9);
    lab.answer("y\r\n0\r\n\r\n").ask("GET /b HTTP/1.1\r\n\r\n").answer(OK);
    assert_eq!(lab.lines(), ["GET /a 200 3", "GET /b 200 0"]);
    assert!(!lab.exchanges()[0].response.as_ref().unwrap().body().complete);
}

#[test]
fn a_gap_in_a_head_leaves_what_is_known_of_it() {
    let mut lab = Lab::new();
    lab.ask("GET /a HTTP/1.1\r\nHost: a\r\nCook").gap(Initiator, 30).ask("xyz\r\n\r\n").answer(OK);
    lab.ask("GET /b HTTP/1.1\r\n\r\n").answer(OK);
    assert_eq!(lab.lines(), ["GET /a 200 0", "GET /b 200 0"]);
    assert_eq!(lab.exchanges()[0].flags, Flags::INCOMPLETE_HEAD);
    assert_eq!(lab.exchanges()[0].request.as_ref().unwrap().host(), Some(&b"a"[..]));
}

#[test]
fn after_lost_responses_a_response_answers_the_last_request_before_it() {
    let mut lab = Lab::new();
    lab.ask("GET /a HTTP/1.1\r\n\r\n").answer(OK);
    lab.ask("GET /b HTTP/1.1\r\n\r\n")
        .gap(Responder, 100)
        .ask("GET /c HTTP/1.1\r\n\r\n")
        .answer(OK);
    assert_eq!(lab.lines(), ["GET /a 200 0", "GET /b - -", "GET /c 200 0"]);
    assert_eq!(lab.exchanges()[2].flags, Flags::UNCERTAIN_PAIR);
}

#[test]
fn the_response_to_a_lost_request_is_reported_alone() {
    let mut lab = Lab::new();
    lab.ask("GET /a HTTP/1.1\r\n\r\n").answer(OK).gap(Initiator, 40).answer(OK);
    lab.ask("GET /c HTTP/1.1\r\n\r\n").answer(OK);
    assert_eq!(lab.lines(), ["GET /a 200 0", "- - 200 0", "GET /c 200 0"]);
}

#[test]
fn a_search_finds_no_line_across_a_gap() {
    let mut lab = Lab::new();
    lab.ask("GET /a HTTP/1.1\r\n\r\n")
        .gap(Initiator, 5)
        .ask("GET /b HT")
        .gap(Initiator, 5)
        .ask("TP/1.1\r\n\r\n")
        .end();
    assert_eq!(lab.lines(), ["GET /a - -"]);
    assert_eq!(lab.lost().len(), 1);
}

#[test]
fn a_conversation_that_is_picked_up_midway_begins_at_its_next_message() {
    for side in [Initiator, Responder] {
        let mut lab = Lab::midway();
        lab.send(side, &[7; 100_000]);
        lab.answer("end of a body").ask("POST /a HTTP/1.1\r\n\r\n").answer(OK);
        assert_eq!(lab.lines(), ["POST /a 200 0"]);
    }
    let mut lab = Lab::midway();
    lab.answer("tailHTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\nx")
        .ask("GET /b HTTP/1.1\r\n\r\n")
        .answer(OK);
    assert_eq!(lab.lines(), ["- - 404 1", "GET /b 200 0"]);
}
