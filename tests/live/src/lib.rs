//! Building blocks of the live tests: a wire between two hosts, a lossy path, servers, listeners,
//! and byte streams that are compared by length, SHA-256 and gaps.

#![forbid(unsafe_code)]

mod ear;
mod folder;
mod follower;
mod forwarder;
mod random;
mod relay;
mod stream;
mod web;
mod wire;

pub use ear::{Ear, Listening};
pub use folder::Folder;
pub use follower::{Follower, ringtap};
pub use forwarder::{Forwarder, Roughness, Toll};
pub use random::Random;
pub use relay::Relay;
pub use stream::{Direction, Heard, Stream};
pub use web::Web;
pub use wire::{CLIENT, SERVER, Wire};

/// The maximum time to wait for any expected event.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
