//! The forms in which flows are printed.

use std::io::{self, Write};

use clap::ValueEnum;
use flow::{FiveTupleKey, FlowRecord, Timestamp};
use record::{Flow, csv, eve, json, parquet, zeek};
use ring_sys::clock;

use super::table;
use crate::text::clock::Clock;

/// The option for the form.
#[derive(Clone, Copy, Debug, clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    /// Print flows in this form [default: table]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Form>,
    /// The same as --output json.
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

/// A form of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// One line for each flow, for people.
    Table,
    /// One JSON object for each flow. Times are strings, with all nanoseconds.
    Json,
    /// CSV, with the names of the columns in the first line.
    Csv,
    /// Zeek's conn.log, tab-separated.
    Zeek,
    /// Zeek's conn.log, as JSON.
    ZeekJson,
    /// Flow events of Suricata's EVE.
    Eve,
    /// A Parquet file.
    Parquet,
}

impl Arguments {
    /// The printer of this form, with times for people by this clock.
    pub(super) fn printer(self, clock: Clock) -> Printer {
        let default = if self.json { Form::Json } else { Form::Table };
        let form = self.output.unwrap_or(default);
        let file = (form == Form::Parquet).then(parquet::Encoder::new);
        Printer { form, clock, file, bytes: Vec::new() }
    }
}

/// Prints flows.
pub(super) struct Printer {
    form: Form,
    clock: Clock,
    file: Option<parquet::Encoder>,
    /// The encoded bytes, kept for their allocation.
    bytes: Vec<u8>,
}

impl Printer {
    /// Prints what precedes all flows.
    pub(super) fn begin(&mut self, w: &mut dyn Write) -> io::Result<()> {
        match self.form {
            Form::Csv => csv::header(&mut self.bytes),
            Form::Zeek => zeek::header(now(), &mut self.bytes),
            _ => {}
        }
        self.pass_on(w)
    }

    /// Prints a flow.
    pub(super) fn print(
        &mut self,
        w: &mut dyn Write,
        record: &FlowRecord<FiveTupleKey>,
        flow: &Flow<'_>,
    ) -> io::Result<()> {
        let out = &mut self.bytes;
        match self.form {
            Form::Table => return table::print(w, &self.clock, record, flow.conflicts),
            Form::Json => json::encode(flow, out),
            Form::Csv => csv::encode(flow, out),
            Form::Zeek => zeek::encode_tsv(flow, out),
            Form::ZeekJson => zeek::encode_json(flow, out),
            Form::Eve => eve::encode(flow, out),
            Form::Parquet => {
                if let Some(file) = &mut self.file {
                    file.encode(flow, out).map_err(io::Error::other)?;
                }
            }
        }
        self.pass_on(w)
    }

    /// Prints what follows all flows.
    pub(super) fn end(&mut self, w: &mut dyn Write) -> io::Result<()> {
        if self.form == Form::Zeek {
            zeek::footer(now(), &mut self.bytes);
        }
        if let Some(file) = self.file.take() {
            file.finish(&mut self.bytes).map_err(io::Error::other)?;
        }
        self.pass_on(w)
    }

    fn pass_on(&mut self, w: &mut dyn Write) -> io::Result<()> {
        let written = w.write_all(&self.bytes);
        self.bytes.clear();
        written
    }
}

/// The time by the system's clock.
pub(super) fn now() -> Timestamp {
    Timestamp::from_nanos(clock::wall())
}
