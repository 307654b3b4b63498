//! `ringtap messages`: one line for each request with its response.

mod har;
mod json;
mod line;
mod objects;

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use conversation::{FlowNumber, FlowStreamBuilder, MessageEvent, Messages};
use flow::{Endpoint, FiveTuple, FiveTupleKey, Orientation, Scope};
use protocol::{Message, Protocol, Registry};
use ring_core::PacketSource;

use self::har::Har;
use self::line::Lines;
use self::objects::Objects;
use crate::Error;
use crate::choice::Choice;
use crate::hosts::Hosts;
use crate::input::{Input, Keying};
use crate::limits::Limits;
use crate::output::Output;
use crate::running::{Running, with_flows};
use crate::summary::{Shown, totals};

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
    choice: Choice,
    #[command(flatten)]
    totals: totals::TotalsFile,
    /// Show messages of these protocols only, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = known)]
    proto: Vec<Protocol>,
    /// Show messages in this form.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
    /// Write the bodies of messages into files of this folder, without their content codings (gzip,
    /// deflate, br, zstd), and describe each in a line of `index.jsonl`: file, name, type, length,
    /// SHA-256, and what is missing. What was not captured is a hole that reads as zeros.
    #[arg(long, value_name = "DIR")]
    objects: Option<PathBuf>,
    /// With --objects: remove the files that an earlier run left in the folder.
    #[arg(long, requires = "objects")]
    overwrite: bool,
    /// Print no messages. The counts at the end are printed, and files are written.
    #[arg(short, long, conflicts_with = "output")]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One aligned line for each message.
    Text,
    /// One JSON object for each message.
    Json,
    /// One archive (HAR 1.2) of all requests of HTTP with their responses. Bodies are not in it.
    Har,
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
    let implied = arguments.choice.packet_filter();
    let (mut running, source) = Running::open(&arguments.input, &arguments.hosts, implied)?;
    let objects = arguments.objects.as_deref();
    let mut objects = objects.map(|path| Objects::create(path, arguments.overwrite)).transpose()?;
    let totals = arguments.totals.open()?;
    let key = arguments.keying.extractor();
    let stream = with_flows!(source, key, stream => messages(stream, arguments));
    let handle = stream.handle();
    running.watch(&handle);
    let result =
        running.runtime.block_on(print(stream, arguments, &running.output, objects.as_mut()));
    let statistics = running.settle(&handle);
    let written = running.finish();
    running.summarize(&written, &statistics, Shown::Messages, &arguments.limits);
    let counted = totals.map_or(Ok(()), |totals| totals.write(&statistics));
    written?;
    counted?;
    running.failed(result)?;
    objects.map_or(Ok(()), Objects::finish)
}

/// Starts the engine.
fn messages<S>(
    stream: FlowStreamBuilder<S, FiveTuple>,
    arguments: &Arguments,
) -> Messages<FiveTupleKey>
where
    S: PacketSource + Send + Unpin + 'static,
{
    let mut registry = Registry::default();
    if !arguments.proto.is_empty() {
        let wants = |protocol| arguments.proto.contains(&protocol);
        // TLS may begin within another protocol, whose own messages are not shown then. Messages of
        // HTTP/2 are of HTTP.
        registry.retain(|protocol| {
            wants(protocol)
                || wants(Protocol::TLS) && protocol.starts_tls()
                || wants(Protocol::HTTP) && protocol == Protocol::HTTP2
        });
    }
    let stream = stream.table(|table| arguments.hosts.apply(table).header_fields(false));
    let stream = arguments.choice.apply(arguments.limits.apply(stream));
    if arguments.objects.is_some() || arguments.output == Format::Har {
        stream.messages_with_bodies(Arc::new(registry))
    } else {
        stream.messages(Arc::new(registry))
    }
}

/// Prints each message when it is complete.
async fn print(
    stream: Messages<FiveTupleKey>,
    arguments: &Arguments,
    output: &Output,
    objects: Option<&mut Objects>,
) -> Result<(), conversation::Error> {
    let mut lines = Lines::new(arguments.input.clock());
    let mut count = 0;
    let objects = RefCell::new(objects);
    let mut har = (arguments.output == Format::Har).then(Har::default);
    if har.is_some() {
        output.write(|w| Har::begin(w));
    }
    let mut open: HashMap<FlowNumber, Talk> = HashMap::new();
    let event = |_: &mut _, event: MessageEvent<Message>| match event {
        MessageEvent::Started { id, key, initiator, .. } => {
            count += 1;
            open.insert(id, Talk::new(count, key, initiator));
        }
        MessageEvent::Message { id, message, timestamp, .. } => {
            let Some(talk) = open.get(&id) else { return };
            if arguments.quiet || !arguments.shows(message.protocol()) {
                return;
            }
            let width = output.width();
            output.write(|w| match arguments.output {
                Format::Text => lines.print(w, width, talk, &message, timestamp),
                Format::Json => json::print(w, talk, &message, timestamp),
                Format::Har => {
                    har.as_mut().map_or(Ok(()), |har| har.print(w, id, talk, &message, timestamp))
                }
            });
        }
        MessageEvent::Ended { id, .. } => {
            open.remove(&id);
            if let Some(har) = &mut har {
                har.ended(id);
            }
            if let Some(objects) = &mut *objects.borrow_mut() {
                objects.ended(id);
            }
        }
        MessageEvent::Body { id, side, number, part, timestamp, .. } => {
            if let Some(har) = &mut har {
                har.part(id, side, number, part.clone());
            }
            if let (Some(objects), Some(talk)) = (&mut *objects.borrow_mut(), open.get(&id)) {
                objects.part(talk, (id, side, number), part, timestamp);
            }
        }
        MessageEvent::Lagged { .. } => {
            if let Some(har) = &mut har {
                har.lagged();
            }
            if let Some(objects) = &mut *objects.borrow_mut() {
                objects.lagged();
            }
        }
        _ => {}
    };
    let has_failed = || objects.borrow().as_ref().is_some_and(|objects| objects.has_failed());
    let result = Running::drive(output, stream, has_failed, event, || {}).await;
    if let Some(har) = har {
        output.write(|w| Har::end(w));
        har.report();
    }
    result
}

impl Arguments {
    /// Returns `false` for a protocol that is parsed only for the sake of the TLS within it.
    fn shows(&self, protocol: Protocol) -> bool {
        self.proto.is_empty() || !protocol.starts_tls() || self.proto.contains(&protocol)
    }
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
