//! Loaded programs and attached links.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};

use super::{Program, XdpLink, abi, call, open, text};

/// Properties of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProgramInformation {
    /// The program's ID.
    pub id: u32,
    /// The program's name, at most 15 bytes.
    pub name: String,
}

/// Properties of an XDP link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkInformation {
    /// The link's ID.
    pub id: u32,
    /// The ID of its program.
    pub program: u32,
    /// The index of its interface in that interface's network namespace; 0 once it is detached.
    pub interface: u32,
}

impl Program {
    /// Opens the program with this ID, which any process may have loaded.
    ///
    /// # Errors
    /// As bpf(2): `ENOENT`, `EPERM` without `CAP_SYS_ADMIN`.
    pub fn by_id(id: u32) -> io::Result<Self> {
        let mut attributes = abi::Identifier { id, ..abi::Identifier::default() };
        // SAFETY: this is the command's structure, without pointers.
        let fd = unsafe { open(abi::PROG_GET_FD_BY_ID, &mut attributes) }?;
        Ok(Self::from_descriptor(fd))
    }

    /// Returns the program's properties.
    ///
    /// # Errors
    /// As bpf(2).
    pub fn information(&self) -> io::Result<ProgramInformation> {
        let information: abi::ProgramInfo = object_information(self.as_fd())?;
        Ok(ProgramInformation { id: information.id, name: text(&information.name) })
    }
}

impl XdpLink {
    /// Returns the link's properties.
    ///
    /// # Errors
    /// As bpf(2); `InvalidData` for a link of another type.
    pub fn information(&self) -> io::Result<LinkInformation> {
        let information: abi::LinkInfo = object_information(self.as_fd())?;
        if information.kind != abi::LINK_TYPE_XDP {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let abi::LinkInfo { id, prog_id, xdp_ifindex, .. } = information;
        Ok(LinkInformation { id, program: prog_id, interface: xdp_ifindex })
    }
}

/// All XDP links of the system, in every network namespace. Links that are closed in the meantime
/// are left out.
///
/// # Errors
/// As bpf(2): `EPERM` without `CAP_SYS_ADMIN`.
pub fn xdp_links() -> io::Result<Vec<XdpLink>> {
    let mut links = Vec::new();
    let mut last = abi::Identifier::default();
    loop {
        // SAFETY: this is the command's structure, without pointers.
        match unsafe { call(abi::LINK_GET_NEXT_ID, &mut last) } {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(links),
            result => result?,
        };
        last.id = last.next_id;
        if let Ok(link) = XdpLink::by_id(last.id)
            && link.information().is_ok()
        {
            links.push(link);
        }
    }
}

/// # Errors
/// As bpf(2).
fn object_information<T: Information>(object: BorrowedFd<'_>) -> io::Result<T> {
    let mut information = T::default();
    let mut attributes = abi::ObjectInfo {
        bpf_fd: object.as_raw_fd() as u32,
        info_len: size_of::<T>() as u32,
        info: std::ptr::from_mut(&mut information) as u64,
    };
    // SAFETY: this is the command's structure. Its pointer is valid and writable for the length
    // given, and any bytes are a valid structure.
    unsafe { call(abi::OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    Ok(information)
}

/// Structures that the kernel fills in; they consist only of integers and arrays of integers.
trait Information: Default + Copy {}

impl Information for abi::ProgramInfo {}
impl Information for abi::LinkInfo {}
