//! The guarantees of reassembly, case by case.

use flow_testkit::{reassembly as harness, segments};

mod admission;
mod closing;
mod evidence;
mod expiry;
mod fins;
mod forged;
mod gaps;
mod handshakes;
mod lab;
mod limits;
mod memory;
mod model;
mod order;
mod outages;
mod overlap;
mod pickup;
mod reuse;
mod stretches;
mod time;
