//! A pipe that is stopped while an engine is busy.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use conversation::Handle;
use ring_core::{Error, LinkType, MemorySource, Next, PacketSource, Statistics, Timeout};
use source_testkit::source;

/// A pipe of packets that is stopped while its first packet is processed. Each packet that follows
/// is in the pipe already, and comes after an interruption.
pub(super) struct Stopping {
    packets: VecDeque<Vec<u8>>,
    handle: Arc<OnceLock<Handle>>,
    interrupted: bool,
    source: MemorySource,
}

impl Stopping {
    pub(super) fn new(packets: Vec<Vec<u8>>) -> (Self, Arc<OnceLock<Handle>>) {
        let handle = Arc::default();
        let source = MemorySource::new(LinkType::ETHERNET);
        let stopping = Self {
            packets: packets.into(),
            handle: Arc::clone(&handle),
            interrupted: true,
            source,
        };
        (stopping, handle)
    }
}

impl PacketSource for Stopping {
    type Batch<'a> = <MemorySource as PacketSource>::Batch<'a>;
    type Error = Error;

    fn next_batch(&mut self, _: Timeout) -> Result<Next<Self::Batch<'_>>, Error> {
        let Some(handle) = self.handle.get() else { return Ok(Next::TimedOut) };
        handle.shutdown();
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Ok(Next::Interrupted);
        }
        let Some(packet) = self.packets.pop_front() else { return Ok(Next::TimedOut) };
        self.source = source(vec![packet]);
        Ok(self.source.next_batch(Timeout::Now)?)
    }

    fn statistics(&mut self) -> Result<Statistics, Error> {
        Ok(self.source.statistics()?)
    }

    fn link_type(&self) -> Option<LinkType> {
        self.source.link_type()
    }

    fn is_live(&self) -> bool {
        false
    }
}
