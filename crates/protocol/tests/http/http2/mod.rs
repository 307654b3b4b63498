//! HTTP/2, with frames made by hand.

mod frames;
mod gaps;
mod limits;
mod messages;
mod splits;
