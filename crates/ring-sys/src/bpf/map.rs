//! BPF maps.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use super::{abi, call, object_name, open};

/// A map, closed on drop. The kernel keeps it while programs use it.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
}

/// The type of a map, `enum bpf_map_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MapKind {
    /// Values indexed by number.
    Array,
    /// AF_XDP sockets indexed by number.
    XskMap,
}

impl MapKind {
    const fn number(self) -> u32 {
        match self {
            Self::Array => 2,
            Self::XskMap => 17,
        }
    }
}

impl Map {
    /// Creates a map with keys of four bytes.
    ///
    /// # Errors
    /// As bpf(2): `EPERM` without `CAP_BPF` or `CAP_SYS_ADMIN` (an XSKMAP also needs
    /// `CAP_NET_ADMIN`).
    pub fn new(kind: MapKind, value_size: u32, entries: u32, name: &str) -> io::Result<Self> {
        let mut attributes = abi::MapCreate {
            map_type: kind.number(),
            key_size: 4,
            value_size,
            max_entries: entries,
            map_name: object_name(name),
            ..abi::MapCreate::default()
        };
        // SAFETY: this is the command's structure, without pointers.
        let fd = unsafe { open(abi::MAP_CREATE, &mut attributes) }?;
        Ok(Self { fd })
    }

    /// Wraps a map that somebody else created. Its type is not checked here.
    #[must_use]
    pub fn from_descriptor(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Stores a descriptor under a key.
    ///
    /// # Errors
    /// As bpf(2): `E2BIG` for a key out of range, `EOPNOTSUPP` or `EINVAL` for a map that does not
    /// take such descriptors.
    pub fn set_descriptor(&self, key: u32, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        self.update(key, descriptor, 0)
    }

    /// Stores a descriptor under a key that has no value yet (`BPF_NOEXIST`).
    ///
    /// # Errors
    /// As [`set_descriptor`](Self::set_descriptor); `EEXIST` if the key has a value.
    pub fn add_descriptor(&self, key: u32, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        self.update(key, descriptor, abi::NO_EXIST)
    }

    fn update(&self, key: u32, descriptor: BorrowedFd<'_>, flags: u64) -> io::Result<()> {
        let value = descriptor.as_raw_fd();
        let mut attributes = abi::MapElement {
            map_fd: self.fd.as_raw_fd() as u32,
            key: std::ptr::from_ref(&key) as u64,
            value: std::ptr::from_ref(&value) as u64,
            flags,
            ..abi::MapElement::default()
        };
        // SAFETY: this is the command's structure. Maps of descriptors have keys and values of four
        // bytes, to which the pointers lead. `check_sizes` refuses a map with longer ones.
        self.check_sizes().and_then(|()| unsafe { call(abi::MAP_UPDATE_ELEM, &mut attributes) })?;
        Ok(())
    }

    /// Removes the value of a key.
    ///
    /// # Errors
    /// As bpf(2): `ENOENT` or `EINVAL` if the key has no value.
    pub fn delete(&self, key: u32) -> io::Result<()> {
        let mut attributes = abi::MapElement {
            map_fd: self.fd.as_raw_fd() as u32,
            key: std::ptr::from_ref(&key) as u64,
            ..abi::MapElement::default()
        };
        // SAFETY: this is the command's structure, and the key has as many bytes as the map's.
        self.check_sizes().and_then(|()| unsafe { call(abi::MAP_DELETE_ELEM, &mut attributes) })?;
        Ok(())
    }

    /// The type of the map. `None` if it is not one of [`MapKind`].
    ///
    /// # Errors
    /// As bpf(2): `EINVAL` if the descriptor is not a map.
    pub fn kind(&self) -> io::Result<Option<MapKind>> {
        let number = self.information()?[0];
        Ok([MapKind::Array, MapKind::XskMap].into_iter().find(|kind| kind.number() == number))
    }

    /// The maximum number of entries.
    ///
    /// # Errors
    /// As bpf(2): `EINVAL` if the descriptor is not a map.
    pub fn entries(&self) -> io::Result<u32> {
        Ok(self.information()?[4])
    }

    /// Checks that keys have four bytes and values at most four, since they are accessed by
    /// pointers to `u32`.
    fn check_sizes(&self) -> io::Result<()> {
        let information = self.information()?;
        if information[2] == 4 && information[3] <= 4 {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(libc::EINVAL))
        }
    }

    /// The first words of `struct bpf_map_info`: type, id, key size, value size, entries, flags.
    fn information(&self) -> io::Result<[u32; 6]> {
        let mut words = [0_u32; 6];
        let mut attributes = abi::ObjectInfo {
            bpf_fd: self.fd.as_raw_fd() as u32,
            info_len: size_of_val(&words) as u32,
            info: words.as_mut_ptr() as u64,
        };
        // SAFETY: this is the command's structure. Its pointer is valid and writable for the length
        // given. For another type of object the kernel writes that type's structure, up to the same
        // length.
        unsafe { call(abi::OBJ_GET_INFO_BY_FD, &mut attributes) }?;
        Ok(words)
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
