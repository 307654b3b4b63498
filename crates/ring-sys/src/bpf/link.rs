//! Attachments that end with their owner.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use super::{Program, abi, call, open};

/// The attachment of a program to an interface. It ends when the descriptor is closed, at the
/// latest when the process ends.
#[derive(Debug)]
pub struct XdpLink {
    fd: OwnedFd,
}

impl XdpLink {
    /// Attaches a program. Never replaces an attached one. `flags` is [`abi::XDP_FLAGS_DRV_MODE`]
    /// or [`abi::XDP_FLAGS_SKB_MODE`].
    ///
    /// # Errors
    /// As bpf(2): `EBUSY` if another program is attached, `EEXIST` if one is attached in the other
    /// mode, `EOPNOTSUPP` if the driver has no native mode, `ERANGE` or `EINVAL` if the MTU is too
    /// large for the program, `EPERM`.
    pub fn create(program: &Program, interface: u32, flags: u32) -> io::Result<Self> {
        let mut attributes = abi::LinkCreate {
            prog_fd: program.as_fd().as_raw_fd() as u32,
            target_ifindex: interface,
            attach_type: abi::ATTACH_XDP,
            flags,
        };
        // SAFETY: this is the command's structure, without pointers.
        let fd = unsafe { open(abi::LINK_CREATE, &mut attributes) }?;
        Ok(Self { fd })
    }

    /// Opens the link with this ID, which any process may have created.
    ///
    /// # Errors
    /// As bpf(2): `ENOENT`, `EPERM` without `CAP_SYS_ADMIN`.
    pub fn by_id(id: u32) -> io::Result<Self> {
        let mut attributes = abi::Identifier { id, ..abi::Identifier::default() };
        // SAFETY: this is the command's structure, without pointers.
        let fd = unsafe { open(abi::LINK_GET_FD_BY_ID, &mut attributes) }?;
        Ok(Self { fd })
    }

    /// Replaces the attached program atomically, so that no packet passes without a program.
    ///
    /// # Errors
    /// As bpf(2).
    pub fn update(&self, program: &Program) -> io::Result<()> {
        let mut attributes = abi::LinkUpdate {
            link_fd: self.fd.as_raw_fd() as u32,
            new_prog_fd: program.as_fd().as_raw_fd() as u32,
            ..abi::LinkUpdate::default()
        };
        // SAFETY: this is the command's structure, without pointers.
        unsafe { call(abi::LINK_UPDATE, &mut attributes) }?;
        Ok(())
    }

    /// Detaches the program from the interface, even while other descriptors hold the link.
    ///
    /// # Errors
    /// As bpf(2): `EINVAL` before Linux 5.11.
    pub fn detach(&self) -> io::Result<()> {
        let mut link_fd = self.fd.as_raw_fd() as u32;
        // SAFETY: the command's structure is this number alone.
        unsafe { call(abi::LINK_DETACH, &mut link_fd) }?;
        Ok(())
    }
}

impl AsFd for XdpLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
