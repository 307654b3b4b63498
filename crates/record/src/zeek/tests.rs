use flow::EndReason;

use super::*;

fn tcp(history: &'static str) -> Flow<'static> {
    let (client, server) = ("192.0.2.1:40000".parse().unwrap(), "192.0.2.2:80".parse().unwrap());
    let mut flow = Flow::new(client, server, protocol::TCP);
    flow.history = history;
    flow
}

#[test]
fn states_are_those_of_the_manual() {
    for (history, state) in [
        ("S", "S0"),
        ("SR", "RSTOS0"),
        ("Sr", "REJ"),
        ("ShAr", "RSTR"),
        ("ShADr", "RSTR"),
        ("ShADaR", "RSTO"),
        ("Sh", "S1"),
        ("ShADad", "S1"),
        ("ShADadFf", "SF"),
        ("ShADadfF", "SF"),
        ("ShADadF", "S2"),
        ("ShADadf", "S3"),
        ("SF", "SH"),
        ("hr", "RSTRH"),
        ("hf", "SHR"),
        ("DaAd", "OTH"),
        ("DadFf", "SF"),
        ("", "OTH"),
    ] {
        assert_eq!(conn_state(&tcp(history)), state, "{history}");
    }
    // A RST after both FINs, which closed the connection; and one that the table believed.
    let mut both = tcp("ShADadFfR");
    both.end = EndReason::Fin;
    assert_eq!(conn_state(&both), "SF");
    both.end = EndReason::Rst;
    assert_eq!(conn_state(&both), "RSTO");
}

#[test]
fn datagrams_have_a_state_by_their_directions() {
    let mut flow = tcp("");
    flow.protocol = protocol::UDP;
    assert_eq!(conn_state(&flow), "OTH");
    (flow.initiator.packets, flow.initiator.payload_bytes) = (1, 1);
    assert_eq!((conn_state(&flow), &history(&flow)[..]), ("S0", "D"));
    (flow.responder.packets, flow.responder.payload_bytes) = (1, 0);
    assert_eq!((conn_state(&flow), &history(&flow)[..]), ("SF", "D"));
    flow.protocol = protocol::ICMP;
    assert_eq!((conn_state(&flow), &history(&flow)[..]), ("OTH", ""));
}

#[test]
fn a_log_has_header_rows_and_footer() {
    let mut flow = tcp("ShAD");
    flow.started = Timestamp::from_parts(1_700_000_000, 123_456_789);
    flow.ended = Timestamp::from_parts(1_700_000_001, 0);
    flow.uid = Some("C1");
    (flow.initiator.packets, flow.initiator.stream_bytes, flow.initiator.gap_bytes) = (3, 10, 5);
    flow.responder.ip_octets = Some(60);
    let mut out = Vec::new();
    header(flow.started, &mut out);
    encode_tsv(&flow, &mut out);
    footer(flow.ended, &mut out);
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "#separator \\x09");
    assert_eq!(lines[5], "#open\t2023-11-14-22-13-20");
    let names = lines[6].split('\t').count();
    assert_eq!(names, lines[7].split('\t').count());
    assert_eq!(names - 1, lines[8].split('\t').count());
    assert_eq!(
        lines[8],
        "1700000000.123456\tC1\t192.0.2.1\t40000\t192.0.2.2\t80\ttcp\t-\t0.876543\t15\t0\tS1\t-\t-\t5\
         \tShAD\t3\t-\t0\t60\t-"
    );
    assert_eq!(lines[9], "#close\t2023-11-14-22-13-21");
}

#[test]
fn text_is_escaped_as_zeek_escapes_it() {
    let escape = |text: &str| {
        let mut out = Vec::new();
        escaped(&mut out, text);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(escape("a\tb\\c\né"), "a\\x09b\\\\c\\x0a\\xc3\\xa9");
    assert_eq!(escape("-"), "\\x2d");
    assert_eq!(escape("(empty)"), "\\x28empty)");
    assert_eq!(escape("a-"), "a-");
}

#[test]
fn json_leaves_out_what_is_not_set() {
    let mut flow = tcp("S");
    flow.application = Some("ht\"tp");
    let mut out = Vec::new();
    encode_json(&flow, &mut out);
    let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value["service"], "ht\"tp");
    assert_eq!(value["id.orig_p"], 40_000);
    assert_eq!(value["conn_state"], "S0");
    assert_eq!(value.get("orig_ip_bytes"), None);
    assert_eq!(value.get("duration"), None);
    assert_eq!(value.get("tunnel_parents"), None);
    flow.icmp = Some(flow::IcmpMessage { message_type: 8, code: 3 });
    flow.protocol = protocol::ICMP;
    out.clear();
    encode_json(&flow, &mut out);
    let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&value["id.orig_p"], &value["id.resp_p"]), (&8.into(), &3.into()));
}
