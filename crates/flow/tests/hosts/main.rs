//! Bytes as the receiving host takes them: what hosts discard does not reach the stream.

mod conflict;
mod discarded;
mod doubt;
mod urgent;
mod window;
mod wire;
