//! Flows as events: their beginnings and ends, and what lies between.

pub(crate) mod broadcast;
pub(crate) mod event;
pub(crate) mod outlet;
pub(crate) mod state;
pub(crate) mod stream;
