//! Send timestamps (`Documentation/networking/timestamping.rst`).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _};

use super::PacketSocket;
use super::abi::PACKET_TX_TIMESTAMP;
use crate::socket_option;

const TX_HARDWARE: u32 = libc::SOF_TIMESTAMPING_TX_HARDWARE;
const TX_SOFTWARE: u32 = libc::SOF_TIMESTAMPING_TX_SOFTWARE;
const REPORT: u32 = libc::SOF_TIMESTAMPING_SOFTWARE
    | libc::SOF_TIMESTAMPING_RAW_HARDWARE
    | libc::SOF_TIMESTAMPING_OPT_ID
    | libc::SOF_TIMESTAMPING_OPT_TSONLY;

/// The time at which a packet was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendTimestamp {
    /// The number of packets that the socket had sent before this one, modulo 2^32.
    pub key: u32,
    /// Seconds since the Unix epoch.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanoseconds: u32,
    /// `true` for the adapter's raw clock, `false` for the kernel's clock when it passed the packet
    /// to the driver.
    pub hardware: bool,
}

impl PacketSocket {
    /// Enables send timestamps: from now on the kernel puts one into the socket's error queue for
    /// each packet. With `hardware`, the adapter does so, too (`SO_TIMESTAMPING`).
    ///
    /// # Errors
    /// As socket(7).
    pub fn set_send_timestamps(&self, hardware: bool) -> io::Result<()> {
        let flags = REPORT | TX_SOFTWARE | if hardware { TX_HARDWARE } else { 0 };
        // SAFETY: the option takes an int of flags.
        unsafe { socket_option::set(self.as_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPING, &flags) }
    }

    /// Takes the oldest timestamp from the error queue. `None` if the queue is empty.
    ///
    /// # Errors
    /// As recvmsg(2).
    pub fn take_send_timestamp(&self) -> io::Result<Option<SendTimestamp>> {
        loop {
            let mut control = MaybeUninit::<[u64; 32]>::zeroed();
            // SAFETY: null pointers and zero lengths are a message without address, data or control
            // data.
            let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = size_of_val(&control) as _;
            let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
            // SAFETY: the message points to a buffer for control data that is writable for its
            // length.
            let received = unsafe { libc::recvmsg(self.as_fd().as_raw_fd(), &mut message, flags) };
            if received < 0 {
                let error = io::Error::last_os_error();
                return match error.kind() {
                    io::ErrorKind::WouldBlock => Ok(None),
                    io::ErrorKind::Interrupted => continue,
                    _ => Err(error),
                };
            }
            if let Some(timestamp) = parse(&message) {
                return Ok(Some(timestamp));
            }
        }
    }
}

/// Parses the two control messages that hold the key and the time. `None` if one is missing.
fn parse(message: &libc::msghdr) -> Option<SendTimestamp> {
    let (mut key, mut times) = (None, None);
    // SAFETY: the message is as the kernel filled it in.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !control.is_null() {
        // SAFETY: the pointer leads to a header of the message's control data.
        let header = unsafe { control.read_unaligned() };
        // SAFETY: as above.
        let data = unsafe { libc::CMSG_DATA(control) };
        let holds = |size: usize| header.cmsg_len as usize >= size_of::<libc::cmsghdr>() + size;
        match (header.cmsg_level, header.cmsg_type) {
            (libc::SOL_PACKET, PACKET_TX_TIMESTAMP)
                if holds(size_of::<libc::sock_extended_err>()) =>
            {
                // SAFETY: the data are at least as long as the structure, and any bytes are a valid
                // one.
                let error = unsafe { data.cast::<libc::sock_extended_err>().read_unaligned() };
                key = (error.ee_origin == libc::SO_EE_ORIGIN_TIMESTAMPING).then_some(error.ee_data);
            }
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING)
                if holds(size_of::<[libc::timespec; 3]>()) =>
            {
                // SAFETY: the data are at least as long as `struct scm_timestamping`, which is
                // three times; any bytes are valid ones.
                times = Some(unsafe { data.cast::<[libc::timespec; 3]>().read_unaligned() });
            }
            _ => {}
        }
        // SAFETY: as for the first.
        control = unsafe { libc::CMSG_NXTHDR(message, control) };
    }
    let (key, [software, _, raw]) = (key?, times?);
    let hardware = raw.tv_sec != 0 || raw.tv_nsec != 0;
    let time = if hardware { raw } else { software };
    let nanoseconds = u32::try_from(time.tv_nsec).ok()?;
    Some(SendTimestamp { key, seconds: time.tv_sec, nanoseconds, hardware })
}
