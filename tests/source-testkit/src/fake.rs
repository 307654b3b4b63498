//! A source that claims, or does, what files and wires may.

use std::error::Error;
use std::fmt;
use std::thread;
use std::time::Duration;

use packet::{LinkType, MemorySource, Next, PacketSource, Statistics, Timeout};

/// Packets from memory, in a source of other properties than memory has.
pub struct Fake {
    source: MemorySource,
    is_live: bool,
    fails: bool,
    knows_link_type: bool,
    delay: Duration,
    on_close: Option<Box<dyn FnOnce() + Send>>,
}

/// The error of a source that was to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

impl Fake {
    /// A file: its consumers may make it wait.
    #[must_use]
    pub fn file(source: MemorySource) -> Self {
        Self {
            source,
            is_live: false,
            fails: false,
            knows_link_type: true,
            delay: Duration::ZERO,
            on_close: None,
        }
    }

    /// A wire: its consumers must not make it wait.
    #[must_use]
    pub fn live(source: MemorySource) -> Self {
        let mut fake = Self::file(source);
        fake.is_live = true;
        fake
    }

    /// Fails instead of ending, if `fails`.
    #[must_use]
    pub fn failing(mut self, fails: bool) -> Self {
        self.fails = fails;
        self
    }

    /// Knows no link type before its packets.
    #[must_use]
    pub fn without_link_type(mut self) -> Self {
        self.knows_link_type = false;
        self
    }

    /// Takes this time for each batch.
    #[must_use]
    pub fn delayed(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Calls this when it is dropped, as a file that has something to write yet.
    #[must_use]
    pub fn on_close(mut self, close: impl FnOnce() + Send + 'static) -> Self {
        self.on_close = Some(Box::new(close));
        self
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if let Some(close) = self.on_close.take() {
            close();
        }
    }
}

impl PacketSource for Fake {
    type Batch<'a> = <MemorySource as PacketSource>::Batch<'a>;
    type Error = Failed;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Self::Batch<'_>>, Failed> {
        if !self.delay.is_zero() {
            thread::sleep(self.delay);
        }
        let Ok(next) = self.source.next_batch(timeout);
        match next {
            Next::End if self.fails => Err(Failed),
            next => Ok(next),
        }
    }

    fn statistics(&mut self) -> Result<Statistics, Failed> {
        let Ok(statistics) = self.source.statistics();
        Ok(statistics)
    }

    fn link_type(&self) -> Option<LinkType> {
        self.source.link_type().filter(|_| self.knows_link_type)
    }

    fn is_live(&self) -> bool {
        self.is_live
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the source was to fail")
    }
}

impl Error for Failed {}
