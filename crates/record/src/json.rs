//! JSON lines: an object for each record, in the schema that `docs/records.md` describes.
//!
//! Fields whose value is unknown are left out, and so is `midway` unless it is true.

use flow::{Endpoint, Timestamp};

use crate::Flow;
use crate::columns::{self, Columns};
use crate::text;

/// The version of the schema, which each object has in its field `schema`.
///
/// It changes if a field is removed or changes its meaning, not if one is added.
pub const SCHEMA: u32 = 1;

/// Appends a record.
pub fn encode(flow: &Flow<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"schema\":");
    text::number(out, u64::from(SCHEMA));
    columns::visit(flow, &mut Object { out });
    out.extend_from_slice(b"}\n");
}

/// Writes the fields of an object that has one already.
struct Object<'o> {
    out: &'o mut Vec<u8>,
}

impl Object<'_> {
    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }
}

impl Columns for Object<'_> {
    /// A string, because a JSON number loses nanoseconds in most programs.
    fn time(&mut self, name: &'static str, time: Timestamp) {
        let out = self.name(name);
        out.push(b'"');
        text::nanoseconds(out, time.as_nanos());
        out.push(b'"');
    }

    fn endpoint(&mut self, name: &'static str, endpoint: Endpoint) {
        let out = self.name(name);
        out.push(b'"');
        text::endpoint(out, endpoint);
        out.push(b'"');
    }

    fn number(&mut self, name: &'static str, value: u64) {
        text::number(self.name(name), value);
    }

    fn optional_number(&mut self, name: &'static str, _: u8, value: Option<u64>) {
        if let Some(value) = value {
            text::number(self.name(name), value);
        }
    }

    fn seconds(&mut self, name: &'static str, nanos: Option<u64>) {
        if let Some(nanos) = nanos {
            text::nanoseconds(self.name(name), nanos);
        }
    }

    fn truth(&mut self, name: &'static str, value: bool) {
        if value {
            self.name(name).extend_from_slice(b"true");
        }
    }

    fn text(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            text::json_string(self.name(name), text);
        }
    }
}
