#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod columns;
pub mod csv;
pub mod eve;
mod flow;
pub mod ipfix;
pub mod json;
#[cfg(feature = "parquet")]
pub mod parquet;
mod text;
mod uid;
pub mod zeek;

pub use self::flow::{Flow, Octets, Side};
