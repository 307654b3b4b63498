//! Limits on everything that a sender can make grow.

use protocol::LostCause;
use protocol::Side::{Initiator, Responder};
use protocol::http1::Flags;

use crate::lab::Lab;

/// The bound that the module's documentation promises for a conversation.
const MEMORY: usize = 3 << 19;

#[test]
fn a_head_of_16_mib_is_dropped_and_reported() {
    let mut lab = Lab::new();
    lab.ask("GET /a HTTP/1.1\r\nX: ");
    for _ in 0..16 << 10 {
        lab.ask([b'x'; 1 << 10]);
        assert!(lab.session().memory() < MEMORY);
    }
    lab.ask("\r\n\r\nGET /b HTTP/1.1\r\n\r\n").end();
    assert_eq!(lab.lines(), ["GET /a - -", "GET /b - -"]);
    assert_eq!(lab.exchanges()[0].flags, Flags::INCOMPLETE_HEAD);
    assert_eq!(lab.lost().len(), 1);
    assert_eq!(lab.lost()[0].1.cause, LostCause::Limit);
}

#[test]
fn a_million_pipelined_requests_take_bounded_memory() {
    let mut lab = Lab::new();
    let many = "GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100);
    for _ in 0..10_000 {
        lab.ask(&many);
        lab.out.messages.truncate(1);
        assert!(lab.session().memory() < MEMORY, "{}", lab.session().memory());
    }
    lab.answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(lab.lines().last().unwrap(), "GET / 200 0");
}

#[test]
fn methods_that_alternate_take_bounded_memory() {
    let mut lab = Lab::new();
    for _ in 0..10_000 {
        lab.ask("GET / HTTP/1.1\r\n\r\nHEAD / HTTP/1.1\r\n\r\n");
        assert!(lab.session().memory() < MEMORY);
    }
}

#[test]
fn large_heads_of_pipelined_requests_take_bounded_memory() {
    let mut lab = Lab::new();
    let head = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    for _ in 0..20 {
        lab.ask(&head);
        assert!(lab.session().memory() < MEMORY, "{}", lab.session().memory());
    }
    assert!(lab.exchanges()[0].flags.contains(Flags::UNPAIRED));
}

#[test]
fn fields_beyond_the_limit_lose_the_place() {
    let mut lab = Lab::new();
    lab.ask(format!("GET /a HTTP/1.1\r\n{}\r\nGET /b HTTP/1.1\r\n\r\n", "A: b\r\n".repeat(1025)))
        .end();
    assert_eq!(lab.lost()[0].1.cause, LostCause::Limit);
    assert_eq!(lab.lines(), ["GET /b - -"]);
    let mut lab = Lab::new();
    lab.ask(format!("GET /a HTTP/1.1\r\n{}\r\nGET /b HTTP/1.1\r\n\r\n", "A: b\r\n".repeat(1024)))
        .end();
    assert_eq!(lab.lines(), ["GET /a - -", "GET /b - -"]);
}

#[test]
fn bytes_behind_an_unanswered_connect_become_a_gap() {
    let mut lab = Lab::new();
    lab.ask("CONNECT a:1 HTTP/1.1\r\n\r\n");
    for _ in 0..10_000 {
        lab.ask([b'x'; 100]);
        assert!(lab.session().memory() < MEMORY);
    }
    lab.answer("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n").ask("GET /b HTTP/1.1\r\n\r\n").end();
    assert_eq!(lab.lines(), ["CONNECT a:1 403 0", "GET /b - -"]);
}

#[test]
fn gaps_behind_an_unanswered_connect_take_bounded_memory() {
    let mut lab = Lab::new();
    lab.ask("CONNECT a:1 HTTP/1.1\r\n\r\n");
    for _ in 0..100_000 {
        lab.ask("x").gap(Initiator, 1);
        assert!(lab.session().memory() < MEMORY);
    }
}

#[test]
fn a_line_with_the_size_of_a_chunk_is_bounded() {
    let mut lab = Lab::new();
    lab.ask("GET / HTTP/1.1\r\n\r\n");
    lab.answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;")
        .answer([b'x'; 5000])
        .end();
    let [(Responder, lost)] = lab.lost()[..] else { panic!("lost once") };
    assert_eq!(lost.cause, LostCause::Limit);
}

#[test]
fn an_idle_conversation_takes_little_memory() {
    let mut lab = Lab::new();
    for number in 0..100 {
        lab.ask(format!("GET /{number} HTTP/1.1\r\nX: ")).ask("x".repeat(50_000)).ask("\r\n\r\n");
        lab.answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    assert_eq!(lab.lines().len(), 100);
    assert!(lab.session().memory() < 2 << 10, "{}", lab.session().memory());
}

#[test]
fn conversations_of_one_byte_each_time_are_recognized() {
    let mut lab = Lab::new();
    for byte in format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(4000)).bytes() {
        lab.ask([byte]);
    }
    lab.end();
    assert_eq!(lab.lines().len(), 1);
}

#[test]
fn large_responses_without_requests_take_bounded_memory() {
    let mut lab = Lab::new();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    for _ in 0..40 {
        lab.answer(&head);
        assert!(lab.session().memory() < MEMORY, "{}", lab.session().memory());
    }
}
