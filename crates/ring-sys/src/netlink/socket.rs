//! A netlink socket: requests and their answers.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};

use super::request::{HEADER, Request};
use crate::socket_option::{self, check};

const NLMSG_ERROR: u16 = libc::NLMSG_ERROR as u16;

/// The maximum time that an answer takes. The kernel answers within the call that requests; a
/// module that hangs must not hang this process as well.
const PATIENCE: libc::timeval = libc::timeval { tv_sec: 10, tv_usec: 0 };

/// The netlink family of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// Links, addresses and routes.
    Route,
    /// Families with names, such as ethtool.
    Generic,
}

/// A socket for synchronous requests. It belongs for good to the network namespace of the thread
/// that opened it.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// Opens a socket.
    ///
    /// # Errors
    /// As socket(2).
    pub fn open(family: Family) -> io::Result<Self> {
        let protocol = match family {
            Family::Route => libc::NETLINK_ROUTE,
            Family::Generic => libc::NETLINK_GENERIC,
        };
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: no pointers are passed.
        let descriptor = check(unsafe { libc::socket(libc::AF_NETLINK, kind, protocol) })?;
        // SAFETY: the descriptor was made by the call above and belongs to nobody else.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        // SAFETY: the kernel expects a `timeval` for this option.
        unsafe {
            let (level, name) = (libc::SOL_SOCKET, libc::SO_RCVTIMEO);
            socket_option::set(descriptor.as_fd(), level, name, &PATIENCE)?;
        }
        Ok(Self { descriptor, sequence: 0 })
    }

    /// Sends `request` and returns the payloads of the answers that come before its
    /// acknowledgement.
    ///
    /// # Errors
    /// The error that the kernel answered with; [`io::ErrorKind::WouldBlock`] without an answer for
    /// 10 seconds; [`io::ErrorKind::InvalidData`] for an answer that is cut off.
    pub fn ask(&mut self, request: Request) -> io::Result<Vec<Vec<u8>>> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = request.into_bytes(self.sequence);
        self.send(&bytes)?;

        let mut answers = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let length = match self.receive(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
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

impl Socket {
    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let socket = self.descriptor.as_raw_fd();
        // SAFETY: the pointer is valid for the length given.
        let sent = unsafe { libc::send(socket, bytes.as_ptr().cast(), bytes.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Receives a datagram and returns its full length, which may exceed that of the buffer.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let (socket, len) = (self.descriptor.as_raw_fd(), buffer.len());
        // SAFETY: the pointer is valid and writable for the length given.
        let got = unsafe { libc::recv(socket, buffer.as_mut_ptr().cast(), len, libc::MSG_TRUNC) };
        usize::try_from(got).map_err(|_| io::Error::last_os_error())
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
