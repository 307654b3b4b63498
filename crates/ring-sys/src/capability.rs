//! Capabilities of this process (capabilities(7)).

use std::fs;
use std::io;

/// A capability that packet sockets, AF_XDP or BPF need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// Configure interfaces: promiscuous mode beyond a socket's own, hardware time stamps.
    NetAdmin,
    /// Open packet sockets.
    NetRaw,
    /// Lock more memory than `RLIMIT_MEMLOCK` allows.
    IpcLock,
    /// Privileged operations without a capability of their own.
    SysAdmin,
    /// Load BPF programs.
    Bpf,
}

impl Capability {
    /// All capabilities that this crate knows.
    pub const ALL: [Self; 5] =
        [Self::NetAdmin, Self::NetRaw, Self::IpcLock, Self::SysAdmin, Self::Bpf];

    /// The number in `linux/capability.h`.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::NetAdmin => 12,
            Self::NetRaw => 13,
            Self::IpcLock => 14,
            Self::SysAdmin => 21,
            Self::Bpf => 39,
        }
    }

    /// The name that `setcap` takes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NetAdmin => "cap_net_admin",
            Self::NetRaw => "cap_net_raw",
            Self::IpcLock => "cap_ipc_lock",
            Self::SysAdmin => "cap_sys_admin",
            Self::Bpf => "cap_bpf",
        }
    }

    /// `true` if the calling thread has the capability in its effective set, in its own user
    /// namespace.
    ///
    /// # Errors
    /// If `/proc/thread-self/status` cannot be read.
    pub fn is_effective(self) -> io::Result<bool> {
        Self::all_effective(&[self])
    }

    /// `true` if the calling thread has all of them in its effective set, in its own user
    /// namespace.
    ///
    /// # Errors
    /// If `/proc/thread-self/status` cannot be read.
    pub fn all_effective(capabilities: &[Self]) -> io::Result<bool> {
        let set = effective(&fs::read_to_string("/proc/thread-self/status")?)?;
        Ok(capabilities.iter().all(|capability| set & 1 << capability.number() != 0))
    }
}

/// Parses the `CapEff:` line of proc_pid_status(5).
fn effective(status: &str) -> io::Result<u64> {
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "no CapEff in /proc/thread-self/status")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_read() {
        assert_eq!(effective("Name:\tx\nCapEff:\t0000000000003000\n").expect("a mask"), 0x3000);
        assert!(effective("Name:\tx\n").is_err());
        assert!(Capability::NetRaw.is_effective().is_ok());
    }
}
