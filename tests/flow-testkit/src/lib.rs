//! Packets, models and checks that the tests and the fuzz targets of the crate flow share.
//!
//! - [`frame`], [`segments`]: packets, built byte by byte.
//! - [`gallery`]: one packet for each supported encapsulation.
//! - [`invariants`]: what holds for every packet, whatever its contents.
//! - [`fragments`], [`reassembly`]: the defragmenter and the flow table beside simple models.
//! - [`middlebox`]: captures of both sides of a device that rewrites sequence numbers.
//! - [`outages`]: captures that miss stretches of a connection.
//! - [`ledger`], [`accounting`]: no captured byte is lost silently.
#![forbid(unsafe_code)]

pub mod accounting;
pub mod fragments;
pub mod frame;
pub mod gallery;
pub mod invariants;
pub mod ledger;
pub mod middlebox;
pub mod outages;
pub mod reassembly;
pub mod segments;
