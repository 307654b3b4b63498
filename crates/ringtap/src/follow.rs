//! `ringtap follow`: every TCP conversation, complete and in order.

mod colour;
mod copies;
mod digest;
pub(crate) mod files;
mod idle;
mod json;
mod open;
mod print;
mod raw;
mod runs;
mod view;

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;

use clap::ValueEnum;
use conversation::{Chunk, ChunkEvent, ChunkStream, FlowStreamBuilder};
use flow::FiveTuple;
use ring_core::PacketSource;

use self::colour::{Colour, Palette};
use self::copies::Copies;
use self::files::Folder;
use self::open::{Open, Views};
use self::view::{Rest, Talk, View};
use crate::Error;
use crate::choice::Choice;
use crate::hosts::Hosts;
use crate::input::{Input, Keying};
use crate::interrupt;
use crate::limits::Limits;
use crate::names;
use crate::output::Output;
use crate::report;
use crate::running::{Running, with_flows};
use crate::summary::{Shown, totals};

/// Show every TCP conversation of an interface or a capture file.
///
/// A live command runs until it is interrupted, and then reports how many packets were captured and
/// dropped. Bytes that were not captured are shown as gaps. Packets that are not followed, and
/// flows that are not shown, are counted by cause on standard error at the end.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    keying: Keying,
    #[command(flatten)]
    hosts: Hosts,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    totals: totals::TotalsFile,
    /// Show conversations in this form [default: text]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
    /// Write the bytes of each direction into a file of its own in this folder, at the offsets that
    /// they have in their stream: what was not captured is a hole that reads as zeros. Without
    /// --output, only the beginnings and ends of conversations and their gaps are shown besides.
    #[arg(short, long, value_name = "DIR")]
    write_dir: Option<PathBuf>,
    /// With --write-dir: remove the files that an earlier run left in the folder.
    #[arg(long, requires = "write_dir")]
    overwrite: bool,
    /// Instead of the bytes, print one JSON object for each direction that carried data, when its
    /// conversation ends: addresses, VLANs and tunnels, length, SHA-256 and gaps. A conversation
    /// that was captured on both sides of a router between VLANs is printed once if both copies
    /// agree in every sequence number and byte.
    #[arg(long, conflicts_with = "output")]
    digest: bool,
    /// Show only the beginnings and ends of conversations, gaps, and bytes that have no place or
    /// come in two versions.
    #[arg(short, long, conflicts_with_all = ["digest", "output"])]
    quiet: bool,
    /// Colour the two directions.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Colour::Auto)]
    color: Colour,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text, marked `>` if the initiator sent it and `<` if the responder did; what is no text is
    /// escaped.
    Text,
    /// Offsets, hexadecimal and text.
    Hex,
    /// The bytes alone; gaps are reported on standard error.
    Raw,
    /// One JSON object for each thing that happens; bytes in base64.
    Json,
}

/// The form in which each conversation is shown.
#[derive(Debug)]
struct Show {
    output: Output,
    style: Style,
    page: Rc<print::Page>,
    folder: Option<Rc<Folder>>,
    copies: Copies,
    /// Conversations so far.
    count: Cell<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Style {
    Digest,
    Json,
    Raw,
    Person(print::Bytes),
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let implied = arguments.choice.packet_filter();
    let (mut running, source) = Running::open(&arguments.input, &arguments.hosts, implied)?;
    let show = Show::new(arguments, running.output.clone())?;
    let totals = arguments.totals.open()?;
    if show.output.is_terminal() && matches!(show.style, Style::Raw) {
        report::say(format_args!(
            "warning: raw bytes may change how this terminal works; use --output text, or send them to a file"
        ));
    }
    let key = arguments.keying.extractor();
    let chunks = with_flows!(source, key, stream => chunks(stream, arguments));
    let handle = chunks.handle();
    running.watch(&handle);
    let result = running.runtime.block_on(follow(chunks, &show));
    let statistics = running.settle(&handle);
    let written = running.finish();
    show.report_copies();
    running.summarize(&written, &statistics, Shown::Conversations, &arguments.limits);
    let counted = totals.map_or(Ok(()), |totals| totals.write(&statistics));
    written?;
    counted?;
    running.failed(result)?;
    show.folder.as_ref().map_or(Ok(()), |folder| folder.finish())
}

/// Starts the engine.
fn chunks<S>(stream: FlowStreamBuilder<S, FiveTuple>, arguments: &Arguments) -> ChunkStream
where
    S: PacketSource + Send + Unpin + 'static,
{
    let stream = stream.table(|table| arguments.hosts.apply_comparing(table).header_fields(false));
    arguments.choice.apply(arguments.limits.apply(stream)).into_chunk_stream()
}

/// Shows all conversations as they go on, until they end or the time for handing over does.
async fn follow(chunks: ChunkStream, show: &Show) -> Result<(), conversation::Error> {
    let mut open = Open::default();
    let event = |chunks: &mut ChunkStream, event| {
        show.event(event, &mut open);
        if let Some(bytes) = open.takes_bytes() {
            chunks.note_memory(bytes);
        }
    };
    let result = Running::drive(&show.output, chunks, || show.has_failed(), event, || {}).await;
    if !show.has_failed() {
        // Of these the end was not seen, since the engine failed.
        open.into_views().for_each(Views::end);
    }
    result
}

impl Show {
    fn new(arguments: &Arguments, output: Output) -> Result<Self, Error> {
        let folder = arguments.write_dir.as_deref();
        let folder = folder.map(|path| Folder::create(path, arguments.overwrite));
        let folder = folder.transpose()?.map(Rc::new);
        let style = match arguments.output {
            _ if arguments.digest => Style::Digest,
            Some(Format::Json) => Style::Json,
            Some(Format::Raw) => Style::Raw,
            Some(Format::Hex) => Style::Person(print::Bytes::Hex),
            Some(Format::Text) => Style::Person(print::Bytes::Text),
            None if arguments.quiet || folder.is_some() => Style::Person(print::Bytes::None),
            None => Style::Person(print::Bytes::Text),
        };
        let page = Rc::new(print::Page {
            output: output.clone(),
            bytes: match style {
                Style::Person(bytes) => bytes,
                _ => print::Bytes::None,
            },
            palette: Palette::new(arguments.color, output.is_terminal()),
            clock: arguments.input.clock(),
        });
        Ok(Self { output, style, page, folder, copies: Copies::default(), count: Cell::new(0) })
    }

    /// Says how many conversations were left out since they are copies.
    fn report_copies(&self) {
        let copies = self.copies.count();
        if copies > 0 {
            let what = names::count(copies, "conversation is", "conversations are");
            report::say(format_args!(
                "{what} left out: an exact copy, captured in another VLAN or tunnel, is printed"
            ));
        }
    }

    /// `true` if there is no use in going on.
    fn has_failed(&self) -> bool {
        interrupt::is_over()
            || self.output.has_failed()
            || self.folder.as_ref().is_some_and(|folder| folder.has_failed())
    }

    /// Shows what happens to one of the conversations that are `open`.
    fn event(&self, event: ChunkEvent, open: &mut Open) {
        match event {
            ChunkEvent::Started { id, key, initiator, timestamp, midway, .. } => {
                let number = self.count.get() + 1;
                self.count.set(number);
                let talk = Talk::new(number, key, initiator, timestamp);
                let rest = self.begin(&talk, midway);
                open.insert(id, talk, rest);
            }
            ChunkEvent::Chunk { id, chunk, .. } => {
                let is_last = matches!(chunk, Chunk::Closed { .. } | Chunk::Overrun { .. });
                open.chunk(id, &chunk, |talk, rest| self.views(talk, rest));
                if is_last && let Some(views) = open.remove(id) {
                    views.end();
                }
            }
            _ => {}
        }
    }

    /// Shows that a conversation begins. Returns the state that it is in then.
    fn begin(&self, talk: &Talk, midway: bool) -> Rest {
        match self.style {
            Style::Json => json::begin(talk, midway, &self.output),
            Style::Person(_) => return print::begin(talk, midway, &self.page),
            Style::Digest | Style::Raw => {}
        }
        Rest { now: talk.started, day: 0 }
    }

    fn views(&self, talk: &Talk, rest: Rest) -> Views {
        let output = self.output.clone();
        let shown: Box<dyn View> = match self.style {
            Style::Digest => Box::new(digest::Digest::new(*talk, output, self.copies.clone())),
            Style::Json => Box::new(json::Json::new(*talk, output, rest)),
            Style::Raw => Box::new(raw::Raw::new(*talk, output, rest)),
            Style::Person(_) => Box::new(print::Printer::new(*talk, Rc::clone(&self.page), rest)),
        };
        let written = self.folder.as_ref().map(|folder| Box::new(folder.files(talk)));
        Views { number: talk.number, shown, written }
    }
}
