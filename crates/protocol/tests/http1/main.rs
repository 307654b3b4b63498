//! HTTP/1, rule by rule.

mod framing;
mod gaps;
mod lab;
mod limits;
mod pairing;
mod splits;
mod syntax;
