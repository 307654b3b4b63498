//! A netlink socket: requests and their answers.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::sys::{
    socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
        setsockopt, socket, sockopt,
    },
    time::{TimeVal, TimeValLike},
};

use super::request::{HEADER, Request};
use crate::abi::NLMSG_ERROR;

/// The netlink family of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Links, addresses and routes.
    Route,
    /// Families with names, such as ethtool.
    Generic,
}

/// A socket for synchronous requests. It belongs for good to the network namespace of the thread
/// that opened it.
#[derive(Debug)]
pub(crate) struct Socket {
    descriptor: OwnedFd,
    sequence: u32,
}

impl Socket {
    pub(crate) fn open(family: Family) -> io::Result<Self> {
        let protocol = match family {
            Family::Route => SockProtocol::NetlinkRoute,
            Family::Generic => SockProtocol::NetlinkGeneric,
        };
        let descriptor =
            socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        bind(descriptor.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        setsockopt(&descriptor, sockopt::ReceiveTimeout, &TimeVal::seconds(10))?;
        Ok(Self { descriptor, sequence: 0 })
    }

    /// Sends `request` and returns the payloads of the answers that come before its
    /// acknowledgement.
    pub(crate) fn ask(&mut self, request: Request) -> io::Result<Vec<Vec<u8>>> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = request.into_bytes(self.sequence);
        send(self.descriptor.as_raw_fd(), &bytes, MsgFlags::empty())?;

        let mut answers = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let length = match recv(self.descriptor.as_raw_fd(), &mut buffer, MsgFlags::MSG_TRUNC) {
                Err(nix::Error::EINTR) => continue,
                result => result?,
            };
            // With MSG_TRUNC the kernel returns the full length of the message, not the bytes that
            // fitted.
            let mut rest = buffer.get(..length).ok_or(io::ErrorKind::InvalidData)?;
            while let Some((kind, sequence, payload, next)) = split_message(rest) {
                rest = next;
                if sequence != self.sequence {
                    continue; // of an earlier request that timed out
                }
                if kind != NLMSG_ERROR {
                    answers.push(payload.to_vec());
                    continue;
                }
                let code = payload.first_chunk().ok_or(io::ErrorKind::InvalidData)?;
                return match i32::from_ne_bytes(*code) {
                    0 => Ok(answers),
                    code => Err(io::Error::from_raw_os_error(code.saturating_neg())),
                };
            }
        }
    }
}

/// Type, sequence number and payload of the first message in `bytes`, and what follows it.
fn split_message(bytes: &[u8]) -> Option<(u16, u32, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let sequence = u32::from_ne_bytes(*bytes.get(8..)?.first_chunk()?);
    let payload = bytes.get(HEADER..length)?;
    Some((kind, sequence, payload, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}
