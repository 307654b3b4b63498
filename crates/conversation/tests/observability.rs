//! Reports of an engine: counters, events of `tracing`, metrics.
#![allow(missing_docs)]

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use conversation::{FlowStreamExt as _, Statistics};
use flow::FiveTuple;
use futures::StreamExt as _;
use source_testkit::{Connection, Fake, interleave, pattern};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Events that came so far: level, message, and the other fields.
static EVENTS: Mutex<Vec<(Level, String, String)>> = Mutex::new(Vec::new());

struct Listener;

#[derive(Default)]
struct Fields {
    message: String,
    others: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.others += &format!("{}={value:?} ", field.name());
        }
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("conversation")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = *event.metadata().level();
        EVENTS.lock().unwrap().push((level, fields.message, fields.others));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// A wire of which some bytes were not captured, and some found no room.
async fn rough_times() -> Statistics {
    let mut connection = Connection::open(1);
    connection.send(1, &pattern(1, 1000));
    connection.lose(1, 700);
    (0..100).for_each(|i| connection.send(1, &pattern(i, 1000)));
    connection.fin(0);
    connection.fin(1);
    let conversations = Fake::live(interleave(&mut [connection, Connection::open(2)]))
        .flow_stream(FiveTuple::bidirectional())
        .source_names(|_| "eth7")
        .conversation_limit(20_000)
        .capacity(1)
        .into_conversations();
    let handle = conversations.handle();
    // Nobody reads while the wire lasts.
    while handle.statistics().source.packets < 200 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut all: Vec<_> = conversations.collect().await;
    let statistics = handle.statistics();
    assert_eq!(all.len(), 1, "one found no room");
    let mut conversation = all.pop().unwrap().unwrap();
    while conversation.next_chunk().await.is_some() {}
    assert_eq!(handle.statistics().queued_bytes, 0);
    statistics
}

// All in one, since what listens is the process's.
#[tokio::test]
async fn what_goes_wrong_is_counted_and_told() {
    tracing::subscriber::set_global_default(Listener).unwrap();
    #[cfg(feature = "metrics")]
    let recorder = recorder::install();

    let statistics = rough_times().await;
    assert_eq!((statistics.gaps.acknowledged.count, statistics.gaps.acknowledged.bytes), (1, 700));
    assert_eq!((statistics.gap_bytes, statistics.conversations), (700, 1));
    assert_eq!(statistics.refused, 1, "{statistics:?}");
    assert_eq!(statistics.bytes, 101_000);
    let table = statistics.table;
    assert_eq!((table.packets, table.delivered_bytes), (statistics.packets, 101_000));
    assert_eq!((table.gaps, table.gap_bytes), (1, 700));
    assert_eq!((table.flows_started, table.flows_refused), (1, 1));
    assert_eq!((table.ended_fin, table.ended_capture), (1, 0));
    assert!(statistics.dropped_bytes > 50_000, "{statistics:?}");
    assert!(statistics.queued_bytes > 10_000, "{statistics:?}");

    let settled = |events: &[(Level, String, String)]| {
        events.iter().any(|(_, message, _)| message == "an engine ended")
    };
    for _ in 0..5000 {
        if settled(&EVENTS.lock().unwrap()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let events = EVENTS.lock().unwrap().clone();
    let count = |level: Level, message: &str| {
        events.iter().filter(|event| event.0 == level && event.1 == message).count()
    };
    assert_eq!(count(Level::DEBUG, "an engine started"), 1, "{events:?}");
    assert_eq!(count(Level::DEBUG, "an engine ended"), 1, "{events:?}");
    assert_eq!(count(Level::TRACE, "a flow started"), 1, "{events:?}");
    assert_eq!(count(Level::TRACE, "a flow ended"), 1, "{events:?}");
    assert_eq!(count(Level::TRACE, "bytes of a stream were not captured"), 1, "{events:?}");
    assert!(count(Level::DEBUG, "bytes of streams were not captured") >= 1, "{events:?}");
    assert!(count(Level::WARN, "readers of conversations were too slow") >= 1, "{events:?}");
    assert!(count(Level::WARN, "there was no room for conversations") >= 1, "{events:?}");
    let gap = events.iter().find(|event| event.1 == "bytes of a stream were not captured").unwrap();
    assert!(gap.2.contains("offset=1000 len=700 cause=Acknowledged"), "{gap:?}");

    #[cfg(feature = "metrics")]
    {
        let value = |name: &str| recorder.value(name);
        assert_eq!(value("ringtap_packets_total{source=eth7}"), statistics.packets as f64);
        assert_eq!(value("ringtap_bytes_total{source=eth7}"), 101_000.0);
        assert_eq!(value("ringtap_conversations_total{source=eth7}"), 1.0);
        assert_eq!(value("ringtap_refused_total{source=eth7}"), statistics.refused as f64);
        assert_eq!(value("ringtap_gaps_total{source=eth7,cause=acknowledged}"), 1.0);
        assert_eq!(value("ringtap_gap_bytes_total{source=eth7,cause=acknowledged}"), 700.0);
        assert_eq!(
            value("ringtap_dropped_bytes_total{source=eth7}"),
            statistics.dropped_bytes as f64
        );
        let help = recorder.help("ringtap_kernel_drops_total");
        assert!(help.starts_with("Packets that the kernel dropped"), "{help}");
        assert_eq!(recorder.help("ringtap_flows"), "Flows in the table");
        // What an engine that ended had is taken back.
        assert_eq!(value("ringtap_flows{source=eth7}"), 0.0);
        assert_eq!(value("ringtap_queued_bytes{source=eth7}"), 0.0);
        assert!(recorder.highest("ringtap_queued_bytes{source=eth7}") > 10_000.0);
    }
}

#[cfg(feature = "metrics")]
mod recorder {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};

    use metrics::{
        Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder,
        SharedString, Unit,
    };

    /// Value and highest value, by name with labels.
    type Values = Arc<Mutex<HashMap<String, (f64, f64)>>>;

    #[derive(Clone)]
    pub(crate) struct Recording(Values, Arc<Mutex<HashMap<String, String>>>);

    struct One {
        name: String,
        values: Values,
    }

    pub(crate) fn install() -> Recording {
        let recording = Recording(Values::default(), Arc::default());
        metrics::set_global_recorder(recording.clone()).unwrap();
        recording
    }

    impl Recording {
        pub(crate) fn value(&self, name: &str) -> f64 {
            self.0.lock().unwrap()[name].0
        }

        pub(crate) fn highest(&self, name: &str) -> f64 {
            self.0.lock().unwrap()[name].1
        }

        pub(crate) fn help(&self, name: &str) -> String {
            self.1.lock().unwrap()[name].clone()
        }

        fn one(&self, key: &Key) -> Arc<One> {
            let labels: Vec<_> =
                key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            let name = if labels.is_empty() {
                key.name().to_owned()
            } else {
                format!("{}{{{}}}", key.name(), labels.join(","))
            };
            Arc::new(One { name, values: Arc::clone(&self.0) })
        }
    }

    impl One {
        fn change(&self, change: impl FnOnce(f64) -> f64) {
            let mut values = self.values.lock().unwrap();
            let (value, highest) = values.entry(self.name.clone()).or_default();
            *value = change(*value);
            *highest = highest.max(*value);
        }
    }

    impl CounterFn for One {
        fn increment(&self, value: u64) {
            self.change(|before| before + value as f64);
        }

        fn absolute(&self, value: u64) {
            self.change(|_| value as f64);
        }
    }

    impl GaugeFn for One {
        fn increment(&self, value: f64) {
            self.change(|before| before + value);
        }

        fn decrement(&self, value: f64) {
            self.change(|before| before - value);
        }

        fn set(&self, value: f64) {
            self.change(|_| value);
        }
    }

    impl Recorder for Recording {
        fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
            self.1.lock().unwrap().insert(name.as_str().to_owned(), help.to_string());
        }

        fn describe_gauge(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
            self.1.lock().unwrap().insert(name.as_str().to_owned(), help.to_string());
        }

        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.one(key))
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(self.one(key))
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }
}
