//! `ringtap grep`: matches in the streams of conversations.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::{self, Write};
use std::process::ExitCode;

use anstyle::Style;
use conversation::select::{Finder, Found, Search};
use conversation::{Chunk, ChunkData, ChunkEvent, ChunkStream, FlowNumber, FlowStreamBuilder};
use flow::{Endpoint, FiveTuple, FlowSide, Orientation, Timestamp, protocol};
use ring_core::PacketSource;

use crate::Error;
use crate::choice::Choice;
use crate::hosts::Hosts;
use crate::input::{Input, Keying};
use crate::interrupt;
use crate::limits::Limits;
use crate::output::Output;
use crate::report;
use crate::running::{Running, with_flows};
use crate::summary::Shown;
use crate::text::clock::Clock;
use crate::text::escape;
use crate::text::payload::{self, Look};
use crate::text::wrap::Width;

/// Steps of conversations between two reports of the memory.
const REPORT: usize = 1024;

/// Search the streams of conversations for a regular expression.
///
/// TCP streams are searched as their receivers got them: in order, across the borders of segments,
/// each byte once. No match extends over a gap. Of other protocols, each packet is searched alone.
/// A match has at most 4096 bytes.
///
/// The exit status is 0 if there was a match, 1 if there was none, and 2 after an error.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A regular expression in the syntax of the Rust crate regex, over bytes. `(?i)` in front of
    /// it ignores the case.
    #[arg(value_name = "REGEX", value_parser = parse, allow_hyphen_values = true)]
    pattern: &'static Finder,
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
    /// Show this many bytes before and after each match.
    #[arg(short = 'C', long, value_name = "BYTES", default_value_t = 32, value_parser = clap::value_parser!(u16))]
    context: u16,
    /// Show matches in hexadecimal as well.
    #[arg(long)]
    hex: bool,
    /// Print nothing, and end with the first match.
    #[arg(short, long, conflicts_with = "count")]
    quiet: bool,
    /// Print only the number of matches.
    #[arg(short, long)]
    count: bool,
}

/// A pattern lives as long as the command.
fn parse(text: &str) -> Result<&'static Finder, String> {
    let finder = Finder::new(text).map_err(|error| error.to_string())?;
    Ok(Box::leak(Box::new(finder)))
}

/// A conversation that goes on.
struct Talk {
    number: u64,
    ends: [Endpoint; 2],
    is_stream: bool,
    /// By side, once it has said something.
    searches: [Option<Search<'static>>; 2],
}

/// The form in which matches are shown, and their number so far.
struct Show<'a> {
    arguments: &'a Arguments,
    output: Output,
    clock: Clock,
    /// The look of a match.
    style: Style,
    matches: Cell<u64>,
}

/// Searches, and returns the exit status that grep has.
pub(crate) fn status(arguments: &Arguments) -> ExitCode {
    match interrupt::listen().and_then(|()| run(arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(Error::Interrupted) => ExitCode::from(1),
        // The reader of the output has enough.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            report::error(&error);
            ExitCode::from(2)
        }
    }
}

/// Returns `true` if there was a match.
fn run(arguments: &Arguments) -> Result<bool, Error> {
    let implied = arguments.choice.packet_filter();
    let (mut running, source) = Running::open(&arguments.input, &arguments.hosts, implied)?;
    let output = running.output.clone();
    let key = arguments.keying.extractor();
    let chunks = with_flows!(source, key, stream => chunks(stream, arguments));
    let handle = chunks.handle();
    running.watch(&handle);
    let clock = arguments.input.clock();
    let style = if output.is_terminal() { Style::new().bold() } else { Style::new() };
    let show = Show { arguments, output: output.clone(), clock, style, matches: Cell::new(0) };
    let result = running.runtime.block_on(search(chunks, &show));
    let statistics = running.settle(&handle);
    if arguments.count {
        output.write(|w| writeln!(w, "{}", show.matches.get()));
    }
    let written = running.finish();
    if !arguments.quiet {
        running.summarize(&written, &statistics, Shown::Flows, &arguments.limits);
    }
    written?;
    running.failed(result)?;
    Ok(show.matches.get() > 0)
}

/// Starts the engine.
fn chunks<S>(stream: FlowStreamBuilder<S, FiveTuple>, arguments: &Arguments) -> ChunkStream
where
    S: PacketSource + Send + Unpin + 'static,
{
    let stream =
        stream.table(|table| arguments.hosts.apply(table).header_fields(false)).datagrams(true);
    arguments.choice.apply(arguments.limits.apply(stream)).into_chunk_stream()
}

/// Searches all conversations as they go on.
async fn search(chunks: ChunkStream, show: &Show<'_>) -> Result<(), conversation::Error> {
    let mut open: HashMap<FlowNumber, Talk> = HashMap::new();
    let (mut count, mut steps) = (0, 0_usize);
    let event = |chunks: &mut ChunkStream, event| {
        show.event(event, &mut open, &mut count);
        steps += 1;
        if steps.is_multiple_of(REPORT) {
            let bytes: usize = open.values().map(Talk::memory).sum();
            chunks.note_memory(bytes / open.len().max(1));
        }
    };
    Running::drive(&show.output, chunks, || show.has_enough(), event, || {}).await
}

impl Talk {
    fn memory(&self) -> usize {
        let searches = self.searches.iter().flatten().map(Search::memory);
        2 * size_of::<Self>() + searches.sum::<usize>()
    }
}

impl Show<'_> {
    fn has_enough(&self) -> bool {
        self.arguments.quiet && self.matches.get() > 0
    }

    fn event(&self, event: ChunkEvent, open: &mut HashMap<FlowNumber, Talk>, count: &mut u64) {
        match event {
            ChunkEvent::Started { id, key, initiator, .. } => {
                *count += 1;
                let ends = match initiator {
                    Orientation::Forward => [key.a, key.b],
                    Orientation::Reverse => [key.b, key.a],
                };
                let is_stream = key.protocol == protocol::TCP;
                let searches = Default::default();
                open.insert(id, Talk { number: *count, ends, is_stream, searches });
            }
            ChunkEvent::Chunk { id, chunk, .. } => {
                let Some(talk) = open.get_mut(&id) else { return };
                match chunk {
                    Chunk::Initiator(data) => self.data(talk, FlowSide::Initiator, &data),
                    Chunk::Responder(data) => self.data(talk, FlowSide::Responder, &data),
                    Chunk::Gap { side, offset, len, .. } if talk.is_stream => {
                        let mut found = Vec::new();
                        if let Some(search) = &mut talk.searches[side as usize] {
                            search.gap(len, |one| found.push(Kept::new(one)));
                        } else {
                            // The stream begins with it.
                            let mut search = self.arguments.pattern.search(self.context());
                            search.gap(offset.saturating_add(len), |_| {});
                            talk.searches[side as usize] = Some(search);
                        }
                        self.found(talk, side, None, found);
                    }
                    Chunk::Closed { record, .. } => {
                        let Some(mut talk) = open.remove(&id) else { return };
                        for side in [FlowSide::Initiator, FlowSide::Responder] {
                            self.finish(&mut talk, side, Some(record.ended));
                        }
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn context(&self) -> usize {
        self.arguments.context.into()
    }

    fn data(&self, talk: &mut Talk, side: FlowSide, data: &ChunkData) {
        let mut found = Vec::new();
        let fresh = || self.arguments.pattern.search(self.context());
        let search = talk.searches[side as usize].get_or_insert_with(fresh);
        search.feed(data, |one| found.push(Kept::new(one)));
        if talk.is_stream {
            return self.found(talk, side, Some(data.timestamp()), found);
        }
        // A packet: it has its own beginning and end.
        if let Some(search) = talk.searches[side as usize].take() {
            search_end(search, &mut found);
        }
        found.iter_mut().for_each(|one| one.offset += data.offset());
        self.found(talk, side, Some(data.timestamp()), found);
    }

    fn finish(&self, talk: &mut Talk, side: FlowSide, time: Option<Timestamp>) {
        let mut found = Vec::new();
        if let Some(search) = talk.searches[side as usize].take() {
            search_end(search, &mut found);
        }
        self.found(talk, side, time, found);
    }

    /// Shows matches.
    fn found(&self, talk: &Talk, side: FlowSide, time: Option<Timestamp>, found: Vec<Kept>) {
        for one in found {
            self.matches.set(self.matches.get() + 1);
            if self.arguments.quiet || self.arguments.count {
                continue;
            }
            let width = self.output.width();
            self.output.write(|w| self.print(w, width, talk, (side, time), &one));
        }
    }

    fn print(
        &self,
        w: &mut dyn Write,
        width: Width,
        talk: &Talk,
        (side, time): (FlowSide, Option<Timestamp>),
        one: &Kept,
    ) -> io::Result<()> {
        let [mut from, mut to] = talk.ends;
        if side == FlowSide::Responder {
            (from, to) = (to, from);
        }
        write!(w, "[{}] ", talk.number)?;
        if let Some(time) = time {
            write!(w, "{} ", self.clock.at(time).word())?;
        }
        let style = self.style;
        write!(w, "{from} > {to} at {}: ", one.offset)?;
        escape::word(w, &one.before)?;
        write!(w, "{style}")?;
        escape::word(w, &one.matched)?;
        write!(w, "{style:#}")?;
        escape::word(w, &one.after)?;
        w.write_all(b"\n")?;
        if self.arguments.hex {
            let look = Look { side, style: Style::new(), width };
            let bytes = [&one.before[..], &one.matched, &one.after].concat();
            payload::hex(w, look, one.offset - one.before.len() as u64, &bytes)?;
        }
        Ok(())
    }
}

/// A match and its context.
struct Kept {
    offset: u64,
    before: Vec<u8>,
    matched: Vec<u8>,
    after: Vec<u8>,
}

impl Kept {
    fn new(found: Found<'_>) -> Self {
        let Found { offset, before, matched, after, .. } = found;
        Self { offset, before: before.into(), matched: matched.into(), after: after.into() }
    }
}

fn search_end(mut search: Search<'static>, found: &mut Vec<Kept>) {
    search.finish(|one| found.push(Kept::new(one)));
}
