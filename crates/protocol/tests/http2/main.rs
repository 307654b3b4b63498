//! HTTP/2, with frames made by hand.

mod gaps;
mod lab;
mod limits;
mod messages;
mod splits;
