//! Error numbers, errno(3), as [`std::io::Error::raw_os_error`] returns them.

pub use libc::{
    E2BIG, EACCES, EAFNOSUPPORT, EAGAIN, EBUSY, EEXIST, EINVAL, EMSGSIZE, ENETDOWN, ENOBUFS,
    ENODEV, ENOMEM, ENOSPC, ENXIO, EOPNOTSUPP, EPERM, ERANGE,
};
