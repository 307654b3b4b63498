//! Messages of HTTP as an archive: HAR 1.2.

use std::collections::HashMap;
use std::io::{self, Write};

use conversation::{BodyPart, FlowNumber};
use flow::{FlowSide, Timestamp};
use protocol::coding::{BodyDecoder, DecodeLimits, Decoded};
use protocol::http1::{Exchange, Headers, Request, Response};
use protocol::{Content, Message, Protocol, Side, Span};
use serde_json::{Map, Value as Json, json};

use super::Talk;
use crate::names;
use crate::report;
use crate::text::clock::Clock;

/// Memory of the decoders of all bodies.
const DECODERS: usize = 64 << 20;

/// Prints an archive, entry by entry.
#[derive(Debug, Default)]
pub(super) struct Har {
    entries: u64,
    /// Responses without a request, which an archive cannot have.
    left_out: u64,
    bodies: HashMap<FlowNumber, Vec<Body>>,
    memory: usize,
}

/// A body whose decoded length is counted.
#[derive(Debug)]
struct Body {
    side: FlowSide,
    number: u64,
    decoder: Option<BodyDecoder>,
    memory: usize,
    len: u64,
    /// All of it was decoded.
    whole: bool,
}

impl Har {
    /// Prints what is before the first entry.
    pub(super) fn begin(w: &mut dyn Write) -> io::Result<()> {
        let creator = json!({ "name": "ringtap", "version": env!("CARGO_PKG_VERSION") });
        write!(w, "{{\"log\":{{\"version\":\"1.2\",\"creator\":{creator},\"entries\":[")
    }

    /// Prints what is behind the last entry.
    pub(super) fn end(w: &mut dyn Write) -> io::Result<()> {
        w.write_all(b"\n]}}\n")
    }

    /// Reports what is not in the archive.
    pub(super) fn report(&self) {
        if self.left_out > 0 {
            let what = names::count(self.left_out, "response is", "responses are");
            report::say(format_args!("{what} not in the archive: the request was not captured"));
        }
    }

    /// Takes a part of a body.
    pub(super) fn part(&mut self, id: FlowNumber, side: FlowSide, number: u64, part: BodyPart) {
        let bodies = self.bodies.entry(id).or_default();
        let at = bodies.iter().position(|body| (body.side, body.number) == (side, number));
        match (part, at) {
            (BodyPart::Begin(head), None) => {
                let decoder = Some(BodyDecoder::new(&head.codings, DecodeLimits::default()));
                bodies.push(Body { side, number, decoder, memory: 0, len: 0, whole: false });
            }
            (BodyPart::Data(bytes), Some(at)) => {
                let body = &mut bodies[at];
                let Some(decoder) = &mut body.decoder else { return };
                decoder.data(&bytes, &mut |decoded| body.len += decoded.len() as u64);
                let now = decoder.memory();
                self.memory = self.memory - std::mem::replace(&mut body.memory, now) + now;
                if self.memory > DECODERS {
                    self.memory -= body.release();
                }
            }
            (BodyPart::Gap(_), Some(at)) => self.memory -= bodies[at].release(),
            (BodyPart::End(complete), Some(at)) => {
                let body = &mut bodies[at];
                let decoded = body.decoder.as_mut().map(BodyDecoder::finish);
                body.whole = complete && decoded == Some(Decoded::Complete);
                self.memory -= body.release();
            }
            _ => {}
        }
    }

    /// Takes notice that a conversation is over.
    pub(super) fn ended(&mut self, id: FlowNumber) {
        for mut body in self.bodies.remove(&id).unwrap_or_default() {
            self.memory -= body.release();
        }
    }

    /// Takes notice that an unknown part of what goes on is missing.
    pub(super) fn lagged(&mut self) {
        self.bodies.clear();
        self.memory = 0;
    }

    /// Prints a message of HTTP. Others have no place in an archive.
    pub(super) fn print(
        &mut self,
        w: &mut dyn Write,
        id: FlowNumber,
        talk: &Talk,
        message: &Message,
        completed: Timestamp,
    ) -> io::Result<()> {
        let Content::Http(http) = &message.content else { return Ok(()) };
        let lengths = self.lengths(id, message.side, http);
        let Some(request) = &http.request else {
            self.left_out += 1;
            return Ok(());
        };
        let separator = if self.entries == 0 { "\n" } else { ",\n" };
        self.entries += 1;
        w.write_all(separator.as_bytes())?;
        let entry = entry(talk, message, http, request, lengths, completed);
        serde_json::to_writer(w, &entry).map_err(io::Error::from)
    }

    /// Takes the decoded length of the response's body, and forgets both bodies.
    fn lengths(&mut self, id: FlowNumber, asking: Side, http: &Exchange) -> Option<u64> {
        let bodies = self.bodies.get_mut(&id)?;
        let side = |side| match side {
            Side::Initiator => FlowSide::Initiator,
            Side::Responder => FlowSide::Responder,
        };
        let mut take = |side: FlowSide, number: u64| {
            let at = bodies.iter().position(|body| (body.side, body.number) == (side, number))?;
            Some(bodies.swap_remove(at))
        };
        if let Some(request) = &http.request
            && let Some(mut body) = take(side(asking), request.number())
        {
            self.memory -= body.release();
        }
        let mut body = take(side(asking.other()), http.response.as_ref()?.number())?;
        self.memory -= body.release();
        body.whole.then_some(body.len)
    }
}

impl Body {
    /// Gives the decoder up. Returns the memory that it took.
    fn release(&mut self) -> usize {
        self.decoder = None;
        std::mem::take(&mut self.memory)
    }
}

fn entry(
    talk: &Talk,
    message: &Message,
    http: &Exchange,
    request: &Request,
    decoded: Option<u64>,
    completed: Timestamp,
) -> Json {
    let [client, server] = talk.ends(message.side);
    let [sent, received] =
        [message.side, message.side.other()].map(|side| message.times.side(side));
    let during = |span: Option<Span>| {
        span.map_or(0.0, |span| millis(span.last.saturating_duration_since(span.first)))
    };
    let wait = message.latency().map_or(0.0, millis);
    let timings = json!({ "send": during(sent), "wait": wait, "receive": during(received) });
    let time = during(sent) + wait + during(received);
    let url = url(request, &server.to_string(), message.within == Some(Protocol::TLS));
    let mut entry = json!({
        "startedDateTime": iso(message.times.first().unwrap_or(completed)),
        "time": time,
        "request": {
            "method": text(request.method()),
            "url": url,
            "httpVersion": version(request.version()),
            "cookies": cookies(request.headers(), "cookie"),
            "headers": headers(request.headers()),
            "queryString": query(request.query()),
            "headersSize": -1,
            "bodySize": request.body().len(),
        },
        "response": response(http.response.as_ref(), decoded),
        "cache": {},
        "timings": timings,
        "serverIPAddress": server.address.to_string(),
        "connection": talk.number.to_string(),
        "_client": client.to_string(),
    });
    let flags: Vec<&str> = http.flags.names().collect();
    if !flags.is_empty() {
        entry["_flags"] = json!(flags);
    }
    let complete = request.body().complete
        && http.response.as_ref().is_some_and(|response| response.body().complete);
    entry["_complete"] = complete.into();
    entry
}

/// A response; without one the status is 0, as in the archives of browsers.
fn response(response: Option<&Response>, decoded: Option<u64>) -> Json {
    let Some(response) = response else {
        return json!({
            "status": 0,
            "statusText": "",
            "httpVersion": "",
            "cookies": [],
            "headers": [],
            "content": { "size": 0, "mimeType": "" },
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": -1,
        });
    };
    let header = |name| response.headers().get(name).map(text).unwrap_or_default();
    let sent = response.body().len();
    let size = decoded.unwrap_or(sent);
    let mut content = json!({ "size": size, "mimeType": header("content-type") });
    if size > sent {
        content["compression"] = (size - sent).into();
    }
    json!({
        "status": response.status(),
        "statusText": text(response.reason()),
        "httpVersion": version(response.version()),
        "cookies": cookies(response.headers(), "set-cookie"),
        "headers": headers(response.headers()),
        "content": content,
        "redirectURL": header("location"),
        "headersSize": -1,
        "bodySize": sent,
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn version(version: &str) -> String {
    format!("HTTP/{version}")
}

fn headers(headers: &Headers) -> Json {
    headers.iter().map(|(name, value)| pair(name, value)).collect()
}

fn pair(name: &[u8], value: &[u8]) -> Json {
    json!({ "name": text(name), "value": text(value) })
}

/// The cookies of a field. Of `Set-Cookie` only the first part is one; the rest are its attributes.
fn cookies(headers: &Headers, field: &str) -> Json {
    let all = |value: &[u8]| -> Vec<Json> {
        let one = if field == "cookie" { usize::MAX } else { 1 };
        let cookies = value.split(|&byte| byte == b';').take(one).map(<[u8]>::trim_ascii);
        let parts = cookies.filter(|cookie| !cookie.is_empty());
        parts.map(|cookie| split_pair(cookie, text)).collect()
    };
    headers.all(field).flat_map(all).collect()
}

fn query(query: Option<&[u8]>) -> Json {
    let parts = query.into_iter().flat_map(|query| query.split(|&byte| byte == b'&'));
    parts.filter(|part| !part.is_empty()).map(|part| split_pair(part, decoded)).collect()
}

fn split_pair(part: &[u8], text: impl Fn(&[u8]) -> String) -> Json {
    let mark = part.iter().position(|&byte| byte == b'=');
    let (name, value) = mark.map_or((part, &b""[..]), |at| (&part[..at], &part[at + 1..]));
    let mut object = Map::new();
    object.insert("name".into(), text(name).into());
    object.insert("value".into(), text(value).into());
    object.into()
}

/// Decodes `%41` and `+`.
fn decoded(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).and_then(|two| str::from_utf8(two).ok());
        let code = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        match (byte, code) {
            (b'%', Some(code)) => {
                out.push(code);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
    text(&out)
}

/// The URL that was asked for. What may not stand in one is percent-encoded.
fn url(request: &Request, server: &str, encrypted: bool) -> String {
    let target = request.target();
    let scheme = if encrypted { "https" } else { "http" };
    let absolute = target.first().is_some_and(|byte| *byte != b'/' && *byte != b'*')
        && target.windows(3).any(|three| three == b"://");
    let mut url = String::new();
    let mut put = |bytes: &[u8]| {
        for &byte in bytes {
            if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
                url.push(byte as char);
            } else {
                url += &format!("%{byte:02X}");
            }
        }
    };
    if absolute {
        put(target);
        return url;
    }
    put(scheme.as_bytes());
    put(b"://");
    put(request.host().filter(|host| !host.is_empty()).unwrap_or(server.as_bytes()));
    if request.method() != b"CONNECT" {
        put(if target == b"*" { b"/" } else { target });
    }
    url
}

/// A time as ISO 8601 has it, in UTC.
fn iso(time: Timestamp) -> String {
    let moment = Clock::new(true).at(time);
    format!("{}T{}Z", moment.day_of_calendar(), moment.precise(3))
}

fn millis(time: std::time::Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}
