//! A message as a line for people.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use flow::Timestamp;
use protocol::http1::{Exchange, Request};
use protocol::{Content, Lost, LostCause, Message, Side};

use super::Talk;
use crate::names;
use crate::text::clock::Clock;
use crate::text::escape::Escaped;
use crate::text::wrap::{self, Width};

/// Fields that the line of a protocol without columns of its own shows.
const FIELDS: usize = 12;

/// Prints lines whose columns are aligned.
#[derive(Debug)]
pub(super) struct Lines {
    clock: Clock,
    /// The widest client and server so far.
    widths: [usize; 2],
    /// The day that was printed last.
    day: Option<i32>,
}

impl Lines {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, widths: [0; 2], day: None }
    }

    /// Prints a message. `completed` is the time of the packet that completed it.
    pub(super) fn print(
        &mut self,
        w: &mut dyn Write,
        width: Width,
        talk: &Talk,
        message: &Message,
        completed: Timestamp,
    ) -> io::Result<()> {
        let moment = self.clock.at(message.times.first().unwrap_or(completed));
        if self.day.replace(moment.day()) != Some(moment.day()) {
            writeln!(w, "{}", moment.day_of_calendar())?;
        }
        let [client, server] = talk.ends(message.side).map(|end| end.to_string());
        for (width, end) in self.widths.iter_mut().zip([&client, &server]) {
            *width = end.len().max(*width);
        }
        let [client_width, server_width] = self.widths;
        let mut text = format!(
            "{} {client:client_width$} > {server:server_width$}{} ",
            moment.time(),
            names::Within(talk.scope)
        );
        match &message.content {
            Content::Http(http) => exchange(&mut text, message, http),
            Content::Lost(lost) => place(&mut text, message.side, lost),
            _ => others(&mut text, message),
        }
        wrap::line(w, width, ["", "    "], text.trim_end())?;
        w.write_all(b"\n")
    }
}

/// Method, status, latency, body lengths, host and target.
fn exchange(text: &mut String, message: &Message, http: &Exchange) {
    let request = http.request.as_ref();
    let response = http.response.as_ref();
    // In HTTP/2 both may be unknown though the rest is known.
    let method = request.map(|request| request.method()).filter(|method| !method.is_empty());
    let method = method.map_or("-".into(), String::from_utf8_lossy);
    let status = response.map(|response| response.status()).filter(|status| *status != 0);
    let status = status.map_or("-".into(), |status| status.to_string());
    let latency = message.latency().map_or("-".into(), duration);
    let sent = request.map_or("-".into(), |request| size(request.body().len()));
    let received = response.map_or("-".into(), |response| size(response.body().len()));
    let _ = write!(
        text,
        "{:7} {status:>3} {latency:>9} {sent:>9} {received:>9}  {}",
        Escaped(&method).to_string(),
        Escaped(&request.map_or_else(|| "-".into(), address)),
    );
    let mut unusual: Vec<String> = http.flags.names().map(Into::into).collect();
    let bodies = [request.map(Request::body), response.map(|response| response.body())];
    let missing: u64 = bodies.iter().flatten().map(|body| body.missing).sum();
    if missing > 0 {
        unusual.push(format!("{} missing", size(missing)));
    }
    if bodies.iter().flatten().any(|body| !body.complete) {
        unusual.push("incomplete".into());
    }
    if !unusual.is_empty() {
        let _ = write!(text, "  [{}]", unusual.join(", "));
    }
}

/// Host and target of a request, as one would type it.
fn address(request: &Request) -> String {
    let lossy = String::from_utf8_lossy;
    let host = request.host().map_or("-".into(), lossy);
    if request.method() == b"CONNECT" {
        return host.into_owned();
    }
    let query = request.query().map_or(String::new(), |query| format!("?{}", lossy(query)));
    format!("{host}{}{query}", lossy(request.path()))
}

fn place(text: &mut String, side: Side, lost: &Lost) {
    let from = match side {
        Side::Initiator => "initiator",
        Side::Responder => "responder",
    };
    let why = match lost.cause {
        LostCause::Gap => "bytes are missing",
        LostCause::Syntax => "this is no message",
        LostCause::Ambiguous => "its length is ambiguous",
        LostCause::Limit => "a part of a message is too long",
        _ => "it cannot be parsed",
    };
    let Lost { protocol, offset, .. } = lost;
    let _ = write!(
        text,
        "{protocol}: place lost at byte {offset} of the {from}: {why}; parsing goes on at the next \
         message"
    );
}

/// The fields of a protocol without columns of its own.
fn others(text: &mut String, message: &Message) {
    let _ = write!(text, "{:7}", message.protocol());
    if let Some(latency) = message.latency() {
        let _ = write!(text, " {:>9}", duration(latency));
    }
    let mut left = FIELDS;
    message.fields(&mut |name, value| {
        if left > 0 {
            left -= 1;
            let name = name.split_once('.').map_or(name, |(_, rest)| rest);
            let _ = write!(text, " {name}={}", Escaped(&value.to_string()));
        }
    });
}

/// A time span with a unit that suits it.
fn duration(time: Duration) -> String {
    let nanos = time.as_nanos();
    let (divisor, unit) = match nanos {
        0..1_000 => return format!("{nanos} ns"),
        1_000..1_000_000 => (1e3, "µs"),
        1_000_000..1_000_000_000 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    format!("{} {unit}", three_digits(nanos as f64 / divisor))
}

/// A number of bytes with a unit that suits it.
fn size(bytes: u64) -> String {
    let (divisor, unit) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..1_000_000 => (1e3, "kB"),
        1_000_000..1_000_000_000 => (1e6, "MB"),
        1_000_000_000..1_000_000_000_000 => (1e9, "GB"),
        _ => (1e12, "TB"),
    };
    format!("{} {unit}", three_digits(bytes as f64 / divisor))
}

/// A number with three digits that count.
fn three_digits(number: f64) -> String {
    match number {
        ..9.995 => format!("{number:.2}"),
        ..99.95 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_suit_their_numbers() {
        let sizes = [0, 999, 1_000, 9_996, 123_456, 12_345_678].map(size);
        assert_eq!(sizes, ["0 B", "999 B", "1.00 kB", "10.0 kB", "123 kB", "12.3 MB"]);
        let times = [5, 562_000, 73_100_000, 2_500_000_000].map(Duration::from_nanos).map(duration);
        assert_eq!(times, ["5 ns", "562 µs", "73.1 ms", "2.50 s"]);
    }
}
