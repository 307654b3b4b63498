//! Attachments that go away with their owner.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use super::{Program, abi, call, open};

/// The attachment of a program to an interface; gone when the descriptor is closed, at the latest with the process.
#[derive(Debug)]
pub struct XdpLink {
    fd: OwnedFd,
}

impl XdpLink {
    /// Attaches a program. It never replaces one that is there. `flags`: [`abi::XDP_FLAGS_DRV_MODE`] or
    /// [`abi::XDP_FLAGS_SKB_MODE`].
    ///
    /// # Errors
    /// As bpf(2): `EBUSY` where another program is attached, `EEXIST` where one is in the other mode, `EOPNOTSUPP` where
    /// the driver knows no native mode, `ERANGE` or `EINVAL` where the MTU is too large for the program, `EPERM`.
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

    /// The link of this number, whoever made it.
    ///
    /// # Errors
    /// As bpf(2): `ENOENT`, `EPERM` without `CAP_SYS_ADMIN`.
    pub fn by_id(id: u32) -> io::Result<Self> {
        let mut attributes = abi::Identifier { id, ..abi::Identifier::default() };
        // SAFETY: this is the command's structure, without pointers.
        let fd = unsafe { open(abi::LINK_GET_FD_BY_ID, &mut attributes) }?;
        Ok(Self { fd })
    }

    /// Puts another program in the place of the one that is attached; no packet passes without one.
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

    /// Takes the program off the interface, while others may still hold the link.
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
