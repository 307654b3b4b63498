//! Taking turns with the other tasks of a runtime.

use std::task::{Context, Poll};

/// Polls within the budget that tokio gives a task, and returns `Poll::Pending` once that is used
/// up.
///
/// The engine of a file refills queues faster than most readers empty them. A reader that always
/// finds something would never give way, and neither a timer nor Ctrl-C in the same thread would be
/// looked at before the end of the file. In other runtimes there is no budget.
#[cfg(not(loom))]
#[inline]
pub(crate) fn poll<T>(
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    let budget = std::task::ready!(tokio::task::coop::poll_proceed(cx));
    let polled = poll(cx);
    if polled.is_ready() {
        budget.made_progress();
    }
    polled
}

#[cfg(loom)]
pub(crate) fn poll<T>(
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    poll(cx)
}
