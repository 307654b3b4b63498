//! bpf(2): loading and attaching XDP programs without libbpf, clang or an object file.

pub mod abi;
mod information;
pub mod instruction;
mod link;
mod map;
mod program;

pub use self::information::{LinkInformation, ProgramInformation, xdp_links};
pub use self::instruction::Instruction;
pub use self::link::XdpLink;
pub use self::map::{Map, MapKind};
pub use self::program::{LoadError, Program, ProgramKind, TestRun};

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

/// Makes the system call. `T` is the part of `union bpf_attr` that the command reads.
///
/// # Safety
/// `T` must be that structure, its pointers valid for what the command does with them.
unsafe fn call<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_int> {
    let size = size_of::<T>();
    let pointer = std::ptr::from_mut(attributes);
    // SAFETY: the pointer is valid for `size` bytes; the rest is the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, pointer, size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as libc::c_int) }
}

/// Like [`call`], for commands that create a descriptor.
///
/// # Safety
/// As [`call`]; the command must create a descriptor.
unsafe fn open<T>(command: libc::c_int, attributes: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let fd = unsafe { call(command, attributes) }?;
    // SAFETY: the command made the descriptor, which belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A name in the kernel's form: up to 15 letters, digits, `_` and `.`, and a null byte.
fn object_name(name: &str) -> [u8; 16] {
    let mut place = [0; 16];
    let letters = name.bytes().filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'));
    for (place, letter) in place[..15].iter_mut().zip(letters) {
        *place = letter;
    }
    place
}

fn text(name: &[u8]) -> String {
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    String::from_utf8_lossy(&name[..end]).into_owned()
}
