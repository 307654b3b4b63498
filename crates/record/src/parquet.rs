//! Parquet, without Arrow: one file, with the columns of [`csv`](crate::csv).
//!
//! Times are `TIMESTAMP(NANOS, UTC)`, counters unsigned integers, unknown values null. Pages are
//! encoded with dictionaries and not compressed.

use std::sync::Arc;

use flow::{Endpoint, Timestamp};
use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};

use crate::Flow;
use crate::columns::{self, Columns};
use crate::text;

/// The failure of the encoder of the crate `parquet`.
#[derive(Debug)]
pub struct Error(ParquetError);

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a Parquet file could not be encoded: {}", self.0)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl From<ParquetError> for Error {
    fn from(error: ParquetError) -> Self {
        Self(error)
    }
}

/// Encodes flows into one file.
///
/// # Examples
///
/// ```
/// use record::{Flow, parquet};
///
/// let mut file = Vec::new();
/// let mut encoder = parquet::Encoder::new();
/// let flow = Flow::new("192.0.2.1:40000".parse()?, "192.0.2.2:53".parse()?, 17);
/// encoder.encode(&flow, &mut file)?;
/// encoder.finish(&mut file)?;
/// assert!(file.starts_with(b"PAR1") && file.ends_with(b"PAR1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Encoder {
    columns: Vec<Column>,
    rows: usize,
    group_rows: usize,
    /// The bytes that it has written are taken out after each row group.
    writer: Option<SerializedFileWriter<Vec<u8>>>,
}

/// Rows of a group: what a reader can skip or read in parallel (DuckDB has groups of 122,880).
const GROUP_ROWS: usize = 65_536;

/// The values of a column in the current row group.
struct Column {
    name: String,
    kind: Kind,
    values: Values,
    /// For a column that may be null: 1 for each row with a value, 0 for one without.
    present: Option<Vec<i16>>,
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Time,
    Unsigned(u8),
    Seconds,
    Truth,
    Text,
}

enum Values {
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Double(Vec<f64>),
    Bool(Vec<bool>),
    Bytes(Vec<ByteArray>),
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// Creates an encoder that appends a row group for every 65,536 records. They take about 350
    /// bytes each until then.
    #[must_use]
    pub fn new() -> Self {
        Self::with_group_rows(GROUP_ROWS)
    }

    /// Creates an encoder with another number of records in each row group, at least 1.
    #[must_use]
    pub fn with_group_rows(group_rows: usize) -> Self {
        let end = Endpoint { address: std::net::Ipv4Addr::UNSPECIFIED.into(), port: 0 };
        let mut schema = Schema(Vec::new());
        columns::visit(&Flow::new(end, end, 0), &mut schema);
        Self { columns: schema.0, rows: 0, group_rows: group_rows.max(1), writer: None }
    }

    /// Adds a record, and appends a row group to `out` if it is full.
    ///
    /// # Errors
    /// Fails if the crate `parquet` does. The file is then lost.
    pub fn encode(&mut self, flow: &Flow<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut row = Row { columns: self.columns.iter_mut() };
        columns::visit(flow, &mut row);
        self.rows += 1;
        if self.rows == self.group_rows { self.end_group(out) } else { Ok(()) }
    }

    /// Appends the rest of the file, which is unreadable without it.
    ///
    /// # Errors
    /// Fails if the crate `parquet` does.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.rows > 0 {
            self.end_group(out)?;
        }
        self.writer()?;
        if let Some(writer) = self.writer.take() {
            out.append(&mut writer.into_inner()?);
        }
        Ok(())
    }

    /// The writer, created for its first row group.
    fn writer(&mut self) -> Result<&mut SerializedFileWriter<Vec<u8>>, Error> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                let fields: Result<Vec<TypePtr>, ParquetError> =
                    self.columns.iter().map(Column::field).collect();
                let schema = Type::group_type_builder("flow").with_fields(fields?).build()?;
                let creator = concat!("ringtap record ", env!("CARGO_PKG_VERSION"));
                let properties =
                    WriterProperties::builder().set_created_by(creator.to_owned()).build();
                SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?
            }
        };
        Ok(self.writer.insert(writer))
    }

    fn end_group(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.writer()?;
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let mut group = writer.next_row_group()?;
        let mut columns = self.columns.iter_mut();
        while let (Some(mut to), Some(column)) = (group.next_column()?, columns.next()) {
            let levels = column.present.as_deref();
            match &column.values {
                Values::Int32(values) => {
                    to.typed::<Int32Type>().write_batch(values, levels, None)?
                }
                Values::Int64(values) => {
                    to.typed::<Int64Type>().write_batch(values, levels, None)?
                }
                Values::Double(values) => {
                    to.typed::<DoubleType>().write_batch(values, levels, None)?
                }
                Values::Bool(values) => to.typed::<BoolType>().write_batch(values, levels, None)?,
                Values::Bytes(values) => {
                    to.typed::<ByteArrayType>().write_batch(values, levels, None)?
                }
            };
            to.close()?;
            column.clear();
        }
        group.close()?;
        writer.flush().map_err(ParquetError::from)?;
        out.append(writer.inner_mut());
        self.rows = 0;
        Ok(())
    }
}

impl Column {
    fn new(name: String, kind: Kind, may_be_null: bool) -> Self {
        let values = match kind {
            Kind::Time | Kind::Unsigned(33..) => Values::Int64(Vec::new()),
            Kind::Unsigned(_) => Values::Int32(Vec::new()),
            Kind::Seconds => Values::Double(Vec::new()),
            Kind::Truth => Values::Bool(Vec::new()),
            Kind::Text => Values::Bytes(Vec::new()),
        };
        Self { name, kind, values, present: may_be_null.then(Vec::new) }
    }

    fn field(&self) -> Result<TypePtr, ParquetError> {
        let (physical, logical) = match self.kind {
            Kind::Time => {
                let is_utc = true;
                (Physical::INT64, Some(LogicalType::timestamp(is_utc, TimeUnit::NANOS)))
            }
            Kind::Unsigned(bits) => {
                let physical = if bits > 32 { Physical::INT64 } else { Physical::INT32 };
                let is_signed = false;
                (physical, Some(LogicalType::integer(bits as i8, is_signed)))
            }
            Kind::Seconds => (Physical::DOUBLE, None),
            Kind::Truth => (Physical::BOOLEAN, None),
            Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        let repetition =
            if self.present.is_some() { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        let builder = Type::primitive_type_builder(&self.name, physical);
        builder.with_logical_type(logical).with_repetition(repetition).build().map(Arc::new)
    }

    fn clear(&mut self) {
        match &mut self.values {
            Values::Int32(values) => values.clear(),
            Values::Int64(values) => values.clear(),
            Values::Double(values) => values.clear(),
            Values::Bool(values) => values.clear(),
            Values::Bytes(values) => values.clear(),
        }
        if let Some(present) = &mut self.present {
            present.clear();
        }
    }

    /// Notes that there is a value for this row, or none.
    fn note(&mut self, is_present: bool) {
        if let Some(present) = &mut self.present {
            present.push(i16::from(is_present));
        }
    }

    fn number(&mut self, value: Option<u64>) {
        self.note(value.is_some());
        // Unsigned types are stored with the same bits as signed ones.
        match (&mut self.values, value) {
            (Values::Int32(values), Some(value)) => values.push(value as i32),
            (Values::Int64(values), Some(value)) => values.push(value as i64),
            _ => {}
        }
    }

    fn text(&mut self, text: Option<Vec<u8>>) {
        self.note(text.is_some());
        if let (Values::Bytes(values), Some(text)) = (&mut self.values, text) {
            values.push(ByteArray::from(text));
        }
    }
}

/// Collects the columns.
struct Schema(Vec<Column>);

impl Schema {
    fn add(&mut self, name: &str, kind: Kind, may_be_null: bool) {
        self.0.push(Column::new(name.to_owned(), kind, may_be_null));
    }
}

impl Columns for Schema {
    fn time(&mut self, name: &'static str, _: Timestamp) {
        self.add(name, Kind::Time, false);
    }

    fn endpoint(&mut self, name: &'static str, _: Endpoint) {
        self.add(&format!("{name}_address"), Kind::Text, false);
        self.add(&format!("{name}_port"), Kind::Unsigned(16), false);
    }

    fn number(&mut self, name: &'static str, _: u64) {
        self.add(name, Kind::Unsigned(64), false);
    }

    fn optional_number(&mut self, name: &'static str, bits: u8, _: Option<u64>) {
        self.add(name, Kind::Unsigned(bits), true);
    }

    fn seconds(&mut self, name: &'static str, _: Option<u64>) {
        self.add(name, Kind::Seconds, true);
    }

    fn truth(&mut self, name: &'static str, _: bool) {
        self.add(name, Kind::Truth, false);
    }

    fn text(&mut self, name: &'static str, _: Option<&str>) {
        self.add(name, Kind::Text, true);
    }
}

/// Appends the values of a record to the columns.
struct Row<'c> {
    columns: std::slice::IterMut<'c, Column>,
}

impl Row<'_> {
    /// Appends to the next column. There is one: record and schema come from the same function.
    fn next(&mut self, append: impl FnOnce(&mut Column)) {
        if let Some(column) = self.columns.next() {
            append(column);
        }
    }
}

impl Columns for Row<'_> {
    fn time(&mut self, _: &'static str, time: Timestamp) {
        self.next(|column| column.number(Some(time.as_nanos())));
    }

    fn endpoint(&mut self, _: &'static str, endpoint: Endpoint) {
        let mut address = Vec::with_capacity(16);
        text::address(&mut address, endpoint.address);
        self.next(|column| column.text(Some(address)));
        self.next(|column| column.number(Some(u64::from(endpoint.port))));
    }

    fn number(&mut self, _: &'static str, value: u64) {
        self.next(|column| column.number(Some(value)));
    }

    fn optional_number(&mut self, _: &'static str, _: u8, value: Option<u64>) {
        self.next(|column| column.number(value));
    }

    fn seconds(&mut self, _: &'static str, nanos: Option<u64>) {
        self.next(|column| {
            column.note(nanos.is_some());
            if let (Values::Double(values), Some(nanos)) = (&mut column.values, nanos) {
                values.push(nanos as f64 / 1e9);
            }
        });
    }

    fn truth(&mut self, _: &'static str, value: bool) {
        self.next(|column| {
            if let Values::Bool(values) = &mut column.values {
                values.push(value);
            }
        });
    }

    fn text(&mut self, _: &'static str, text: Option<&str>) {
        self.next(|column| column.text(text.map(|text| text.as_bytes().to_vec())));
    }
}
