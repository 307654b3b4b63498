//! The messages that tshark finds in a file, and which of them are judged.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::{Kind, Messages};

/// The port of SOME/IP service discovery, which this version of tshark takes for DNS.
const SOME_IP: &str = "30490";

/// Protocols of which a handshake of TLS can be a part, and which have no parser: the conversation
/// begins with their own messages.
pub(crate) const CARRIERS: &[&str] = &["ldap", "xmpp", "socks", "tpkt", "rdpudp", "tds"];

/// The separator of a field's values.
const SEPARATOR: char = '\u{1f}';

const FIELDS: &[&str] = &[
    "frame.protocols",
    "frame.len",
    "frame.cap_len",
    "http.request.method",
    "http.request.uri",
    "http.request.version",
    "http.host",
    "http.response.code",
    "dns.flags.response",
    "dns.flags.rcode",
    "dns.flags.opcode",
    "dns.count.queries",
    "udp.port",
    "dns.qry.name",
    "dns.qry.type",
    "tls.handshake.type",
    "tls.handshake.version",
    "tls.handshake.extensions.supported_version",
    "tls.handshake.extensions_server_name",
    "tls.handshake.extensions_alpn_str",
    "tcp.stream",
];

const FILTER: &str = "http.request || http.response || dns || mdns || llmnr || \
    tls.handshake.type == 1 || tls.handshake.type == 2 || ldap || xmpp || socks || tpkt || tds";

/// A packet's fields.
struct Row<'a>(Vec<&'a str>);

impl<'a> Row<'a> {
    fn field(&self, name: &str) -> &'a str {
        let index = FIELDS.iter().position(|field| *field == name).expect("a field of the list");
        self.0.get(index).copied().unwrap_or_default()
    }

    fn values(&self, name: &str) -> Vec<&'a str> {
        self.field(name).split(SEPARATOR).filter(|value| !value.is_empty()).collect()
    }

    fn has(&self, protocol: &str) -> bool {
        self.field("frame.protocols").split(':').any(|name| name == protocol)
    }
}

/// The messages of a file that are judged, and the kinds of those that are not.
pub(crate) fn messages(file: &Path) -> (Messages, BTreeSet<Kind>) {
    let mut command = Command::new("tshark");
    command.args(["-n", "-2", "-T", "fields", "-E", &format!("aggregator={SEPARATOR}")]);
    // With it tshark shows a response only once it has all of the body, if it ever does.
    command.args(["-o", "http.desegment_body:FALSE", "-Y", FILTER, "-r"]).arg(file);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark is installed (Debian: apt-get install tshark)");
    let problem = String::from_utf8_lossy(&output.stderr);
    // A file that was cut short gives what is before the cut.
    let readable = output.status.success() || problem.contains("cut short");
    assert!(readable, "{}: {problem}", file.display());
    let text = String::from_utf8_lossy(&output.stdout);
    let rows: Vec<Row<'_>> = text.lines().map(|line| Row(line.split('\t').collect())).collect();
    // Those that are not judged, and those that are.
    let mut found = [Messages::new(), Messages::new()];
    for row in &rows {
        let cut = row.field("frame.len") != row.field("frame.cap_len");
        let whole = !cut && !row.has("icmp") && !row.has("icmpv6");
        let part = |is_judged| usize::from(whole && is_judged);
        http(row, &mut found[part(row.has("tcp") && !row.has("tls"))]);
        let some_ip = row.values("udp.port").contains(&SOME_IP);
        dns(row, &mut found[part(!row.has("_ws.malformed") && !some_ip)]);
        let carried = rows.iter().any(|other| {
            let same = std::ptr::eq(row, other)
                || !row.field("tcp.stream").is_empty()
                    && other.field("tcp.stream") == row.field("tcp.stream");
            same && CARRIERS.iter().any(|name| other.has(name))
        });
        hello(row, &mut found[part(!carried && !row.has("dtls"))]);
    }
    let [unjudged, judged] = found;
    (judged, unjudged.into_keys().map(|(kind, _)| kind).collect())
}

fn add(found: &mut Messages, kind: Kind, message: String) {
    *found.entry((kind, message)).or_default() += 1;
}

fn http(row: &Row<'_>, found: &mut Messages) {
    let (methods, targets) = (row.values("http.request.method"), row.values("http.request.uri"));
    // A packet may have several requests. Of one without a version its fields are not known.
    if row.values("http.request.version").len() == methods.len() {
        for (method, target) in methods.iter().zip(targets) {
            add(found, Kind::Request, format!("{method} {target}"));
        }
        for host in row.values("http.host") {
            add(found, Kind::Host, host.to_owned());
        }
    }
    for status in row.values("http.response.code") {
        add(found, Kind::Response, status.to_owned());
    }
}

fn dns(row: &Row<'_>, found: &mut Messages) {
    let mut names = row.values("dns.qry.name").into_iter();
    let mut types = row.values("dns.qry.type").into_iter();
    let mut rcodes = row.values("dns.flags.rcode").into_iter();
    let operations = row.values("dns.flags.opcode");
    let mut counts = row.values("dns.count.queries").into_iter();
    for (response, operation) in row.values("dns.flags.response").into_iter().zip(operations) {
        // An update has a zone in place of questions (RFC 2136, section 2.3).
        let announced = if operation == "5" { Some("0") } else { counts.next() };
        let Some(announced) = announced.map(number) else { continue };
        let questions = (0..announced).filter_map(|_| {
            let name = names.next()?.to_lowercase();
            let name = if name == "<root>" { ".".to_owned() } else { name };
            Some(format!("{name} {}", number(types.next()?)))
        });
        let questions = questions.collect::<Vec<_>>().join(" ");
        if questions.is_empty() && announced > 0 {
            continue;
        }
        if response == "1" {
            let rcode = rcodes.next().unwrap_or_default();
            add(found, Kind::Dns, format!("response {rcode} {questions}"));
        } else {
            add(found, Kind::Dns, format!("query - {questions}"));
        }
    }
}

fn hello(row: &Row<'_>, found: &mut Messages) {
    let versions = row.values("tls.handshake.version");
    let supported = row.values("tls.handshake.extensions.supported_version");
    let name = row.field("tls.handshake.extensions_server_name").split(SEPARATOR).next();
    let name = name.unwrap_or_default();
    for kind in row.values("tls.handshake.type") {
        match kind {
            "1" if row.has("quic") => add(found, Kind::QuicHello, name.to_owned()),
            "1" => {
                let protocols = row.values("tls.handshake.extensions_alpn_str").join(",");
                add(found, Kind::ClientHello, format!("{name} {protocols}"));
            }
            "2" if !row.has("quic") => {
                let version = supported.first().or(versions.first()).copied().unwrap_or_default();
                add(found, Kind::ServerHello, number(version).to_string());
            }
            _ => {}
        }
    }
}

/// A number as tshark writes it: decimal, or hexadecimal after `0x`.
fn number(text: &str) -> usize {
    text.strip_prefix("0x")
        .map_or_else(|| text.parse(), |digits| usize::from_str_radix(digits, 16))
        .unwrap_or_default()
}
