//! Flows as events: their beginnings and ends, and what lies between.

pub(crate) mod broadcast;
pub(crate) mod event;
pub(crate) mod flow_event;
pub(crate) mod flow_number;
pub(crate) mod flow_stream;
pub(crate) mod outlet;
pub(crate) mod ring;
pub(crate) mod sink;
pub(crate) mod state;
pub(crate) mod stream;
