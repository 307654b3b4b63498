//! HTTP/1, rule by rule.

mod framing;
mod gaps;
mod limits;
mod pairing;
mod splits;
mod syntax;
