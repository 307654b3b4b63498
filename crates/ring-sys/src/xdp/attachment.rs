//! XDP programs on interfaces, by rtnetlink(7). Includes programs attached without a link.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use crate::socket_option::check;

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

const NLMSG_ERROR: u16 = 2;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
/// `IFLA_XDP` and its nested attributes, from `linux/if_link.h`.
const IFLA_XDP: u16 = 43;
const IFLA_GSO_MAX_SIZE: u16 = 41;
const IFLA_GRO_MAX_SIZE: u16 = 58;
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_FLAGS: u16 = 3;
const IFLA_XDP_PROG_ID: u16 = 4;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;

/// `struct nlmsghdr` and `struct ifinfomsg`.
const HEADER: usize = 16;
const LINK_HEADER: usize = 16;

/// Returns the programs attached to an interface.
///
/// # Errors
/// As netlink(7): `ENODEV`.
pub fn attached(interface: u32) -> io::Result<Attached> {
    let answer = ask(RTM_GETLINK, interface, &[], 0)?;
    let message = answer.get(HEADER + LINK_HEADER..).unwrap_or_default();
    let xdp =
        attributes(message).find(|(kind, _)| *kind == IFLA_XDP).map_or(&[][..], |(_, xdp)| xdp);
    let mut attached = Attached::default();
    let mut single = (0, None);
    for (kind, value) in attributes(xdp) {
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

/// The size of the largest packet made of segments, sent or received.
pub(crate) fn largest_segment(interface: u32) -> io::Result<u32> {
    let answer = ask(RTM_GETLINK, interface, &[], 0)?;
    let message = answer.get(HEADER + LINK_HEADER..).unwrap_or_default();
    let sizes = attributes(message)
        .filter(|(kind, _)| matches!(*kind, IFLA_GSO_MAX_SIZE | IFLA_GRO_MAX_SIZE))
        .filter_map(|(_, value)| value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)));
    Ok(sizes.max().unwrap_or(0))
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
    let mut xdp = Vec::new();
    attribute(&mut xdp, IFLA_XDP_FD, &descriptor.to_ne_bytes());
    attribute(&mut xdp, IFLA_XDP_FLAGS, &flags.to_ne_bytes());
    let mut request = Vec::new();
    attribute(&mut request, IFLA_XDP | libc::NLA_F_NESTED as u16, &xdp);
    ask(RTM_SETLINK, interface, &request, libc::NLM_F_ACK as u16).map(drop)
}

/// Sends one request about an interface and waits for its single answer.
fn ask(kind: u16, interface: u32, attributes: &[u8], flags: u16) -> io::Result<Vec<u8>> {
    let mut message = Vec::with_capacity(HEADER + LINK_HEADER + attributes.len());
    let len = (HEADER + LINK_HEADER + attributes.len()) as u32;
    message.extend_from_slice(&len.to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&(flags | libc::NLM_F_REQUEST as u16).to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&interface.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(attributes);

    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers are passed.
    let fd = check(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) })?;
    // SAFETY: the descriptor was made by the call above and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: the pointer is valid for the length given.
    let sent = unsafe { libc::send(socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut answer = vec![0_u8; 1 << 16];
    // SAFETY: the pointer is valid and writable for the length given.
    let got =
        unsafe { libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0) };
    answer.truncate(usize::try_from(got).map_err(|_| io::Error::last_os_error())?);
    let kind = answer.get(4..6).map(|kind| u16::from_ne_bytes([kind[0], kind[1]]));
    let error = answer.get(HEADER..).and_then(|rest| rest.first_chunk());
    match (kind, error.map(|bytes| i32::from_ne_bytes(*bytes))) {
        (Some(RTM_NEWLINK), _) | (Some(NLMSG_ERROR), Some(0)) => Ok(answer),
        (Some(NLMSG_ERROR), Some(error)) => {
            Err(io::Error::from_raw_os_error(error.saturating_neg()))
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn attribute(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    to.extend_from_slice(&(4 + value.len() as u16).to_ne_bytes());
    to.extend_from_slice(&kind.to_ne_bytes());
    to.extend_from_slice(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

/// Yields the type and value of each attribute; stops at the first one that does not fit.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let [a, b, c, d] = *bytes.first_chunk()?;
        let len = usize::from(u16::from_ne_bytes([a, b]));
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([c, d]) & libc::NLA_TYPE_MASK as u16, value))
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

    #[test]
    fn attributes_that_do_not_fit_end_the_walk() {
        let mut bytes = Vec::new();
        attribute(&mut bytes, 7, b"abcde");
        attribute(&mut bytes, 8, b"");
        assert_eq!(attributes(&bytes).collect::<Vec<_>>(), [(7, &b"abcde"[..]), (8, b"")]);
        assert_eq!(attributes(&bytes[..8]).count(), 0);
        assert_eq!(attributes(&[3, 0, 1, 0]).count(), 0, "shorter than its own header");
    }
}
