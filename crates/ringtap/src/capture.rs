//! `ringtap capture`: packets to a file, to the screen, or counted.

mod described;
mod line;
mod writing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ring_core::{Next, PacketBatch as _, Timeout, Timestamp, XdpMtuReports};
use ring_sys::clock;

use self::described::Described;
use self::writing::Writing;
use crate::Error;
use crate::input::{Input, Source};
use crate::interrupt;
use crate::output::Output;
use crate::report::{self, Counts, Links};
use crate::selection::Shows;
use crate::summary;
use crate::summary::totals::{self, Totals};
use crate::text::clock::Clock;

/// The limit for taking what came before an interrupt, beyond the time for which the source may hold it back.
const DRAIN: Duration = Duration::from_secs(1);
/// How much later than it should a busy kernel hands over a block that is not full.
const LATE: Duration = Duration::from_millis(100);
/// The limit for taking what lies in a pipe: its writer may have got the same Ctrl-C, and flushes now.
const DRAIN_PIPE: Duration = Duration::from_millis(200);

/// Capture packets, as tcpdump does: print a line for each, write them to a file, or count them.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    writing: writing::Arguments,
    #[command(flatten)]
    totals: totals::TotalsFile,
    /// Stop after so many packets.
    #[arg(short = 'c', long = "packets", value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Print only how many packets there are.
    #[arg(long, conflicts_with = "write")]
    count: bool,
    /// Print the program of the expression, as `tcpdump -d` does, and stop: that for the interface or the file, or if
    /// there is neither, for Ethernet.
    #[arg(short = 'd', long)]
    dump_filter: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let output = Output::stdout()?;
    if arguments.dump_filter {
        let program = arguments.input.program()?;
        output.write(|w| writeln!(w, "{program}"));
        return Ok(output.finish()?);
    }
    let totals = arguments.totals.open()?;
    let source = arguments.input.open(!output.is_terminal() || arguments.count, Shows::Packets)?;
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

/// Takes packets to the end, the limit or the interrupt; of a wire with all that it had brought by then.
fn take<S: Described>(
    mut source: S,
    arguments: &Arguments,
    output: &Output,
    mtus: Option<XdpMtuReports>,
    totals: Option<Totals>,
) -> Result<(), Error> {
    if let Some(interrupter) = source.interrupter() {
        interrupt::wakes(interrupter);
    }
    let clock = arguments.input.clock();
    let last = Timestamp::default();
    let looked = arguments.input.is_live().then(Instant::now);
    let counts = Counts::new();
    if looked.is_some() {
        counts.set_source(source.statistics().map_err(|error| failed(arguments, error))?);
    }
    let mut run = Run {
        arguments,
        output,
        clock,
        writer: None,
        count: 0,
        counts,
        last,
        looked,
        warned: false,
        mtus,
        links: Links::default(),
    };
    // What came before the damage is still reported.
    let mut result = match arguments.writing.open(&arguments.input, &source) {
        Ok(writer) => {
            run.writer = writer;
            run.links = report::listening(&arguments.input);
            run.packets(&mut source)
        }
        Err(error) if interrupt::is_requested() || error.is_broken_pipe() => Err(error),
        Err(error) => return Err(error),
    };
    let statistics = source.statistics().map_err(|error| run.failed(error))?;
    if let Some(writer) = run.writer.take() {
        result = result.and(writer.finish(&statistics, source.interfaces()));
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
    let told = totals.map_or(Ok(()), |totals| totals.write_packets(run.count, &statistics));
    result.and(told)
}

/// A run of the command.
struct Run<'a> {
    arguments: &'a Arguments,
    output: &'a Output,
    /// How times are printed.
    clock: Clock,
    writer: Option<Writing>,
    count: u64,
    /// The same for other threads.
    counts: Arc<Counts>,
    /// The time stamp of the packet before.
    last: Timestamp,
    /// When the kernel was asked for its counts; `None` for a file.
    looked: Option<Instant>,
    /// `true` once drops were reported.
    warned: bool,
    mtus: Option<XdpMtuReports>,
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
        let most = usize::try_from(limit - self.count).unwrap_or(usize::MAX);
        for packet in batch.packets().take(most) {
            match &mut self.writer {
                Some(writer) => {
                    if !writer.write(&packet)? {
                        break;
                    }
                }
                None if self.arguments.count => {}
                None => self.output.write(|w| line::print(w, &self.clock, &packet)),
            }
            self.count += 1;
            self.counts.set_captured(self.count);
            self.last = packet.timestamp();
        }
        Ok(())
    }

    /// Hands over what is due, and what signals request.
    fn batch_ended<S: Described>(&mut self, source: &mut S) -> Result<(), Error> {
        let flush = interrupt::takes_flush();
        match &mut self.writer {
            Some(writer) => {
                if writer.wants_statistics() {
                    let statistics = source.statistics();
                    let statistics = statistics.map_err(|source| failed(self.arguments, source))?;
                    writer.set_statistics(&statistics, source.interfaces());
                }
                writer.batch_ended(flush)?;
            }
            None if flush || !source.never_waits() => self.output.flush(),
            None => {}
        }
        if self.looked.is_some_and(|looked| looked.elapsed() >= report::LOOK) {
            let statistics = source.statistics().map_err(|error| self.failed(error))?;
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
        if interrupt::takes_counts() {
            let statistics = source.statistics().map_err(|error| self.failed(error))?;
            report::print_counts(self.count, source.is_live().then_some(&statistics));
        }
        Ok(())
    }

    fn failed(&self, source: ring_core::Error) -> Error {
        failed(self.arguments, source)
    }
}

impl Stopped {
    fn now() -> Self {
        Self { since: Instant::now(), at: Timestamp::from_nanos(clock::wall()) }
    }
}

fn failed(arguments: &Arguments, source: ring_core::Error) -> Error {
    Error::Source { name: arguments.input.name(), source }
}
