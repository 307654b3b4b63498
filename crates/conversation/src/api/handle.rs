//! Control over engines from outside.

use std::sync::Arc;

use crate::api::statistics::Statistics;
use crate::engine::control::Control;

/// Ends the engines of a stream and tells what they did; cheap to clone, and may outlive them.
#[derive(Clone, Debug)]
pub struct Handle {
    control: Arc<Control>,
}

impl Handle {
    pub(crate) fn new(control: Arc<Control>) -> Self {
        Self { control }
    }

    /// Stops all engines: each takes what a wire or a pipe already holds, and reads no more of a
    /// file, then ends every conversation with its true state. The stream of conversations ends
    /// after the last one. To wait until all is done, see [`finished`](Self::finished).
    pub fn shutdown(&self) {
        self.control.stop();
    }

    /// Waits until all engines have ended, whatever ended them: every conversation has its end in
    /// its queue, the sources are closed and [`statistics`](Self::statistics) are final. At once
    /// where that is so already.
    ///
    /// It ends nothing by itself, and a file waits for readers of what it holds: do not await this
    /// in the task that is to read. Cancel-safe: a future that is dropped before it is ready leaves
    /// nothing behind.
    ///
    /// ```
    /// # use conversation::FlowStreamExt as _;
    /// # use flow::FiveTuple;
    /// # use ring_core::{LinkType, MemorySource};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let source = MemorySource::new(LinkType::ETHERNET);
    /// let conversations = source.flow_conversations(FiveTuple::bidirectional());
    /// let handle = conversations.handle();
    /// handle.shutdown();
    /// handle.finished().await;
    /// println!("{} conversations", handle.statistics().conversations);
    /// # }
    /// ```
    #[cfg(not(loom))]
    pub async fn finished(&self) {
        // From here on it is notified of the end, even before it is polled.
        let ended = self.control.ended();
        if !self.is_finished() {
            ended.await;
        }
    }

    /// Returns `true` if all engines have ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.control.is_finished()
    }

    /// Totals of all engines so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.control.statistics()
    }

    /// Totals of each engine so far, in the order of the sources. Queues are shared: only
    /// [`statistics`](Self::statistics) reports their contents.
    #[must_use]
    pub fn member_statistics(&self) -> Vec<Statistics> {
        self.control.each_member()
    }
}
