//! The stream as the receiving host sees it: packets that hosts discard must not become part of it.

mod conflict;
mod discarded;
mod doubt;
mod urgent;
mod window;
mod wire;
