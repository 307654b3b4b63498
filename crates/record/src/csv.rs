//! CSV (RFC 4180): a line for each record, and the names of the columns in the first line.
//!
//! Times are UTC with nine decimals, in the form that DuckDB, ClickHouse and SQLite read:
//! `2023-11-14 22:13:20.000000001`. What is unknown is an empty field.

use flow::{Endpoint, Timestamp};

use crate::Flow;
use crate::columns::{self, Columns};
use crate::text::{self, Calendar};

/// Appends the line with the names of the columns.
pub fn header(out: &mut Vec<u8>) {
    let end = Endpoint { address: std::net::Ipv4Addr::UNSPECIFIED.into(), port: 0 };
    columns::visit(&Flow::new(end, end, 0), &mut Header { out, is_first: true });
    out.extend_from_slice(b"\r\n");
}

/// Appends a record.
pub fn encode(flow: &Flow<'_>, out: &mut Vec<u8>) {
    columns::visit(flow, &mut Row { out, is_first: true });
    out.extend_from_slice(b"\r\n");
}

/// Writes the names of the columns.
struct Header<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

impl Header<'_> {
    fn name(&mut self, parts: [&str; 2]) {
        separate(self.out, &mut self.is_first);
        parts.iter().for_each(|part| self.out.extend_from_slice(part.as_bytes()));
    }
}

impl Columns for Header<'_> {
    fn time(&mut self, name: &'static str, _: Timestamp) {
        self.name([name, ""]);
    }

    fn endpoint(&mut self, name: &'static str, _: Endpoint) {
        self.name([name, "_address"]);
        self.name([name, "_port"]);
    }

    fn number(&mut self, name: &'static str, _: u64) {
        self.name([name, ""]);
    }

    fn optional_number(&mut self, name: &'static str, _: u8, _: Option<u64>) {
        self.name([name, ""]);
    }

    fn seconds(&mut self, name: &'static str, _: Option<u64>) {
        self.name([name, ""]);
    }

    fn truth(&mut self, name: &'static str, _: bool) {
        self.name([name, ""]);
    }

    fn text(&mut self, name: &'static str, _: Option<&str>) {
        self.name([name, ""]);
    }
}

/// Writes the values of a record.
struct Row<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

impl Row<'_> {
    fn next(&mut self) -> &mut Vec<u8> {
        separate(self.out, &mut self.is_first);
        self.out
    }
}

impl Columns for Row<'_> {
    fn time(&mut self, _: &'static str, time: Timestamp) {
        let (calendar, out) = (Calendar::new(time), self.next());
        calendar.write(out, b'-', b' ', b':');
        calendar.write_nanos(out);
    }

    fn endpoint(&mut self, _: &'static str, endpoint: Endpoint) {
        text::address(self.next(), endpoint.address);
        text::number(self.next(), u64::from(endpoint.port));
    }

    fn number(&mut self, _: &'static str, value: u64) {
        text::number(self.next(), value);
    }

    fn optional_number(&mut self, _: &'static str, _: u8, value: Option<u64>) {
        let out = self.next();
        if let Some(value) = value {
            text::number(out, value);
        }
    }

    fn seconds(&mut self, _: &'static str, nanos: Option<u64>) {
        let out = self.next();
        if let Some(nanos) = nanos {
            text::nanoseconds(out, nanos);
        }
    }

    fn truth(&mut self, _: &'static str, value: bool) {
        self.next().extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn text(&mut self, _: &'static str, text: Option<&str>) {
        let (text, out) = (text.unwrap_or(""), self.next());
        if !text.contains(['"', ',', '\r', '\n']) {
            out.extend_from_slice(text.as_bytes());
            return;
        }
        out.push(b'"');
        for byte in text.bytes() {
            if byte == b'"' {
                out.push(b'"');
            }
            out.push(byte);
        }
        out.push(b'"');
    }
}

fn separate(out: &mut Vec<u8>, is_first: &mut bool) {
    if !std::mem::take(is_first) {
        out.push(b',');
    }
}
