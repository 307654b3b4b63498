//! What a flow costs while nothing happens, and what its expiry costs.

use flow::{FiveTuple, FiveTupleKey, FlowHandler, FlowTable, Timestamp};

use crate::measure::{Spread, time};
use crate::memory;
use crate::report::{Bar, Row};
use crate::tracking::table;
use crate::traffic::acknowledgements;

struct Nobody;
impl FlowHandler<FiveTupleKey> for Nobody {}

pub(crate) fn rows() -> Vec<Row> {
    let flows = 1 << 20;
    let (first, rest) = acknowledgements(flows, 1 << 20, 100_000);
    let before = memory::bytes();
    let mut idle = table(&first);
    let used = memory::bytes() - before;
    let each = used as f64 / f64::from(flows);

    let before = memory::allocations();
    idle.process(rest.packets(), &mut Nobody);
    let allocations = memory::allocations() - before;

    vec![
        Row {
            group: "memory",
            case: "bytes an idle flow, 1 M flows, everything included".into(),
            unit: "bytes",
            subject: Spread::single(each),
            peer: None,
            bar: Some(Bar::AtMost(256.0)),
        },
        Row {
            group: "memory",
            case: "allocations for a million packets, 1 M flows".into(),
            unit: "",
            subject: Spread::single(allocations as f64),
            peer: None,
            bar: Some(Bar::AtMost(0.0)),
        },
        longest_pause(idle),
    ]
}

/// Time passes in steps of a millisecond until all flows have expired: the longest step.
fn longest_pause(mut table: FlowTable<FiveTuple>) -> Row {
    let mut longest = 0.0_f64;
    while let Some(deadline) = table.next_deadline() {
        let now = Timestamp::from_nanos(deadline.as_nanos() + 1_000_000);
        longest = longest.max(time(|| table.advance(now, &mut Nobody)).as_secs_f64());
    }
    assert!(table.is_empty());
    Row {
        group: "memory",
        case: "longest pause of advance(), 1 M flows begun at 10 k a second expire".into(),
        unit: "ms",
        subject: Spread::single(longest * 1e3),
        peer: None,
        bar: None,
    }
}
