//! The messages that the command finds in a file.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Kind, Messages};

pub(crate) fn messages(file: &Path) -> Messages {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    let output = command.args(["messages", "--output", "json", "--read"]).arg(file).output();
    // Of a damaged file the exit status is not 0; the messages before the damage count.
    let output = output.expect("the command runs");
    let text = String::from_utf8(output.stdout).expect("JSON is text");
    let mut found = Messages::new();
    for line in text.lines() {
        let object: Value = serde_json::from_str(line).expect("a line of JSON");
        http(&object["http"], &mut found);
        dns(&object["dns"], &mut found);
        tls(&object["tls"], &mut found);
        let quic = &object["quic"];
        if quic["ja3"].is_string() {
            add(&mut found, Kind::QuicHello, text_of(&quic["sni"]), 1);
        }
    }
    found
}

fn add(found: &mut Messages, kind: Kind, message: String, times: usize) {
    *found.entry((kind, message)).or_default() += times;
}

fn http(http: &Value, found: &mut Messages) {
    if let (Some(method), Some(uri)) = (http["method"].as_str(), http["uri"].as_str()) {
        add(found, Kind::Request, format!("{method} {uri}"), 1);
    }
    for field in list(&http["request_header"]) {
        if let Some((name, value)) = field.split_once(':')
            && name.eq_ignore_ascii_case("host")
        {
            add(found, Kind::Host, value.trim().to_owned(), 1);
        }
    }
    let interim = http["interim"].as_array().into_iter().flatten();
    for status in interim.chain([&http["status"]]).filter_map(Value::as_u64) {
        add(found, Kind::Response, status.to_string(), 1);
    }
}

fn dns(dns: &Value, found: &mut Messages) {
    let update = dns["opcode"] == 5;
    let types = dns["qtype_number"].as_array().into_iter().flatten();
    let questions = list(&dns["qname"]).zip(types).filter(|_| !update);
    let questions: Vec<String> =
        questions.map(|(name, rtype)| format!("{} {rtype}", name.to_lowercase())).collect();
    let questions = questions.join(" ");
    if dns["query"] == true {
        let again = dns["retransmissions"].as_u64().unwrap_or_default() as usize;
        add(found, Kind::Dns, format!("query - {questions}"), 1 + again);
    }
    if dns["response"] == true {
        // tshark shows the four bits of the header.
        let rcode = dns["rcode_number"].as_u64().unwrap_or_default() & 0xf;
        add(found, Kind::Dns, format!("response {rcode} {questions}"), 1);
    }
}

fn tls(tls: &Value, found: &mut Messages) {
    let retried = tls["hello_retry"] == true;
    if tls["client_hello"] == true {
        let protocols: Vec<&str> = list(&tls["alpn_offered"]).collect();
        let hello = format!("{} {}", text_of(&tls["sni"]), protocols.join(","));
        add(found, Kind::ClientHello, hello, 1 + usize::from(retried));
    }
    // A request for another hello is itself one.
    let times = usize::from(retried) + usize::from(tls["server_hello"] == true);
    if times > 0 {
        add(found, Kind::ServerHello, tls["version_number"].to_string(), times);
    }
}

fn list(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
