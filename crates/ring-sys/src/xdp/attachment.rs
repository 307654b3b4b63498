//! XDP programs on interfaces, by rtnetlink(7). Includes programs attached without a link.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use crate::netlink::{get_link, set_link};

/// IDs of the programs attached to an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attached {
    /// In native mode.
    pub native: Option<u32>,
    /// In generic mode.
    pub generic: Option<u32>,
    /// In the adapter.
    pub offloaded: Option<u32>,
}

/// `IFLA_XDP` and its nested attributes, from `linux/if_link.h`.
const IFLA_XDP: u16 = 43;
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_FLAGS: u16 = 3;
const IFLA_XDP_PROG_ID: u16 = 4;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;

/// Returns the programs attached to an interface.
///
/// # Errors
/// As netlink(7): `ENODEV`.
pub fn attached(interface: u32) -> io::Result<Attached> {
    let link = get_link(interface)?;
    let mut attached = Attached::default();
    let mut single = (0, None);
    for (kind, value) in link.attributes().inside(IFLA_XDP) {
        let number = value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
        match kind {
            IFLA_XDP_ATTACHED => single.0 = value.first().copied().unwrap_or(0),
            IFLA_XDP_PROG_ID => single.1 = number,
            IFLA_XDP_DRV_PROG_ID => attached.native = number,
            IFLA_XDP_SKB_PROG_ID => attached.generic = number,
            IFLA_XDP_HW_PROG_ID => attached.offloaded = number,
            _ => {}
        }
    }
    // `XDP_ATTACHED_DRV`, `_SKB`, `_HW`: older kernels report one ID and the mode separately.
    match single {
        (1, number) => attached.native = attached.native.or(number),
        (2, number) => attached.generic = attached.generic.or(number),
        (3, number) => attached.offloaded = attached.offloaded.or(number),
        _ => {}
    }
    Ok(attached)
}

/// Attaches a program to an interface without a link, so that it stays until it is detached.
/// `flags` (`XDP_FLAGS_*`) select the mode and allow or forbid replacing an attached program.
///
/// # Errors
/// As netlink(7): `EBUSY` if a program is attached already, `EOPNOTSUPP`, `EPERM` without
/// `CAP_NET_ADMIN`.
pub fn attach(interface: u32, program: BorrowedFd<'_>, flags: u32) -> io::Result<()> {
    set(interface, program.as_raw_fd(), flags)
}

/// Detaches a program that was attached without a link. `flags` (`XDP_FLAGS_*`) select the mode.
///
/// # Errors
/// As netlink(7): `EBUSY` if a link holds the program, `EPERM` without `CAP_NET_ADMIN`.
pub fn detach(interface: u32, flags: u32) -> io::Result<()> {
    set(interface, -1, flags)
}

fn set(interface: u32, descriptor: i32, flags: u32) -> io::Result<()> {
    set_link(interface, |request| {
        request.nested(IFLA_XDP, |xdp| {
            xdp.attribute(IFLA_XDP_FD, &descriptor.to_ne_bytes())
                .attribute(IFLA_XDP_FLAGS, &flags.to_ne_bytes())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_on_loopback() {
        let loopback = crate::interface::index("lo").expect("every namespace has lo");
        assert_eq!(attached(loopback).expect("an answer"), Attached::default());
        let error = attached(u32::MAX >> 1).expect_err("no such interface");
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }
}
