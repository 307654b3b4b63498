//! HTTP: what a session makes of bytes, gaps and ends.

mod http1;
mod http2;
mod lab;
