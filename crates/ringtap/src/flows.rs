//! `ringtap flows`: one line a flow.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io::{self, Write};
use std::task::Poll;

use conversation::{
    FlowEvent, FlowNumber, FlowStreamBuilder, FlowStreamExt as _, Handle, Statistics,
};
use flow::{FiveTuple, FiveTupleKey, FlowRecord, Orientation, SideCounters, protocol};
use futures_util::StreamExt as _;
use ring_core::{PacketSource, xdp};
use serde::Serialize;

use crate::Error;
use crate::hosts::Hosts;
use crate::input::{Input, Keying, Source};
use crate::interrupt;
use crate::limits::Limits;
use crate::names;
use crate::output::Output;
use crate::report::{self, Links};
use crate::selection::Shows;
use crate::summary::{self, Shown, totals};
use crate::text::clock::Clock;

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
    totals: totals::TotalsFile,
    /// Print one JSON object for each flow. Times are strings, with all nanoseconds.
    #[arg(long)]
    json: bool,
}

/// The form in which a flow is shown.
enum Style {
    Json,
    /// A line, with times by this clock.
    Line(Clock),
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
    let source = arguments.input.open(!output.is_terminal(), Shows::Conversations)?;
    let totals = arguments.totals.open()?;
    let (counters, mtus) = (source.counters(), source.mtu_reports());
    let watched = Watched { links: report::listening(&arguments.input), mtus };
    let style = if arguments.json { Style::Json } else { Style::Line(arguments.input.clock()) };
    let live = arguments.input.is_live();
    let (result, statistics) = match source {
        Source::Live(capture) => {
            runtime.block_on(print(capture.flow_stream(key), arguments, &style, &output, watched))
        }
        Source::Xdp(group) => {
            runtime.block_on(print(group.flow_stream(key), arguments, &style, &output, watched))
        }
        Source::Tap(tap) => {
            runtime.block_on(print(tap.flow_stream(key), arguments, &style, &output, watched))
        }
        Source::File(file) => {
            runtime.block_on(print(file.flow_stream(key), arguments, &style, &output, watched))
        }
    };
    let written = output.finish().map_err(Error::from);
    let has_enough = written.as_ref().is_err_and(Error::is_broken_pipe);
    if live || interrupt::is_requested() || has_enough {
        report::print(&statistics, live);
        report::print_forwarded(counters.as_ref());
    }
    summary::print(&statistics, Shown::Flows, &arguments.limits, live);
    let counted = totals.map_or(Ok(()), |totals| totals.write(&statistics));
    written?;
    counted?;
    result.map_err(|source| Error::Follow { name, source })
}

/// The state of the interfaces that is watched while packets are captured.
struct Watched {
    links: Links,
    mtus: Option<xdp::MtuReports>,
}

async fn print<S>(
    stream: FlowStreamBuilder<S, FiveTuple>,
    arguments: &Arguments,
    style: &Style,
    output: &Output,
    interfaces: Watched,
) -> (Result<(), conversation::Error>, Statistics)
where
    S: PacketSource + Send + Unpin + 'static,
{
    let stream = stream.table(|table| arguments.hosts.apply(table));
    let mut stream = arguments.limits.apply(stream).anomalies(true).events();
    watch(stream.handle(), &arguments.input, interfaces);
    let mut result = Ok(());
    // Of flows that go on and have any.
    let mut conflicts: HashMap<FlowNumber, u64> = HashMap::new();
    poll_fn(|cx| {
        while !interrupt::is_over() && !output.has_failed() {
            match stream.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(FlowEvent::Conflict { id, .. }))) => {
                    *conflicts.entry(id).or_default() += 1;
                }
                Poll::Ready(Some(Ok(FlowEvent::Ended { id, record, .. }))) => {
                    let conflicts = conflicts.remove(&id).unwrap_or(0);
                    output.write(|w| match style {
                        Style::Json => print_json(w, &record, conflicts),
                        Style::Line(clock) => print_line(w, clock, &record, conflicts),
                    });
                }
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => result = Err(error),
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        if interrupt::is_over() || output.has_failed() {
            return Poll::Ready(());
        }
        output.flush();
        Poll::Pending
    })
    .await;
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

/// A flow as JSON.
#[derive(Debug, Serialize)]
struct Line<'a> {
    /// Seconds since 1970 with nine decimals: a string, since a JSON number loses nanoseconds in
    /// most programs.
    start: String,
    duration: f64,
    protocol: u8,
    initiator: String,
    responder: String,
    /// The VLANs and tunnels around the flow, from the outside in.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// Those of each direction, if they differ; `""` for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    initiator_scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    responder_scope: Option<String>,
    initiator_packets: u64,
    initiator_bytes: u64,
    responder_packets: u64,
    responder_bytes: u64,
    missing_bytes: u64,
    unplaced_bytes: u64,
    conflicts: u64,
    /// The beginning was not captured.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    midway: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    handshake_rtt: Option<f64>,
    end: &'static str,
    history: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    community_id: Option<String>,
}

fn print_json(
    w: &mut dyn Write,
    record: &FlowRecord<FiveTupleKey>,
    conflicts: u64,
) -> io::Result<()> {
    let (initiator, responder) = endpoints(record);
    let (initiator_scope, responder_scope) = names::joined(record);
    let line = Line {
        start: record.started.to_string(),
        duration: record.ended.saturating_duration_since(record.started).as_secs_f64(),
        protocol: record.key.protocol,
        initiator,
        responder,
        scope: names::scope(record.key.scope),
        initiator_scope,
        responder_scope,
        initiator_packets: record.initiator.packets,
        initiator_bytes: bytes(record, &record.initiator),
        responder_packets: record.responder.packets,
        responder_bytes: bytes(record, &record.responder),
        missing_bytes: missing(record),
        unplaced_bytes: unplaced(record),
        conflicts,
        midway: is_midway(record),
        handshake_rtt: record.handshake_rtt.map(|rtt| rtt.as_secs_f64()),
        end: names::end(record.reason),
        history: &record.history,
        community_id: record.community_id(0).map(|id| id.to_string()),
    };
    serde_json::to_writer(&mut *w, &line)?;
    w.write_all(b"\n")
}

fn print_line(
    w: &mut dyn Write,
    clock: &Clock,
    record: &FlowRecord<FiveTupleKey>,
    conflicts: u64,
) -> io::Result<()> {
    let (initiator, responder) = endpoints(record);
    let duration = record.ended.saturating_duration_since(record.started).as_secs_f64();
    let side =
        |counters: &SideCounters| format!("{}/{}", counters.packets, bytes(record, counters));
    write!(
        w,
        "{} {duration:.6} {} {initiator} > {responder}{} {} {} {} {} {}",
        clock.at(record.started).word(),
        names::protocol(record.key.protocol),
        names::Within(record.key.scope),
        side(&record.initiator),
        side(&record.responder),
        missing(record),
        names::end(record.reason),
        if record.history.is_empty() { "-" } else { &record.history },
    )?;
    if is_midway(record) {
        write!(w, " midway")?;
    }
    for (count, what) in [(unplaced(record), "unplaced"), (conflicts, "conflicts")] {
        if count > 0 {
            write!(w, " {what}={count}")?;
        }
    }
    writeln!(w)
}

fn endpoints(record: &FlowRecord<FiveTupleKey>) -> (String, String) {
    let (a, b) = (record.key.a.to_string(), record.key.b.to_string());
    if record.initiator_orientation == Orientation::Forward { (a, b) } else { (b, a) }
}

/// Bytes of a side's stream that were captured, each counted once, as `ringtap follow` counts them;
/// of a flow that is not TCP, the payload of all its packets.
fn bytes(record: &FlowRecord<FiveTupleKey>, side: &SideCounters) -> u64 {
    if record.key.protocol == protocol::TCP { side.delivered_bytes } else { side.payload_bytes }
}

/// `true` if neither the SYN of a connection nor the answer to it was captured.
fn is_midway(record: &FlowRecord<FiveTupleKey>) -> bool {
    record.key.protocol == protocol::TCP && !record.history.contains(['S', 's', 'H', 'h'])
}

fn unplaced(record: &FlowRecord<FiveTupleKey>) -> u64 {
    record.initiator.unplaced_bytes + record.responder.unplaced_bytes
}

fn missing(record: &FlowRecord<FiveTupleKey>) -> u64 {
    record.initiator.gap_bytes + record.responder.gap_bytes
}
