//! `ringtap messages`: one line for each request with its response.

mod json;
mod line;

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use clap::ValueEnum;
use conversation::{
    FlowNumber, FlowStreamBuilder, FlowStreamExt as _, Handle, MessageEvent, Statistics,
};
use flow::{Endpoint, FiveTuple, FiveTupleKey, Orientation, Scope};
use futures_util::StreamExt as _;
use protocol::{Protocol, Registry};
use ring_core::{PacketSource, xdp};

use self::line::Lines;
use crate::Error;
use crate::hosts::Hosts;
use crate::input::{Input, Keying, Source};
use crate::interrupt;
use crate::limits::Limits;
use crate::output::Output;
use crate::report::{self, Links};
use crate::selection::Shows;
use crate::summary::{self, Shown, totals};

/// Show requests and their responses, one line each as they complete.
///
/// The protocol of a conversation is recognized by its bytes, on any port. Columns: time of the
/// first byte, client and server, method, status, time from the request's last byte to the
/// response's first, length of both bodies, host and target; behind it, in brackets, anything
/// unusual. `-` stands for what was not captured or did not come. A line is also printed where
/// bytes are missing and a parser lost its place.
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
    /// Show messages of these protocols only, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = known)]
    proto: Vec<Protocol>,
    /// Show messages in this form.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One aligned line for each message.
    Text,
    /// One JSON object for each message.
    Json,
}

/// A conversation that goes on.
#[derive(Clone, Copy, Debug)]
struct Talk {
    /// Counted from 1, in the order in which they began.
    number: u64,
    initiator: Endpoint,
    responder: Endpoint,
    /// The VLANs and tunnels around it.
    scope: Scope,
}

/// The state of the interfaces that is watched while packets are captured.
struct Watched {
    links: Links,
    mtus: Option<xdp::MtuReports>,
}

/// Parses the name of a protocol.
fn known(name: &str) -> Result<Protocol, String> {
    let registry = Registry::default();
    let streams = registry.streams().iter().map(|known| known.protocol());
    let names = streams.chain(registry.datagrams().iter().map(|known| known.protocol()));
    let mut names: Vec<Protocol> = names.collect();
    names.sort_unstable();
    names.dedup();
    names.iter().copied().find(|known| known.name() == name).ok_or_else(|| {
        let names: Vec<_> = names.iter().map(|name| name.name()).collect();
        format!("no such protocol; there are: {}", names.join(", "))
    })
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
    let live = arguments.input.is_live();
    let (result, statistics) = match source {
        Source::Live(capture) => {
            runtime.block_on(print(capture.flow_stream(key), arguments, &output, watched))
        }
        Source::Xdp(group) => {
            runtime.block_on(print(group.flow_stream(key), arguments, &output, watched))
        }
        Source::Tap(tap) => {
            runtime.block_on(print(tap.flow_stream(key), arguments, &output, watched))
        }
        Source::File(file) => {
            runtime.block_on(print(file.flow_stream(key), arguments, &output, watched))
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

async fn print<S>(
    stream: FlowStreamBuilder<S, FiveTuple>,
    arguments: &Arguments,
    output: &Output,
    interfaces: Watched,
) -> (Result<(), conversation::Error>, Statistics)
where
    S: PacketSource + Send + Unpin + 'static,
{
    let mut registry = Registry::default();
    if !arguments.proto.is_empty() {
        registry.retain(|protocol| arguments.proto.contains(&protocol));
    }
    let stream = stream.table(|table| arguments.hosts.apply(table));
    let mut stream = arguments.limits.apply(stream).messages(Arc::new(registry));
    watch(stream.handle(), &arguments.input, interfaces);
    let mut lines = Lines::new(arguments.input.clock());
    let mut result = Ok(());
    let mut count = 0;
    let mut open: HashMap<FlowNumber, Talk> = HashMap::new();
    poll_fn(|cx| {
        while !interrupt::is_over() && !output.has_failed() {
            match stream.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(event))) => match event {
                    MessageEvent::Started { id, key, initiator, .. } => {
                        count += 1;
                        open.insert(id, Talk::new(count, key, initiator));
                    }
                    MessageEvent::Message { id, message, timestamp, .. } => {
                        if let Some(talk) = open.get(&id) {
                            let width = output.width();
                            output.write(|w| match arguments.output {
                                Format::Text => lines.print(w, width, talk, &message, timestamp),
                                Format::Json => json::print(w, talk, &message, timestamp),
                            });
                        }
                    }
                    MessageEvent::Ended { id, .. } => {
                        open.remove(&id);
                    }
                    _ => {}
                },
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

impl Talk {
    fn new(number: u64, key: FiveTupleKey, orientation: Orientation) -> Self {
        let FiveTupleKey { a, b, scope, .. } = key;
        let (initiator, responder) = match orientation {
            Orientation::Forward => (a, b),
            Orientation::Reverse => (b, a),
        };
        Self { number, initiator, responder, scope }
    }

    /// The side that sends questions, and the other.
    fn ends(&self, asking: protocol::Side) -> [Endpoint; 2] {
        match asking {
            protocol::Side::Initiator => [self.initiator, self.responder],
            protocol::Side::Responder => [self.responder, self.initiator],
        }
    }
}
