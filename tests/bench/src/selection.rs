//! The cost of choosing conversations by a condition, and of searching their bytes.

use std::collections::HashMap;
use std::fs;
use std::hint::black_box;
use std::time::Duration;

use conversation::select::{Condition, Finder, Search};
use conversation::{Chunk, FlowStreamExt as _};
use flow::{Data, FiveTuple, FiveTupleKey, Flow, FlowHandler, FlowSide, FlowTable};

use crate::measure::{Spread, in_turns, time};
use crate::peer::{self, Place, Unavailable, figure};
use crate::report::{Bar, Row};
use crate::retention::{memory_source, next};
use crate::traffic::{Capture, Mix};

struct Nobody;
impl FlowHandler<FiveTupleKey> for Nobody {}

/// A condition that the first packet of every conversation here fails.
const AT_ONCE: &str = "port == 1";
/// One that is undecided until the end of each conversation, and never met.
const AT_THE_END: &str = "gap_bytes > 1G";

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, mix) in [("mixed", Mix::MIXED), ("bulk", Mix::BULK)] {
        let capture = mix.capture();
        let packets = capture.len();
        let times = in_turns(
            5,
            &mut [&mut || chosen(&capture, AT_ONCE), &mut || tracked(&capture), &mut || {
                chosen(&capture, AT_THE_END)
            }],
        );
        let row = |case: &str, times: &[Duration], bar| Row {
            group: "selection",
            case: format!("{name}, conversations {case}, from memory"),
            unit: "ns a packet",
            subject: Spread::nanos_each(times, packets),
            peer: None,
            bar,
        };
        let tracked = ("tracking alone".to_owned(), Spread::nanos_each(&times[1], packets));
        rows.push(Row {
            peer: Some(tracked),
            ..row("dropped at the first packet", &times[0], Some(Bar::RatioAtMost(1.15)))
        });
        rows.push(row("undecided to their end, dropped then", &times[2], None));
    }
    rows.push(search());
    rows
}

/// The whole engine with a condition. The source is in memory.
fn chosen(capture: &Capture, condition: &str) -> Duration {
    let condition: Condition = condition.parse().expect("a condition");
    let source = memory_source(capture);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    time(|| {
        runtime.block_on(async {
            // The engine and the reader run on this thread, whose time is measured.
            let (mut conversations, driver) = source
                .flow_stream(FiveTuple::bidirectional())
                .select(condition)
                .into_driven_conversations();
            tokio::spawn(driver);
            while let Some(mut conversation) = next(&mut conversations).await {
                while let Some(chunk) = conversation.next_chunk().await {
                    black_box::<Chunk>(chunk);
                }
            }
        });
    })
}

fn tracked(capture: &Capture) -> Duration {
    let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
    time(|| {
        table.process(capture.packets(), &mut Nobody);
        table.finish(&mut Nobody);
    })
}

/// A text that no payload here contains.
const TEXT: &str = "zyxwvut";

/// Searches the bytes of each direction.
struct Searching<'f> {
    finder: &'f Finder,
    searches: HashMap<(usize, FlowSide), Search<'f>>,
    bytes: u64,
    found: u64,
}

impl FlowHandler<FiveTupleKey> for Searching<'_> {
    fn on_data(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        let finder = self.finder;
        let search =
            self.searches.entry((flow.id.slot(), side)).or_insert_with(|| finder.search(32));
        search.feed(data.bytes, |_| self.found += 1);
        self.bytes += data.bytes.len() as u64;
    }
}

/// Reassembly and search from memory, beside ripgrep, which searches the same number of bytes in a
/// file.
fn search() -> Row {
    let capture = Mix::BULK.capture();
    let finder = Finder::new(TEXT).expect("a pattern");
    let (mut bytes, mut found) = (0, 0);
    let times = in_turns(
        5,
        &mut [&mut || {
            let mut handler =
                Searching { finder: &finder, searches: HashMap::new(), bytes: 0, found: 0 };
            let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
            let spent = time(|| {
                table.process(capture.packets(), &mut handler);
                table.finish(&mut handler);
            });
            (bytes, found) = (handler.bytes, handler.found);
            spent
        }],
    );
    assert_eq!(found, 0);
    let rate = |time: &Duration| bytes as f64 / time.as_secs_f64() / 1e9;
    Row {
        group: "selection",
        case: format!("search for a text, {} MB of streams, from memory", bytes / 1_000_000),
        unit: "GB/s",
        subject: Spread::of(times[0].iter().map(rate)),
        peer: Some(figure("rg, the same bytes in a file", ripgrep(&capture, bytes))),
        bar: Some(Bar::RatioAtLeast(0.3)),
    }
}

fn ripgrep(capture: &Capture, bytes: u64) -> Result<Spread, Unavailable> {
    let rg = peer::installed("rg", "ripgrep")?;
    let file = std::env::temp_dir().join(format!("ringtap-bench-search-{}", std::process::id()));
    // The payload of every frame; acknowledgements have none. One match makes it a success.
    let mut all: Vec<u8> =
        capture.frames().flat_map(|frame| frame.get(54..).unwrap_or(&[])).copied().collect();
    all.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
    all.extend_from_slice(TEXT.as_bytes());
    let result = fs::write(&file, all)
        .map_err(|error| Unavailable::because("the bytes cannot be written", &error))
        .and_then(|()| {
            let name = file.to_string_lossy().into_owned();
            let runs = (0..4).map(|_| rg.time(Place::default(), &["-c", "-a", TEXT, &name]));
            let times = runs.collect::<Result<Vec<_>, _>>()?;
            // The first run loads the file into the page cache.
            Ok(Spread::of(times[1..].iter().map(|time| bytes as f64 / time.as_secs_f64() / 1e9)))
        });
    let _ = fs::remove_file(file);
    result
}
