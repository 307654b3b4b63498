//! `ringtap capture`: packets to a file, to the screen, or counted.

mod choosing;
mod described;
mod flows;
mod line;
mod lines;
mod parties;
mod postrotate;
mod recorder;
mod writing;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use packet_filter::Program;
use ring_core::{Dedup, Direction, Next, Packet, PacketBatch as _, Timeout, Timestamp, xdp};
use ring_sys::clock;

use self::choosing::Choosing;
use self::described::Described;
use self::line::Printer;
use self::recorder::Recorder;
use self::writing::Writing;
use crate::Error;
use crate::cause::Cause;
use crate::choice::Choice;
use crate::input::{self, Input, Source};
use crate::interfaces;
use crate::interrupt;
use crate::limits;
use crate::link_types;
use crate::output::Output;
use crate::report::{self, Counts, Links};
use crate::selection::Shows;
use crate::summary;
use crate::summary::totals::{self, Totals};

/// The limit for taking what came before an interrupt, beyond the time for which the source may
/// hold it back.
const DRAIN: Duration = Duration::from_secs(1);
/// The delay with which a busy kernel hands over a block that is not full.
const LATE: Duration = Duration::from_millis(100);
/// The limit for taking what lies in a pipe: its writer may have got the same Ctrl-C, and flushes
/// now.
const DRAIN_PIPE: Duration = Duration::from_millis(200);

/// Capture packets, as tcpdump does: print a line for each, write them to a file, or count them.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    writing: writing::Arguments,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    choosing: choosing::Arguments,
    #[command(flatten)]
    recording: recorder::Arguments,
    /// Omit a packet that was captured a moment before as well, as ports of mirrors, bonds and
    /// bridges show it: one with the same bytes within this time.
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "10ms", value_parser = limits::time)]
    dedup: Option<Duration>,
    #[command(flatten)]
    totals: totals::TotalsFile,
    /// Stop after this many packets.
    #[arg(short = 'c', long = "packets", value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Print only how many packets there are.
    #[arg(long, conflicts_with = "write")]
    count: bool,
    #[command(flatten)]
    lines: lines::Arguments,
    /// With -w: print a line for each packet as well.
    #[arg(long, requires = "write")]
    print: bool,
    /// Take only packets that the interface receives (in) or sends (out).
    #[arg(short = 'Q', long, value_enum, value_name = "WAY", default_value_t = Way::Inout)]
    direction: Way,
    /// Print the program of the expression, as `tcpdump -d` does, and stop: for the header that -y
    /// names, else for the interface or file, else for Ethernet. Twice: as a part of a C program;
    /// three times: as numbers.
    #[arg(short = 'd', long, action = clap::ArgAction::Count)]
    dump_filter: u8,
    /// List the interfaces that packets can be captured on, and stop. `ringtap interfaces` says
    /// more of them.
    #[arg(short = 'D', long)]
    list_interfaces: bool,
    /// List the link-layer headers that packets of the interface can be written with (-y), and
    /// stop.
    #[arg(short = 'L', long, requires = "interface")]
    list_data_link_types: bool,
}

/// The direction of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Way {
    In,
    Out,
    Inout,
}

impl Way {
    fn takes(self, packet: &Packet<'_>) -> bool {
        let is_sent = packet.meta().direction == Direction::Outgoing;
        match self {
            Self::In => !is_sent,
            Self::Out => is_sent,
            Self::Inout => true,
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let output = Output::stdout(arguments.input.is_line_buffered())?;
    if arguments.list_interfaces {
        interfaces::print_names(&output)?;
        return Ok(output.finish()?);
    }
    if arguments.list_data_link_types {
        link_types::list(&arguments.input, &output)?;
        return Ok(output.finish()?);
    }
    if arguments.dump_filter > 0 {
        let program = arguments.input.program(arguments.writing.asked())?;
        output.write(|w| dump(w, &program, arguments.dump_filter));
        return Ok(output.finish()?);
    }
    if arguments.direction != Way::Inout && !arguments.input.is_live() {
        input::wrong("--direction needs --interface: a file does not say which way packets went");
    }
    arguments.writing.check();
    let implied = arguments.choice.packet_filter();
    // The condition is about conversations, so their packets are looked for like theirs.
    let is_about = arguments.choice.is_given() || arguments.recording.is_triggered();
    let shows = if is_about { Shows::Conversations } else { Shows::Packets };
    let has_bar = !output.is_terminal() || arguments.count;
    let source = arguments.input.open_for(has_bar, shows, implied)?;
    let totals = arguments.totals.open()?;
    let (counters, mtus) = (source.counters(), source.mtu_reports());
    let result = match source {
        Source::Live(capture) => take(*capture, arguments, &output, mtus, totals),
        Source::Xdp(group) => take(*group, arguments, &output, mtus, totals),
        Source::Tap(tap) => take(*tap, arguments, &output, mtus, totals),
        Source::File(file) => take(*file, arguments, &output, mtus, totals),
    };
    report::print_forwarded(counters.as_ref());
    result
}

/// Takes packets to the end, the limit or the interrupt; of a wire with all that it had brought by
/// then.
fn take<S: Described>(
    mut source: S,
    arguments: &Arguments,
    output: &Output,
    mtus: Option<xdp::MtuReports>,
    totals: Option<Totals>,
) -> Result<(), Error> {
    if let Some(interrupter) = source.interrupter() {
        interrupt::wakes(interrupter);
    }
    let printer = arguments.lines.printer(arguments.input.clock(), arguments.writing.nanoseconds());
    let last = Timestamp::default();
    let looked = arguments.input.is_live().then(Instant::now);
    let records = arguments.recording.is_given();
    let counts = if records { Counts::silent() } else { Counts::new() };
    if looked.is_some() {
        counts.set_source(source.statistics().map_err(|error| failed(arguments, error))?);
    }
    let choosing = Choosing::new(&arguments.choosing, &arguments.choice, &arguments.input)?;
    let recorder = Recorder::new(&arguments.recording, &arguments.writing, &arguments.input)?;
    let mut run = Run {
        prints: false,
        arguments,
        output,
        printer,
        writer: None,
        recorder,
        choosing,
        dedup: arguments.dedup.map(Dedup::new),
        count: 0,
        counts,
        last,
        looked,
        warned: false,
        mtus,
        links: Links::default(),
    };
    // What came before the damage is still reported.
    let opened = if records { Ok(None) } else { arguments.writing.open(&arguments.input, &source) };
    let mut result = match opened {
        Ok(writer) => {
            run.writer = writer;
            let writes = records
                || run.writer.is_some()
                || run.choosing.as_ref().is_some_and(|choosing| choosing.writes());
            run.prints = !arguments.count && (!writes || arguments.print);
            let link_type = arguments.writing.link_type(&arguments.input, &source)?;
            let snapshot_length = arguments.input.snapshot_length();
            run.links = report::listening_with(&arguments.input, &link_type, snapshot_length);
            run.packets(&mut source)
        }
        Err(error) if interrupt::is_requested() || error.is_broken_pipe() => Err(error),
        Err(error) => return Err(error),
    };
    result = result.and(run.decide_all(&mut source));
    let statistics = source.statistics().map_err(|error| run.failed(error))?;
    if let Some(writer) = run.writer.take() {
        result = result.and(writer.finish(&statistics, source.interfaces()));
    }
    if let Some(recorder) = &mut run.recorder {
        result = result.and(recorder.finish((&arguments.writing, &arguments.input), &mut source));
    }
    if arguments.count {
        output.write(|w| writeln!(w, "{}", report::packets(run.count)));
    }
    result = result.and(output.finish().map_err(Error::from));
    if matches!(result, Err(Error::Interrupted)) {
        result = Ok(());
    }
    let has_enough = result.as_ref().is_err_and(Error::is_broken_pipe);
    if arguments.input.is_live() || interrupt::is_requested() || has_enough {
        report::print_packets(run.count, arguments.input.is_live().then_some(&statistics));
    }
    summary::print_lost(&statistics, arguments.input.is_live());
    if let Some(choosing) = &run.choosing {
        choosing.print();
    }
    if let Some(recorder) = &run.recorder {
        recorder.print();
    }
    let duplicates = run.dedup.as_ref().map(Dedup::statistics);
    if let Some(found) = duplicates {
        summary::print_duplicates(&found);
    }
    let selected = run.choosing.as_ref().map(|choosing| choosing.totals());
    let recorded = run.recorder.as_ref().map(|recorder| recorder.totals());
    let told = totals.map_or(Ok(()), |totals| {
        let duplicates = duplicates.map(|found| found.duplicates);
        totals.write_packets(run.count, &statistics, (selected, recorded), duplicates)
    });
    result.and(told)
}

/// A run of the command.
struct Run<'a> {
    arguments: &'a Arguments,
    output: &'a Output,
    printer: Printer,
    writer: Option<Writing>,
    /// `true` if each packet is printed.
    prints: bool,
    /// With `--keep-last`, instead of a writer.
    recorder: Option<Box<Recorder>>,
    /// With `--where` and the like.
    choosing: Option<Box<Choosing>>,
    dedup: Option<Dedup>,
    count: u64,
    /// The same for other threads.
    counts: Arc<Counts>,
    /// The time stamp of the packet before.
    last: Timestamp,
    /// The time at which the kernel's counts were read; `None` for a file.
    looked: Option<Instant>,
    /// `true` once drops were reported.
    warned: bool,
    mtus: Option<xdp::MtuReports>,
    links: Links,
}

/// The moment at which the end was requested.
#[derive(Clone, Copy)]
struct Stopped {
    since: Instant,
    at: Timestamp,
}

impl Run<'_> {
    fn packets<S: Described>(&mut self, source: &mut S) -> Result<(), Error> {
        let limit = self.arguments.limit.unwrap_or(u64::MAX);
        let (waits, live, held_back) =
            (!source.never_waits(), source.is_live(), source.held_back());
        let drain = if live { held_back + DRAIN } else { DRAIN_PIPE };
        let mut stopped: Option<Stopped> = None;
        let complete = |run: &Self| run.writer.as_ref().is_some_and(Writing::is_complete);
        while self.count < limit && !self.output.has_failed() && !complete(self) {
            // What changes of the interface is reported though no packet comes.
            let look = live.then_some(report::LOOK);
            let due = self.writer.as_ref().and_then(Writing::due);
            let due = due.or_else(|| self.recorder.as_ref()?.due());
            let mut timeout = due.into_iter().chain(look).min();
            if interrupt::is_requested() {
                let Stopped { since, at } = *stopped.get_or_insert_with(Stopped::now);
                let past = since.elapsed();
                if !waits || past > drain || (live && self.last > at) {
                    break;
                }
                let left = if live { 2 * held_back + LATE } else { drain };
                timeout = Some(left.saturating_sub(past));
            }
            let timeout = timeout.map_or(Timeout::Never, Timeout::After);
            match source.next_batch(timeout).map_err(|error| self.failed(error))? {
                Next::Batch(batch) => self.batch::<S>(&batch, limit)?,
                Next::TimedOut if stopped.is_some() => break,
                Next::TimedOut if live => self.pass_time(held_back, limit)?,
                Next::TimedOut | Next::Interrupted => {}
                _ => break,
            }
            self.batch_ended(source)?;
        }
        Ok(())
    }

    fn batch<S: Described>(&mut self, batch: &S::Batch<'_>, limit: u64) -> Result<(), Error> {
        if let Some(writer) = &mut self.writer {
            writer.describe(S::before(batch))?;
        }
        if let Some(choosing) = &mut self.choosing {
            choosing.describe(S::before(batch));
        }
        let way = self.arguments.direction;
        if let Some(dedup) = &mut self.dedup {
            let mut is_new = |packet: &Packet<'_>| !dedup.is_duplicate(packet);
            let packets: Vec<_> =
                batch.packets().filter(|packet| way.takes(packet) && is_new(packet)).collect();
            return self.take(packets.into_iter(), limit);
        }
        self.take(batch.packets().filter(|packet| way.takes(packet)), limit)
    }

    fn take<'p>(
        &mut self,
        mut packets: impl Iterator<Item = Packet<'p>>,
        limit: u64,
    ) -> Result<(), Error> {
        if self.arguments.recording.is_triggered() {
            let all: Vec<_> = packets.collect();
            if let Some(recorder) = &mut self.recorder {
                recorder.watch(&all);
            }
            return self.choose(all.into_iter(), limit);
        }
        self.choose(&mut packets, limit)
    }

    fn choose<'p>(
        &mut self,
        mut packets: impl Iterator<Item = Packet<'p>>,
        limit: u64,
    ) -> Result<(), Error> {
        if let Some(mut choosing) = self.choosing.take() {
            let packets: Vec<_> = packets.collect();
            self.last = packets.last().map_or(self.last, Packet::timestamp);
            let taken = choosing.take(&packets, |packet| self.chosen(packet, limit));
            self.choosing = Some(choosing);
            return taken.or_else(Stop::into_result);
        }
        packets.try_for_each(|packet| self.packet(&packet, limit)).or_else(Stop::into_result)
    }

    /// Writes and prints a packet, unless there were enough.
    fn packet(&mut self, packet: &Packet<'_>, limit: u64) -> Result<(), Stop> {
        if self.count >= limit {
            return Err(Stop::Enough);
        }
        if let Some(writer) = &mut self.writer
            && !writer.write(packet).map_err(Stop::Failed)?
        {
            return Err(Stop::Enough);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.keep(packet);
        }
        if self.prints {
            let (printer, width) = (&mut self.printer, self.output.width());
            self.output.write(|w| printer.print(w, width, packet));
        }
        self.count += 1;
        self.counts.set_captured(self.count);
        self.last = packet.timestamp();
        Ok(())
    }

    /// The same for a packet of a conversation that was chosen, which may be older than the latest
    /// one that was captured.
    fn chosen(&mut self, packet: &Packet<'_>, limit: u64) -> Result<(), Stop> {
        let last = self.last;
        let result = self.packet(packet, limit);
        self.last = last;
        result
    }

    /// Time passes for conversations though no packet comes.
    fn pass_time(&mut self, held_back: Duration, limit: u64) -> Result<(), Error> {
        let now = earlier(Timestamp::from_nanos(clock::wall()), held_back + LATE);
        if let Some(recorder) = &mut self.recorder {
            recorder.advance(now);
        }
        let Some(mut choosing) = self.choosing.take() else { return Ok(()) };
        let passed = choosing.advance(now, |packet| self.chosen(packet, limit));
        self.choosing = Some(choosing);
        passed.or_else(Stop::into_result)
    }

    /// The capture has ended: writes the packets that waited for the verdicts.
    fn decide_all<S: Described>(&mut self, source: &mut S) -> Result<(), Error> {
        let Some(mut choosing) = self.choosing.take() else { return Ok(()) };
        if let Some(writer) = &mut self.writer {
            writer.describe(source.interfaces())?;
        }
        let limit = self.arguments.limit.unwrap_or(u64::MAX);
        let finished = choosing.finish(|packet| self.chosen(packet, limit));
        self.choosing = Some(choosing);
        finished.or_else(Stop::into_result)
    }

    /// Hands over what is due, and what signals request.
    fn batch_ended<S: Described>(&mut self, source: &mut S) -> Result<(), Error> {
        let flush = interrupt::takes_flush();
        self.record(source, flush)?;
        match &mut self.writer {
            Some(writer) => {
                if writer.wants_statistics() {
                    let statistics = source.statistics();
                    let statistics = statistics.map_err(|source| failed(self.arguments, source))?;
                    writer.set_statistics(&statistics, source.interfaces());
                }
                writer.batch_ended(flush)?;
                if self.arguments.print && !source.never_waits() {
                    self.output.flush();
                }
            }
            None if flush || !source.never_waits() => self.output.flush(),
            None => {}
        }
        if self.looked.is_some_and(|looked| looked.elapsed() >= report::LOOK) {
            let statistics = source.statistics().map_err(|error| self.failed(error))?;
            if let Some(choosing) = &mut self.choosing {
                choosing.note_drops(statistics.drops, Timestamp::from_nanos(clock::wall()));
            }
            if let Some(recorder) = &mut self.recorder {
                recorder.note_drops(statistics.drops, Timestamp::from_nanos(clock::wall()));
            }
            self.counts.set_source(statistics);
            self.looked = Some(Instant::now());
            // Once is enough: the totals come at the end.
            if statistics.drops > 0 && !self.warned {
                report::dropped(statistics.drops, &self.arguments.input);
                self.warned = true;
            }
            report::raised_mtus(self.mtus.as_ref());
            self.links.look();
        }
        if self.recorder.is_none() && interrupt::takes_counts() {
            let statistics = source.statistics().map_err(|error| self.failed(error))?;
            report::print_counts(self.count, source.is_live().then_some(&statistics));
        }
        Ok(())
    }

    /// Writes what was kept, if there is a reason to.
    fn record<S: Described>(&mut self, source: &mut S, flush: bool) -> Result<(), Error> {
        let Some(recorder) = &mut self.recorder else { return Ok(()) };
        let wall = source.is_live().then(|| Timestamp::from_nanos(clock::wall()));
        if interrupt::takes_counts() {
            recorder.ask(wall);
        }
        // All packets from before are here.
        let late = source.held_back() + LATE;
        let certain = wall.map_or(Timestamp::default(), |wall| earlier(wall, late));
        let arguments = (&self.arguments.writing, &self.arguments.input);
        recorder.batch_ended(arguments, source, (certain, flush))
    }

    fn failed(&self, source: impl Into<Cause>) -> Error {
        failed(self.arguments, source)
    }
}

/// The reason for which no more packets are taken.
enum Stop {
    /// There are as many as were requested.
    Enough,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Stop {
    fn into_result(self) -> Result<(), Error> {
        match self {
            Self::Enough => Ok(()),
            Self::Failed(error) => Err(error),
        }
    }
}

impl Stopped {
    fn now() -> Self {
        Self { since: Instant::now(), at: Timestamp::from_nanos(clock::wall()) }
    }
}

/// A time before another one.
fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
    Timestamp::from_nanos(at.as_nanos().saturating_sub(by))
}

/// Prints a program for people, for C, or as numbers.
fn dump(w: &mut dyn Write, program: &Program, form: u8) -> io::Result<()> {
    let all = program.instructions();
    match form {
        1 => writeln!(w, "{program}"),
        2 => all.iter().try_for_each(|one| {
            writeln!(w, "{{ 0x{:x}, {}, {}, 0x{:08x} }},", one.code, one.jt, one.jf, one.k)
        }),
        _ => {
            writeln!(w, "{}", all.len())?;
            all.iter()
                .try_for_each(|one| writeln!(w, "{} {} {} {}", one.code, one.jt, one.jf, one.k))
        }
    }
}

fn failed(arguments: &Arguments, source: impl Into<Cause>) -> Error {
    Error::Source { name: arguments.input.name(), source: source.into() }
}
