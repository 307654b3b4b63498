//! What reassembly owes to its readers, situation by situation.

#[path = "../harness/reassembly.rs"]
#[allow(unreachable_pub)]
mod harness;
#[path = "../harness/segments.rs"]
#[allow(unreachable_pub)]
mod segments;

mod admission;
mod closing;
mod expiry;
mod gaps;
mod lab;
mod limits;
mod model;
mod order;
mod overlap;
mod pickup;
mod reuse;
mod time;
