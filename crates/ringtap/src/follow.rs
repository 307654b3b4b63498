//! `ringtap follow`: every TCP conversation, complete and in order.

mod digest;
mod print;

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use clap::ValueEnum;
use conversation::{Conversation, Conversations, FlowStreamExt as _};
use flow::FiveTuple;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::Error;
use crate::input::{Input, Keying, Source};
use crate::interrupt;
use crate::output::Output;
use crate::report;

/// Show every TCP conversation of an interface or a capture file.
///
/// Live, it goes on until interrupted, then tells how many packets were captured and dropped. Bytes that were not
/// captured are shown as gaps, never left out in silence.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    keying: Keying,
    /// How bytes are shown.
    #[arg(short, long, value_enum, default_value_t = Format::Ascii)]
    format: Format,
    /// Instead of the bytes, print one JSON object for each direction that carried data, when its conversation ends:
    /// addresses, length, SHA-256 and gaps.
    #[arg(long, conflicts_with = "format")]
    digest: bool,
    /// Show only the beginnings and ends of conversations, and gaps.
    #[arg(short, long, conflicts_with_all = ["digest", "format"])]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text as it is, other bytes as dots.
    Ascii,
    /// Offsets, hexadecimal and text.
    Hex,
    /// The bytes alone, nothing else.
    Raw,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let name = arguments.input.name();
    let conversations = conversations(arguments.input.open()?, arguments.keying.extractor());
    let handle = conversations.handle();
    let output = Output::stdout();
    let result = runtime.block_on(follow(conversations, arguments, &output));
    output.finish()?;
    result.map_err(|source| Error::Follow { name, source })?;
    if arguments.input.is_live() {
        report::print(&handle.statistics());
    }
    Ok(())
}

/// Whose engine it is: a capture's or a file's.
fn conversations(source: Source, key: FiveTuple) -> Conversations {
    match source {
        Source::Live(capture) => capture.flow_conversations(key),
        Source::File(file) => file.flow_conversations(key),
    }
}

/// Reads all conversations at once, each in a future of its own.
async fn follow(
    mut conversations: Conversations,
    arguments: &Arguments,
    output: &Output,
) -> Result<(), conversation::Error> {
    let handle = conversations.handle();
    let mut interrupt = pin!(interrupt::requested());
    let mut interrupted = false;
    let printer = Rc::new(print::Printer::new(output.clone(), arguments.format, arguments.quiet));
    let mut readers = FuturesUnordered::new();
    let mut announced = true;
    let mut result = Ok(());
    poll_fn(|cx| {
        if !interrupted && interrupt.as_mut().poll(cx).is_ready() {
            interrupted = true;
            handle.shutdown();
        }
        while announced {
            match conversations.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(conversation))) => {
                    readers.push(read(conversation, arguments.digest, &printer));
                }
                Poll::Ready(Some(Err(error))) => result = Err(error),
                Poll::Ready(None) => announced = false,
                Poll::Pending => break,
            }
        }
        while let Poll::Ready(Some(())) = readers.poll_next_unpin(cx) {}
        if output.has_failed() || (!announced && readers.is_empty()) {
            return Poll::Ready(());
        }
        // All that could be read was: a person at the terminal wants to see it now.
        output.flush();
        Poll::Pending
    })
    .await;
    result
}

async fn read(conversation: Conversation, digest: bool, printer: &Rc<print::Printer>) {
    if digest {
        digest::read(conversation, printer.output()).await;
    } else {
        printer.read(conversation).await;
    }
}
