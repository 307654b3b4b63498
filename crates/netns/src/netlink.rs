//! Netlink requests for links, addresses, routes and offloads; see netlink(7).

mod attributes;
mod request;
mod socket;

pub(crate) use attributes::Attributes;
pub(crate) use request::Request;
pub(crate) use socket::{Family, Socket};
