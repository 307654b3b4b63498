//! The frame of a command that shows flows: from the opening of its input to its last lines.

use std::future::poll_fn;
use std::task::Poll;

use conversation::{Handle, Statistics};
use futures_util::{Stream, StreamExt as _};
use packet_filter::Filter;
use ring_core::xdp;
use tokio::runtime::Runtime;

use crate::Error;
use crate::hosts::Hosts;
use crate::input::{Input, Source};
use crate::interrupt;
use crate::limits::Limits;
use crate::output::Output;
use crate::report;
use crate::selection::Shows;
use crate::summary::{self, Shown};

/// A command that shows the flows of its input.
pub(crate) struct Running<'a> {
    pub(crate) runtime: Runtime,
    pub(crate) output: Output,
    pub(crate) live: bool,
    input: &'a Input,
    counters: Option<xdp::TapCounters>,
    mtus: Option<xdp::MtuReports>,
}

/// Evaluates an expression for the flows of a source, whatever the source's type.
macro_rules! with_flows {
    ($source:expr, $key:expr, $stream:ident => $body:expr) => {{
        use conversation::FlowStreamExt as _;
        match $source {
            $crate::input::Source::Live(capture) => {
                let $stream = capture.flow_stream($key);
                $body
            }
            $crate::input::Source::Xdp(group) => {
                let $stream = group.flow_stream($key);
                $body
            }
            $crate::input::Source::Tap(tap) => {
                let $stream = tap.flow_stream($key);
                $body
            }
            $crate::input::Source::File(file) => {
                let $stream = file.flow_stream($key);
                $body
            }
        }
    }};
}
pub(crate) use with_flows;

impl<'a> Running<'a> {
    /// Opens the output and the input. Packets that `implied` rejects are of no use.
    pub(crate) fn open(
        input: &'a Input,
        hosts: &Hosts,
        implied: Option<Filter>,
    ) -> Result<(Self, Source), Error> {
        hosts.check();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::Runtime)?;
        let output = Output::stdout(input.is_line_buffered())?;
        // Text and a bar on the same terminal would be in each other's way.
        let source = input.open_for(!output.is_terminal(), Shows::Conversations, implied)?;
        let (counters, mtus) = (source.counters(), source.mtu_reports());
        Ok((Self { runtime, output, live: input.is_live(), input, counters, mtus }, source))
    }

    /// Reports that the capture has begun. From now on signals end the engine or print its counts,
    /// and changes of the interfaces are reported.
    pub(crate) fn watch(&mut self, handle: &Handle) {
        let links = report::listening(self.input);
        let ended = handle.clone();
        interrupt::ends(move || ended.shutdown());
        report::print_counts_of(handle.clone(), self.live);
        report::watch_source(handle.clone(), self.input, links, self.mtus.take());
    }

    /// Passes the events of a stream to `event`, and calls `idle` when there are none for now. Ends
    /// with the stream, when the time for handing over is up, or when `has_failed` returns `true`.
    /// Returns the error that ended the engine.
    pub(crate) async fn drive<S, T>(
        output: &Output,
        mut stream: S,
        has_failed: impl Fn() -> bool,
        mut event: impl FnMut(&mut S, T),
        mut idle: impl FnMut(),
    ) -> Result<(), conversation::Error>
    where
        S: Stream<Item = Result<T, conversation::Error>> + Unpin,
    {
        let (mut result, mut ended) = (Ok(()), false);
        poll_fn(|cx| {
            while !interrupt::is_over() && !output.has_failed() && !has_failed() {
                match stream.poll_next_unpin(cx) {
                    Poll::Ready(Some(Ok(one))) => event(&mut stream, one),
                    Poll::Ready(Some(Err(error))) => result = Err(error),
                    Poll::Ready(None) => {
                        ended = true;
                        return Poll::Ready(());
                    }
                    Poll::Pending => {
                        // A person at the terminal wants to see everything so far.
                        idle();
                        output.flush();
                        return Poll::Pending;
                    }
                }
            }
            Poll::Ready(())
        })
        .await;
        if interrupt::is_over() && !ended {
            output.give_up();
        }
        result
    }

    /// Waits for the engine's last counts.
    pub(crate) fn settle(&self, handle: &Handle) -> Statistics {
        self.runtime.block_on(report::settle(handle));
        handle.statistics()
    }

    /// Completes the output.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        self.output.finish().map_err(Error::from)
    }

    /// Prints the last lines of the command on standard error.
    pub(crate) fn summarize(
        &self,
        written: &Result<(), Error>,
        statistics: &Statistics,
        shown: Shown,
        limits: &Limits,
    ) {
        let has_enough = written.as_ref().is_err_and(Error::is_broken_pipe);
        if self.live || interrupt::is_requested() || has_enough {
            report::print(statistics, self.live);
            report::print_forwarded(self.counters.as_ref());
        }
        summary::print(statistics, shown, limits, self.live);
    }

    /// The error of a command whose engine failed.
    pub(crate) fn failed(&self, result: Result<(), conversation::Error>) -> Result<(), Error> {
        result.map_err(|source| Error::Follow { name: self.input.name(), source })
    }
}
