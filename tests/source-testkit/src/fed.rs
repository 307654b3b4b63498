//! A wire whose packets arrive when the test sends them.

use std::convert::Infallible;
use std::iter;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use packet::{LinkType, MemorySource, Next, PacketSource, Statistics, Timeout, Timestamp};

use crate::Connection;

/// A wire whose packets arrive when the test sends them.
pub struct Fed {
    packets: Receiver<Vec<u8>>,
    source: MemorySource,
    count: u64,
}

/// The end of a [`Fed`] that the test holds. Dropping it ends the source.
pub struct Feed(Sender<Vec<u8>>);

impl Fed {
    /// A wire without packets yet.
    #[must_use]
    pub fn new() -> (Feed, Self) {
        let (sender, packets) = channel();
        (Feed(sender), Self { packets, source: MemorySource::new(LinkType::ETHERNET), count: 0 })
    }
}

impl Feed {
    /// Sends all that a connection has by now.
    ///
    /// # Panics
    /// If the source was dropped.
    pub fn all(&self, connection: &mut Connection) {
        for packet in connection.packets.drain(..) {
            self.packet(packet);
        }
    }

    /// Sends one packet.
    ///
    /// # Panics
    /// If the source was dropped.
    pub fn packet(&self, packet: Vec<u8>) {
        self.0.send(packet).expect("an engine");
    }

    /// Returns `true` if the source was dropped.
    #[must_use]
    pub fn is_dropped(&self) -> bool {
        self.0.send(Vec::new()).is_err()
    }
}

impl PacketSource for Fed {
    type Batch<'a> = <MemorySource as PacketSource>::Batch<'a>;
    type Error = Infallible;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Self::Batch<'_>>, Infallible> {
        let first = match timeout {
            Timeout::Now => self.packets.recv_timeout(Duration::ZERO),
            Timeout::After(time) => self.packets.recv_timeout(time),
            Timeout::Never => self.packets.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match first {
            Ok(first) => {
                // All of them in one batch: what is left over would be lost with the source.
                self.source = MemorySource::new(LinkType::ETHERNET).batch_size(1 << 20);
                for packet in iter::once(first).chain(self.packets.try_iter()) {
                    self.count += 1;
                    self.source.push(Timestamp::from_nanos(1_000_000 * self.count), &packet);
                }
                self.source.next_batch(Timeout::Now)
            }
            Err(RecvTimeoutError::Timeout) => Ok(Next::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Ok(Next::End),
        }
    }

    fn statistics(&mut self) -> Result<Statistics, Infallible> {
        self.source.statistics()
    }

    fn link_type(&self) -> Option<LinkType> {
        self.source.link_type()
    }

    fn is_live(&self) -> bool {
        true
    }
}
