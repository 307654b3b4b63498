//! `ringtap flows`: one record a flow.

mod collector;
mod form;
mod table;

use std::collections::HashMap;
use std::future::poll_fn;
use std::task::Poll;

use conversation::{
    FlowEvent, FlowNumber, FlowStreamBuilder, FlowStreamExt as _, Handle, Statistics,
};
use flow::{FiveTuple, FiveTupleKey, FlowRecord};
use futures_util::StreamExt as _;
use record::Flow;
use ring_core::{LinkType, PacketSource, xdp};

use crate::Error;
use crate::choice::Choice;
use crate::hosts::Hosts;
use crate::input::{Input, Keying, Source};
use crate::interrupt;
use crate::limits::Limits;
use crate::output::Output;
use crate::report::{self, Links};
use crate::selection::Shows;
use crate::summary::{self, Shown, totals};

/// Show every flow of an interface or a capture file, one line each, when it ends.
///
/// Columns: start, duration in seconds, protocol, initiator and responder, VLANs and tunnels if
/// there are any, packets/bytes of each side, bytes missing, how the flow ended, and its history
/// (upper case for the initiator: S SYN, H SYN-ACK, A acknowledgement, D data, F FIN, R reset, T
/// retransmission, G gap); behind it, if there are any, `unplaced=` bytes that were seen but have
/// no place in a stream, and `conflicts=` places of which packets brought different bytes. The
/// bytes are those of the TCP stream, each counted once, as `ringtap follow` shows them; of other
/// flows, the payload of all packets.
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
    #[command(flatten)]
    form: form::Arguments,
    #[command(flatten)]
    collector: collector::Arguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    arguments.hosts.check();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let name = arguments.input.name();
    let output = Output::stdout(arguments.input.is_line_buffered())?;
    let key = arguments.keying.extractor();
    let source = arguments.input.open_for(
        !output.is_terminal(),
        Shows::Conversations,
        arguments.choice.packet_filter(),
    )?;
    let totals = arguments.totals.open()?;
    let (counters, mtus) = (source.counters(), source.mtu_reports());
    let watched = Watched { links: report::listening(&arguments.input), mtus };
    let live = arguments.input.is_live();
    let printer = arguments.form.printer(arguments.input.clock());
    let collector = arguments.collector.open()?;
    let mut sinks = Sinks { printer, collector, link_header: link_header(&source), count: 0 };
    let (result, statistics) = match source {
        Source::Live(capture) => runtime.block_on(print(
            capture.flow_stream(key),
            arguments,
            &mut sinks,
            &output,
            watched,
        )),
        Source::Xdp(group) => {
            runtime.block_on(print(group.flow_stream(key), arguments, &mut sinks, &output, watched))
        }
        Source::Tap(tap) => {
            runtime.block_on(print(tap.flow_stream(key), arguments, &mut sinks, &output, watched))
        }
        Source::File(file) => {
            runtime.block_on(print(file.flow_stream(key), arguments, &mut sinks, &output, watched))
        }
    };
    let exported = sinks.finish(&output, &statistics);
    let written = output.finish().map_err(Error::from);
    let has_enough = written.as_ref().is_err_and(Error::is_broken_pipe);
    if live || interrupt::is_requested() || has_enough {
        report::print(&statistics, live);
        report::print_forwarded(counters.as_ref());
    }
    summary::print(&statistics, Shown::Flows, &arguments.limits, live);
    let counted = totals.map_or(Ok(()), |totals| totals.write(&statistics));
    written?;
    exported?;
    counted?;
    result.map_err(|source| Error::Follow { name, source })
}

/// The places that records are written to.
struct Sinks {
    printer: form::Printer,
    collector: Option<collector::Collector>,
    link_header: Option<u16>,
    /// Records so far.
    count: u64,
}

impl Sinks {
    /// Prints what precedes all records.
    fn begin(&mut self, output: &Output) {
        output.write(|w| self.printer.begin(w));
    }

    fn flow(&mut self, record: &FlowRecord<FiveTupleKey>, conflicts: u64, output: &Output) {
        let mut flow = Flow::from(record);
        flow.conflicts = conflicts;
        flow.link_header = self.link_header;
        flow.number = Some(self.count);
        self.count += 1;
        output.write(|w| self.printer.print(w, record, &flow));
        if let Some(collector) = &mut self.collector {
            collector.export(&flow);
        }
    }

    /// Sends what is complete.
    fn flush(&mut self) {
        if let Some(collector) = &mut self.collector {
            collector.flush();
        }
    }

    fn have_failed(&self) -> bool {
        self.collector.as_ref().is_some_and(collector::Collector::has_failed)
    }

    fn finish(&mut self, output: &Output, statistics: &Statistics) -> Result<(), Error> {
        output.write(|w| self.printer.end(w));
        self.collector.take().map_or(Ok(()), |collector| collector.finish(statistics))
    }
}

/// The length of the link-layer header, if it is the same in all packets.
fn link_header(source: &Source) -> Option<u16> {
    let link_type = match source {
        Source::Live(capture) => capture.link_type(),
        Source::Xdp(group) => group.link_type(),
        Source::Tap(tap) => tap.link_type(),
        Source::File(file) => file.link_type(),
    };
    Some(match link_type? {
        LinkType::ETHERNET => 14,
        LinkType::LINUX_SLL => 16,
        LinkType::LINUX_SLL2 => 20,
        LinkType::NULL | LinkType::LOOP => 4,
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => 0,
        _ => return None,
    })
}

/// The state of the interfaces that is watched while packets are captured.
struct Watched {
    links: Links,
    mtus: Option<xdp::MtuReports>,
}

async fn print<S>(
    stream: FlowStreamBuilder<S, FiveTuple>,
    arguments: &Arguments,
    sinks: &mut Sinks,
    output: &Output,
    interfaces: Watched,
) -> (Result<(), conversation::Error>, Statistics)
where
    S: PacketSource + Send + Unpin + 'static,
{
    let stream = stream.table(|table| arguments.hosts.apply(table));
    let stream = arguments.choice.apply(arguments.limits.apply(stream));
    let mut stream = stream.anomalies(true).events();
    watch(stream.handle(), &arguments.input, interfaces);
    sinks.begin(output);
    let (mut result, mut ended) = (Ok(()), false);
    // Of flows that go on and have any.
    let mut conflicts: HashMap<FlowNumber, u64> = HashMap::new();
    poll_fn(|cx| {
        while !interrupt::is_over() && !output.has_failed() && !sinks.have_failed() {
            match stream.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(FlowEvent::Conflict { id, .. }))) => {
                    *conflicts.entry(id).or_default() += 1;
                }
                Poll::Ready(Some(Ok(FlowEvent::Ended { id, record, .. }))) => {
                    let conflicts = conflicts.remove(&id).unwrap_or(0);
                    sinks.flow(&record, conflicts, output);
                }
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => result = Err(error),
                Poll::Ready(None) => {
                    ended = true;
                    return Poll::Ready(());
                }
                Poll::Pending => break,
            }
        }
        if interrupt::is_over() || output.has_failed() || sinks.have_failed() {
            return Poll::Ready(());
        }
        sinks.flush();
        output.flush();
        Poll::Pending
    })
    .await;
    if interrupt::is_over() && !ended {
        output.give_up();
    }
    let handle = stream.handle();
    drop(stream);
    report::settle(&handle).await;
    (result, handle.statistics())
}

/// Has signals end the engine or print its counts.
fn watch(handle: Handle, input: &Input, Watched { links, mtus }: Watched) {
    let ended = handle.clone();
    interrupt::ends(move || ended.shutdown());
    report::watch_source(handle.clone(), input, links, mtus);
    report::print_counts_of(handle, input.is_live());
}
