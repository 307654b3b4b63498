#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod abi;
mod address;
mod entered;
mod error;
mod link;
mod namespace;
mod offload;
mod process;
mod user_namespace;

pub use address::{InterfaceAddress, ParseAddressError};
pub use entered::Entered;
pub use error::{Error, Prohibition, Result};
pub use link::Link;
pub use namespace::Namespace;
pub use offload::Offload;
pub use process::Process;
pub use user_namespace::{Privilege, enter_user_namespace};
