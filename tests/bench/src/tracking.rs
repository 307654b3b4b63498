//! The flow table alone: acknowledgements without payload, flows in random order.

use flow::{FiveTuple, FiveTupleKey, FlowHandler, FlowTable};
use flowscope::{FlowTracker, FlowTrackerConfig, PacketView, extract::FiveTuple as Theirs};

use crate::measure::{Spread, in_turns, time};
use crate::report::{Bar, Row};
use crate::traffic::{Capture, acknowledgements};

struct Nobody;
impl FlowHandler<FiveTupleKey> for Nobody {}

const PACKETS: usize = 1 << 21;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut one_flow = None;
    for (name, flows) in [("1", 1), ("1 k", 1 << 10), ("100 k", 100_000), ("1 M", 1 << 20)] {
        let (first, rest) = acknowledgements(flows, PACKETS, 100);
        let mut ours = table(&first);
        let mut theirs = tracker(&first, flows as usize);
        let times = in_turns(
            5,
            &mut [&mut || time(|| ours.process(rest.packets(), &mut Nobody)), &mut || {
                time(|| {
                    for frame in rest.frames() {
                        theirs.track(PacketView::new(frame, flowscope::Timestamp::new(1, 0)));
                    }
                })
            }],
        );
        assert_eq!((ours.len(), theirs.flow_count()), (flows as usize, flows as usize));
        let subject = Spread::nanos_each(&times[0], PACKETS);
        let peer = Spread::nanos_each(&times[1], PACKETS);
        rows.push(Row {
            group: "tracking",
            case: format!("{name} flows, 60-byte TCP, random order"),
            unit: "ns a packet",
            subject,
            peer: Some(("flowscope 0.22 FlowTracker".into(), peer)),
            bar: (flows == 1 << 20).then_some(Bar::RatioAtMost(1.0 / 15.0)),
        });
        let one_flow = *one_flow.get_or_insert(subject);
        if flows == 1 << 20 {
            rows.push(Row {
                group: "tracking",
                case: "1 M flows against 1 flow".into(),
                unit: "ns a packet",
                subject,
                peer: Some(("1 flow".into(), one_flow)),
                bar: Some(Bar::RatioAtMost(3.5)),
            });
        }
    }
    rows
}

pub(crate) fn table(capture: &Capture) -> FlowTable<FiveTuple> {
    let mut table = FlowTable::builder(FiveTuple::bidirectional()).max_flows(1 << 21).build();
    table.process(capture.packets(), &mut Nobody);
    table
}

fn tracker(capture: &Capture, flows: usize) -> FlowTracker<Theirs, ()> {
    let mut config = FlowTrackerConfig::default();
    config.max_flows = 2 * flows;
    let mut tracker = FlowTracker::with_config(Theirs::bidirectional(), config);
    for frame in capture.frames() {
        tracker.track(PacketView::new(frame, flowscope::Timestamp::new(1, 0)));
    }
    tracker
}
