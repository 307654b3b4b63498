//! Requests and their responses.

use protocol::Side::{Initiator, Responder};
use protocol::http1::{Flags, Limits};

use crate::lab::Lab;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut lab = Lab::new();
    lab.ask("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n").ask("GET /c HTTP/1.1\r\n\r\n");
    lab.answer(
        "HTTP/1.1 201 A\r\nContent-Length: 0\r\n\r\nHTTP/1.1 202 B\r\nContent-Length: 0\r\n\r\n",
    );
    lab.answer("HTTP/1.1 203 C\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(lab.lines(), ["GET /a 201 0", "GET /b 202 0", "GET /c 203 0"]);
}

#[test]
fn interim_responses_belong_to_the_one_that_follows() {
    let mut lab = Lab::new();
    lab.ask("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    lab.answer("HTTP/1.1 100 Continue\r\n\r\n").ask("hi");
    lab.answer(
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n.",
    );
    assert_eq!(lab.lines(), ["POST / 200 1"]);
    assert_eq!(lab.exchanges()[0].interim, [100, 103]);
}

#[test]
fn a_response_before_the_end_of_its_request_is_reported_with_it() {
    let mut lab = Lab::new();
    lab.ask("POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\nab");
    lab.answer("HTTP/1.1 413 Large\r\nContent-Length: 2\r\n\r\nno");
    assert!(lab.lines().is_empty());
    lab.ask("cdGET /b HTTP/1.1\r\n\r\n").answer(OK);
    assert_eq!(lab.lines(), ["POST /a 413 2", "GET /b 200 0"]);
    let mut lab = Lab::new();
    lab.ask("POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\nab");
    lab.answer("HTTP/1.1 413 Large\r\nContent-Length: 2\r\n\r\nn").ask("cd").answer("o");
    assert_eq!(lab.lines(), ["POST /a 413 2"]);
}

#[test]
fn a_request_without_a_response_is_reported_at_the_end() {
    let mut lab = Lab::new();
    lab.ask("GET /a HTTP/1.1\r\n\r\n").end();
    assert_eq!(lab.lines(), ["GET /a - -"]);
    assert!(lab.out.messages[0].latency().is_none());
}

#[test]
fn connect_hands_the_conversation_over() {
    let mut lab = Lab::new();
    lab.ask("CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n\r\n");
    // The client does not wait for the answer.
    lab.ask("GET /inner HTTP/1.1\r\nHost: a.example\r\n\r\n");
    lab.answer(
        "HTTP/1.1 200 Go\r\nContent-Length: 5\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(lab.lines(), ["CONNECT a.example:80 200 0", "GET /inner 404 0"]);
    assert_eq!(lab.exchanges()[0].request.as_ref().unwrap().host(), Some(&b"a.example:80"[..]));
}

#[test]
fn a_refused_connect_hands_nothing_over() {
    let mut lab = Lab::new();
    lab.ask("CONNECT a.example:80 HTTP/1.1\r\n\r\n")
        .ask("GET /b HTTP/1.1\r\n\r\n")
        .finish(Initiator);
    lab.answer("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno").answer(OK);
    assert_eq!(lab.lines(), ["CONNECT a.example:80 403 2", "GET /b 200 0"]);
    assert!(lab.lost().is_empty());
}

#[test]
fn an_upgrade_ends_http() {
    let mut lab = Lab::new();
    lab.ask("GET /chat HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n");
    lab.answer(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x02hi")
        .ask(b"\x81\x80GET ");
    assert_eq!(lab.lines(), ["GET /chat 101 0"]);
    assert!(lab.session().is_unknown() && lab.lost().is_empty());
}

#[test]
fn an_upgrade_that_is_ignored_ends_nothing() {
    let mut lab = Lab::new();
    lab.ask(
        "GET /a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
    );
    lab.answer(OK).answer(OK);
    assert_eq!(lab.lines(), ["GET /a 200 0", "GET /b 200 0"]);
    let times = lab.out.messages[1].times;
    assert!(times.initiator.unwrap().first < times.responder.unwrap().first);
}

#[test]
fn requests_beyond_the_limit_are_reported_alone() {
    let mut limits = Limits::default();
    limits.pending = 2;
    let mut lab = Lab::with(limits, false);
    for number in 0..4 {
        lab.ask(format!("GET /{number} HTTP/1.1\r\n\r\n"));
    }
    lab.ask("HEAD /4 HTTP/1.1\r\n\r\n");
    assert_eq!(lab.lines(), ["GET /2 - -", "GET /3 - -", "HEAD /4 - -"]);
    for _ in 0..4 {
        lab.answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    }
    // To a HEAD: no body follows.
    lab.answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n");
    lab.ask("GET /5 HTTP/1.1\r\n\r\n").answer(OK);
    let all = lab.lines();
    assert_eq!(
        all[3..],
        ["GET /0 200 1", "GET /1 200 1", "- - 200 1", "- - 200 1", "- - 200 0", "GET /5 200 0"]
    );
    assert!(lab.exchanges()[5].flags.contains(Flags::UNPAIRED));
    assert!(lab.exchanges()[2].flags.contains(Flags::UNPAIRED));
    assert!(lab.exchanges()[8].flags.is_empty());
}

#[test]
fn a_request_that_is_delivered_after_its_response_is_paired_by_time() {
    // As from a stream in which bytes before the request are missing.
    let mut lab = Lab::new();
    lab.ask("GET /a HTTP/1.1\r\n\r\n").answer(OK);
    lab.at(50_000).answer("HTTP/1.1 201 B\r\nContent-Length: 2\r\n\r\nhi");
    lab.at(40_000).ask("GET /b HTTP/1.1\r\n\r\n");
    lab.at(70_000).answer("HTTP/1.1 202 C\r\nContent-Length: 2\r\n\r\nh");
    lab.at(60_000).ask("GET /c HTTP/1.1\r\n\r\n");
    lab.at(80_000).answer("i");
    assert_eq!(lab.lines(), ["GET /a 200 0", "GET /b 201 2", "GET /c 202 2"]);
    // Later requests are no questions to it.
    let mut lab = Lab::new();
    lab.answer(OK).ask("GET /d HTTP/1.1\r\n\r\n").answer(OK);
    assert_eq!(lab.lines(), ["- - 200 0", "GET /d 200 0"]);
}

#[test]
fn responses_without_requests_are_bounded() {
    let mut lab = Lab::new();
    for _ in 0..1000 {
        lab.answer(OK);
    }
    assert_eq!(lab.lines().len(), 1000 - 16);
    lab.end();
    assert_eq!(lab.lines().len(), 1000);
}

#[test]
fn the_end_of_a_side_leaves_the_other() {
    let mut lab = Lab::new();
    lab.ask("GET /a HTTP/1.1\r\n\r\n").finish(Initiator).answer(OK).finish(Responder);
    assert_eq!(lab.lines(), ["GET /a 200 0"]);
}
