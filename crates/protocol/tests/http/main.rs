//! HTTP: messages of sessions that are fed with bytes, gaps and ends.

mod http1;
mod http2;
mod lab;
