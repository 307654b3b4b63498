//! Conditions on messages of application protocols.

use flow::{
    Data, FiveTuple, FiveTupleKey, Flow, FlowHandler, FlowRecord, FlowSide, FlowTable, Gap,
    LinkType, Packet, Timestamp,
};
use flow_filter::{Condition, Evaluation, Stage, Verdict};
use flow_testkit::segments::{Client, Host, Server, segment};

/// The verdicts of a condition after each packet, and at the end.
struct Watched {
    condition: Condition,
    evaluation: Option<Evaluation>,
    end: Option<Verdict>,
}

impl FlowHandler<FiveTupleKey> for Watched {
    fn on_start(&mut self, flow: &Flow<'_, FiveTupleKey>) {
        self.evaluation = Some(Evaluation::new(&self.condition, flow));
    }

    fn on_data(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        self.evaluation.as_mut().unwrap().data(side, data.bytes, data.timestamp);
    }

    fn on_gap(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, gap: Gap) {
        self.evaluation.as_mut().unwrap().gap(side, gap.len);
    }

    fn on_fin(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, _: u64) {
        self.evaluation.as_mut().unwrap().finish(side);
    }

    fn on_end(&mut self, _: &Flow<'_, FiveTupleKey>, record: &FlowRecord<FiveTupleKey>) {
        self.end = Some(self.evaluation.as_mut().unwrap().end(record));
    }
}

/// The verdict before the end and that at the end, for a connection in which these were said.
fn verdicts(condition: &str, said: &[(Host, &str)]) -> (Verdict, Verdict) {
    let condition = condition.parse().unwrap();
    let mut watched = Watched { condition, evaluation: None, end: None };
    let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
    let mut time = 1_000_000_000_000;
    let mut pass = |frame: Vec<u8>, watched: &mut Watched| {
        time += 1_000_000;
        let packet = Packet::new(&frame, Timestamp::from_nanos(time), LinkType::IPV4);
        table.process([packet], watched);
    };
    pass(segment(Client, 99, 0, "S", 60_000, b""), &mut watched);
    pass(segment(Server, 499, 100, "SA", 60_000, b""), &mut watched);
    let mut next = [100_u32, 500];
    for (host, text) in said {
        let side = usize::from(*host == Server);
        // In two pieces.
        let (first, second) = text.as_bytes().split_at(text.len() / 2);
        for piece in [first, second] {
            pass(segment(*host, next[side], next[1 - side], "A", 60_000, piece), &mut watched);
            next[side] += piece.len() as u32;
        }
    }
    let before = watched.evaluation.as_ref().unwrap().verdict();
    table.finish(&mut watched);
    (before, watched.end.unwrap())
}

const EXCHANGE: &[(Host, &str)] = &[
    (Client, "GET /login?user=x HTTP/1.1\r\nHost: bank.example\r\nUser-Agent: curl/8\r\n\r\n"),
    (Server, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\nsorry"),
    (Client, "GET /style.css HTTP/1.1\r\nHost: bank.example\r\n\r\n"),
    (Server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
];

#[test]
fn values_of_messages_decide() {
    use Verdict::{Accept, Reject, Undecided};
    for (condition, before) in [
        ("http", Accept),
        ("app == \"http\"", Accept),
        ("http.host == \"bank.example\"", Accept),
        ("http.host matches \"BANK\\.example$\"", Accept),
        ("http.host contains bank and http.status >= 500", Accept),
        ("http.response.code in {500..599}", Accept),
        ("http.request.method == \"GET\"", Accept),
        ("http.user_agent contains \"curl\"", Accept),
        ("http.complete == true", Accept),
        ("not http", Reject),
        ("http.status != 200", Reject),
        ("http.status === 200", Reject),
        ("http.path !== \"/style.css\"", Accept),
        ("http.path == \"/other\"", Undecided),
        ("http.status != 404", Undecided),
        ("http.missing_bytes > 0", Undecided),
    ] {
        let expected = match condition {
            "http.path == \"/other\"" | "http.missing_bytes > 0" => (before, Reject),
            "http.status != 404" => (before, Accept),
            _ => (before, before),
        };
        assert_eq!(verdicts(condition, EXCHANGE), expected, "{condition}");
    }
}

#[test]
fn flows_of_another_protocol_have_no_messages() {
    let said = [(Client, "\0\x01binary things\r\n\r\n"), (Server, "\0\x02more of them")];
    for condition in ["http", "http.host", "http.status != 200", "app != \"http\"", "http.status"] {
        // As soon as no parser fits, not only at the end.
        assert_eq!(verdicts(condition, &said), (Verdict::Reject, Verdict::Reject), "{condition}");
    }
    let (before, _) = verdicts("not http.host == \"bank.example\"", &said);
    assert_eq!(before, Verdict::Accept);
}

#[test]
fn parsers_are_released_with_the_decision() {
    let condition: Condition = "http.host == \"bank.example\" or port == 80".parse().unwrap();
    assert_eq!(condition.stage(), Stage::Message);
    let mut watched = Watched { condition, evaluation: None, end: None };
    let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
    let frame = segment(Client, 99, 0, "S", 60_000, b"");
    let time = Timestamp::from_nanos(1);
    table.process([Packet::new(&frame, time, LinkType::IPV4)], &mut watched);
    let evaluation = watched.evaluation.as_ref().unwrap();
    assert_eq!((evaluation.verdict(), evaluation.memory()), (Verdict::Accept, 0));
    let errors = "http.hots == \"x\"".parse::<Condition>().unwrap_err().to_string();
    assert!(errors.contains("did you mean \"http.host\""), "{errors}");
}
