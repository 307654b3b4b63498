//! Packets of connections and a source that delivers them, for tests of what is built on sources.
//!
//! - [`Connection`], [`segment`], [`udp`]: packets, made byte by byte.
//! - [`source`], [`interleave`]: packets in memory, as a file would hold them.
//! - [`Fake`]: a source that claims, or does, what files and wires may.
//! - [`Fed`]: a wire whose packets arrive when the test sends them.
#![forbid(unsafe_code)]

mod connection;
mod fake;
mod fed;
mod memory;

pub use connection::{ACK, Connection, FIN, RST, SYN, pattern, segment, udp};
pub use fake::{Failed, Fake};
pub use fed::{Fed, Feed};
pub use memory::{interleave, source};
