//! `ringtap capture`: packets to a file, to the screen, or counted.

mod described;
mod summary;
mod writing;

use std::time::{Duration, Instant};

use ring_core::{Next, PacketBatch as _, Timeout, Timestamp};
use ring_sys::clock;

use self::described::Described;
use crate::Error;
use crate::input::{Input, Source};
use crate::interrupt;
use crate::output::Output;
use crate::report;

/// How long what came before an interrupt is taken at most, beyond the time for which the source may hold it back.
const DRAIN: Duration = Duration::from_secs(1);

/// Capture packets, as tcpdump does: print a line for each, write them to a file, or count them.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    writing: writing::Arguments,
    /// Stop after so many packets.
    #[arg(short = 'c', long = "packets", value_name = "COUNT")]
    limit: Option<u64>,
    /// Print only how many packets there are.
    #[arg(long, conflicts_with = "write")]
    count: bool,
    /// Print the filter's program for Ethernet, as `tcpdump -d` does, and stop.
    #[arg(short = 'd', long)]
    dump_filter: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let output = Output::stdout();
    if arguments.dump_filter {
        let filter = arguments.input.filter()?;
        let options = packet_filter::Options::socket();
        let program = filter.compile(packet_filter::LinkType::Ethernet, &options)?;
        output.write(|w| write!(w, "{program}"));
        return Ok(output.finish()?);
    }
    let source = arguments.input.open(!output.is_terminal() || arguments.count)?;
    let counters = source.counters();
    let result = match source {
        Source::Live(capture) => take(*capture, arguments, &output),
        Source::Xdp(group) => take(*group, arguments, &output),
        Source::Tap(tap) => take(*tap, arguments, &output),
        Source::File(file) => take(*file, arguments, &output),
    };
    report::print_forwarded(counters.as_ref());
    result
}

/// Takes packets to the end, the limit or the interrupt; of a wire with all that it had brought by then.
fn take<S: Described>(mut source: S, arguments: &Arguments, output: &Output) -> Result<(), Error> {
    if let Some(interrupter) = source.interrupter() {
        interrupt::interrupts(interrupter)?;
    }
    let failed = |source| Error::Source { name: arguments.input.name(), source };
    let mut writer = arguments.writing.open(&arguments.input, &source)?;
    let clock = arguments.input.clock();
    let limit = arguments.limit.unwrap_or(u64::MAX);
    let (live, held_back) = (source.is_live(), source.held_back());
    let mut stopped: Option<(Instant, Timestamp)> = None;
    let mut count = 0;
    let mut result = Ok(());
    while count < limit && !output.has_failed() {
        let timeout = stopped.map_or(Timeout::Never, |(since, _)| {
            Timeout::After(held_back.saturating_sub(since.elapsed()))
        });
        let batch = match source.next_batch(timeout) {
            Ok(Next::Batch(batch)) => batch,
            Ok(Next::Interrupted) if live && stopped.is_none() => {
                stopped = Some((Instant::now(), Timestamp::from_nanos(clock::wall())));
                continue;
            }
            Ok(Next::TimedOut) if stopped.is_none() => continue,
            Ok(_) => break,
            Err(error) => {
                // What came before the damage is still to be told.
                result = Err(failed(error));
                break;
            }
        };
        if let Some(writer) = &mut writer {
            writer.describe(S::before(&batch))?;
        }
        let mut last = Timestamp::default();
        for packet in batch.packets().take(usize::try_from(limit - count).unwrap_or(usize::MAX)) {
            count += 1;
            last = packet.timestamp();
            if let Some(writer) = &mut writer {
                writer.write(&packet)?;
            } else if !arguments.count {
                output.write(|w| summary::print(w, &clock, &packet));
            }
        }
        drop(batch);
        match &mut writer {
            Some(writer) => {
                if writer.wants_statistics() {
                    let statistics = source.statistics().map_err(failed)?;
                    writer.set_statistics(&statistics, source.interfaces());
                }
                writer.batch_ended()?;
            }
            None if arguments.input.is_live() => output.flush(),
            None => {}
        }
        let over = |(since, at): (Instant, _)| last > at || since.elapsed() > held_back + DRAIN;
        if stopped.is_some_and(over) {
            break;
        }
    }
    let statistics = source.statistics().map_err(failed)?;
    if let Some(writer) = writer {
        writer.finish(&statistics, source.interfaces())?;
    }
    if arguments.count {
        output.write(|w| writeln!(w, "{count} packet{}", if count == 1 { "" } else { "s" }));
    }
    output.finish()?;
    if arguments.input.is_live() {
        eprintln!("{count} packets captured");
        eprintln!("{} packets received by filter", statistics.packets);
        eprintln!("{} packets dropped by kernel", statistics.drops);
    }
    result
}
