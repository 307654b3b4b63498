//! Netlink as far as links, addresses, routes and offloads need it; see netlink(7).

mod attributes;
mod request;
mod socket;

pub(crate) use attributes::Attributes;
pub(crate) use request::Request;
pub(crate) use socket::{Family, Socket};
