//! Requests to the kernel about interfaces, addresses and routes: netlink(7), rtnetlink(7).
//!
//! ```
//! use ring_sys::netlink::{Attributes, Family, Request, Socket};
//!
//! // RTM_GETLINK, with a `struct ifinfomsg` of zeros, for the interface called lo (IFLA_IFNAME).
//! let request = Request::new(18, 0, &[0; 16]).text(3, "lo");
//! let answers = Socket::open(Family::Route)?.ask(request)?;
//! let mtu = Attributes::at(&answers[0], 16).find(4);
//! assert_eq!(mtu.map(<[u8]>::len), Some(4));
//! # Ok::<(), std::io::Error>(())
//! ```

mod attributes;
mod request;
mod socket;

use std::io;

pub use self::attributes::Attributes;
pub use self::request::Request;
pub use self::socket::{Family, Socket};

const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;

/// The length of `struct ifinfomsg`.
const LINK_HEADER: usize = 16;

/// The answer of the kernel about one interface.
pub(crate) struct LinkAnswer {
    payload: Vec<u8>,
}

impl LinkAnswer {
    pub(crate) fn attributes(&self) -> Attributes<'_> {
        Attributes::at(&self.payload, LINK_HEADER)
    }
}

/// Returns the attributes of an interface.
pub(crate) fn get_link(interface: u32) -> io::Result<LinkAnswer> {
    let answers = Socket::open(Family::Route)?.ask(about(RTM_GETLINK, interface))?;
    let payload = answers.into_iter().next().ok_or(io::ErrorKind::InvalidData)?;
    Ok(LinkAnswer { payload })
}

/// Changes the attributes of an interface that `fill` appends.
pub(crate) fn set_link(interface: u32, fill: impl FnOnce(Request) -> Request) -> io::Result<()> {
    Socket::open(Family::Route)?.ask(fill(about(RTM_SETLINK, interface))).map(drop)
}

fn about(kind: u16, interface: u32) -> Request {
    let mut header = [0; LINK_HEADER];
    header[4..8].copy_from_slice(&interface.to_ne_bytes());
    Request::new(kind, 0, &header)
}
