//! `ringtap flows`: one record a flow.

mod collector;
mod form;
mod table;

use std::cell::RefCell;
use std::collections::HashMap;

use conversation::{FlowEvent, FlowNumber, FlowStream, FlowStreamBuilder, Statistics};
use flow::{FiveTuple, FiveTupleKey, FlowRecord};
use record::Flow;
use ring_core::PacketSource;

use crate::Error;
use crate::choice::Choice;
use crate::hosts::Hosts;
use crate::input::{Input, Keying};
use crate::limits::Limits;
use crate::output::Output;
use crate::running::{Running, with_flows};
use crate::summary::{Shown, totals};

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
    let implied = arguments.choice.packet_filter();
    let (mut running, source) = Running::open(&arguments.input, &arguments.hosts, implied)?;
    let totals = arguments.totals.open()?;
    let printer = arguments.form.printer(arguments.input.clock());
    let collector = arguments.collector.open(&arguments.input)?;
    let mut sinks = Sinks { printer, collector, count: 0 };
    let key = arguments.keying.extractor();
    let stream = with_flows!(source, key, stream => events(stream, arguments));
    let handle = stream.handle();
    running.watch(&handle);
    let result = running.runtime.block_on(print(stream, &mut sinks, &running.output));
    let statistics = running.settle(&handle);
    let exported = sinks.finish(&running.output, &statistics);
    let written = running.finish();
    running.summarize(&written, &statistics, Shown::Flows, &arguments.limits);
    let counted = totals.map_or(Ok(()), |totals| totals.write(&statistics));
    written?;
    exported?;
    counted?;
    running.failed(result)
}

/// Starts the engine.
fn events<S>(
    stream: FlowStreamBuilder<S, FiveTuple>,
    arguments: &Arguments,
) -> FlowStream<FiveTupleKey>
where
    S: PacketSource + Send + Unpin + 'static,
{
    let stream = stream.table(|table| arguments.hosts.apply(table));
    arguments.choice.apply(arguments.limits.apply(stream)).anomalies(true).events()
}

/// The places that records are written to.
struct Sinks {
    printer: form::Printer,
    collector: Option<collector::Collector>,
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

/// Prints each flow when it ends.
async fn print(
    stream: FlowStream<FiveTupleKey>,
    sinks: &mut Sinks,
    output: &Output,
) -> Result<(), conversation::Error> {
    sinks.begin(output);
    let sinks = RefCell::new(sinks);
    // Of flows that go on and have any.
    let mut conflicts: HashMap<FlowNumber, u64> = HashMap::new();
    let event = |_: &mut _, event| match event {
        FlowEvent::Conflict { id, .. } => *conflicts.entry(id).or_default() += 1,
        FlowEvent::Ended { id, record, .. } => {
            let conflicts = conflicts.remove(&id).unwrap_or(0);
            sinks.borrow_mut().flow(&record, conflicts, output);
        }
        _ => {}
    };
    let has_failed = || sinks.borrow().have_failed();
    Running::drive(output, stream, has_failed, event, || sinks.borrow_mut().flush()).await
}
