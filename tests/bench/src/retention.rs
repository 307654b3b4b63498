//! The cost of idle conversations, and of copying.

use std::future::poll_fn;
use std::pin::Pin;
use std::thread;
use std::time::Duration;

use conversation::{Chunk, Conversation, Conversations, FlowStreamExt as _, Retention};
use flow::FiveTuple;
use futures_core::Stream as _;
use ring_core::{Error, LinkType, MemorySource, Next, PacketSource, Statistics, Timeout};

use crate::measure::{Spread, time};
use crate::memory;
use crate::report::{Bar, Row};
use crate::traffic::{Capture, Connection, Mix, bits};

/// The number of concurrent conversations.
const IDLE: u32 = 100_000;
const RUNS: usize = 5;

pub(crate) fn rows() -> Vec<Row> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let each = runtime.block_on(idle());
    let capture = Mix::BULK.capture();
    let (mut copied, mut borrowed) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        for (retention, figures) in
            [(Retention::Copy, &mut copied), (Retention::Borrow, &mut borrowed)]
        {
            let source = memory_source(&capture);
            let spent = time(|| runtime.block_on(read_all(source, retention)));
            figures.push(capture.bytes() as f64 * 8.0 / spent.as_secs_f64() / 1e9);
        }
    }
    vec![
        Row {
            group: "retention",
            case: "bytes an idle conversation, 100 k of them, everything included".into(),
            unit: "bytes",
            subject: Spread::single(each),
            peer: None,
            bar: Some(Bar::AtMost(1024.0)),
        },
        Row {
            group: "retention",
            case: "every chunk copied, bulk, a reader that does nothing with it".into(),
            unit: "Gbit/s",
            subject: Spread::of(copied),
            peer: Some(("large chunks borrowed".into(), Spread::of(borrowed))),
            bar: None,
        },
    ]
}

/// The memory in bytes of each of many conversations, after a request and a response were read.
async fn idle() -> f64 {
    let mut capture = Capture::with_pace(1_000);
    for number in 0..IDLE {
        let mut connection = Connection::new(number);
        connection.send(&mut capture, 0, bits::SYN, 0);
        connection.send(&mut capture, 1, bits::SYN | bits::ACK, 0);
        connection.send(&mut capture, 0, bits::ACK, 100);
        connection.send(&mut capture, 1, bits::ACK, 400);
    }
    let before = memory::bytes();
    // Packets are released after they were processed, except for the last batch.
    let mut conversations = Wire(memory_source(&capture))
        .flow_stream(FiveTuple::bidirectional())
        .capacity(IDLE as usize)
        .into_conversations();
    let mut all = Vec::with_capacity(IDLE as usize);
    while all.len() < IDLE as usize {
        let mut conversation = next(&mut conversations).await.expect("another");
        let mut bytes = 0;
        while bytes < 500 {
            if let Some(Chunk::Initiator(data) | Chunk::Responder(data)) =
                conversation.next_chunk().await
            {
                bytes += data.len();
            }
        }
        all.push(conversation);
    }
    memory::bytes().saturating_sub(before) as f64 / all.len() as f64
}

async fn read_all(source: MemorySource, retention: Retention) {
    // The engine and the reader run on this thread, whose time is measured.
    let (mut conversations, driver) = source
        .flow_stream(FiveTuple::bidirectional())
        .retention(retention)
        .into_driven_conversations();
    tokio::spawn(driver);
    while let Some(mut conversation) = next(&mut conversations).await {
        while conversation.next_chunk().await.is_some() {}
    }
}

pub(crate) async fn next(conversations: &mut Conversations) -> Option<Conversation> {
    let next = poll_fn(|cx| Pin::new(&mut *conversations).poll_next(cx)).await?;
    Some(next.expect("a source that does not fail"))
}

pub(crate) fn memory_source(capture: &Capture) -> MemorySource {
    let mut source = MemorySource::new(LinkType::ETHERNET);
    for packet in capture.packets() {
        source.push(packet.timestamp(), packet.data());
    }
    source
}

/// A wire that becomes idle after the last packet.
struct Wire(MemorySource);

impl PacketSource for Wire {
    type Batch<'a> = <MemorySource as PacketSource>::Batch<'a>;
    type Error = Error;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Self::Batch<'_>>, Error> {
        match self.0.next_batch(timeout)? {
            Next::End => {
                thread::sleep(Duration::from_millis(10));
                Ok(Next::TimedOut)
            }
            next => Ok(next),
        }
    }

    fn statistics(&mut self) -> Result<Statistics, Error> {
        Ok(self.0.statistics()?)
    }

    fn link_type(&self) -> Option<LinkType> {
        self.0.link_type()
    }

    fn is_live(&self) -> bool {
        true
    }
}
