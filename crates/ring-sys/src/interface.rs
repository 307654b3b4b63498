//! Properties of network interfaces (netdevice(7), `/sys/class/net`, `linux/ethtool.h`).

mod spread;

use std::ffi::CString;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use crate::netlink;
use crate::socket_option::check;

pub use self::spread::ReceiveSpread;
pub use libc::{ARPHRD_ETHER, ARPHRD_LOOPBACK, ARPHRD_NONE};

/// The properties of an interface. `None` stands for those that neither the kernel nor the driver
/// reports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interface {
    /// The interface's index, from 1.
    pub index: u32,
    /// The interface's name.
    pub name: String,
    /// `IFF_*` of `linux/if.h`.
    pub flags: u32,
    /// The longest packet in bytes, without the link-layer header.
    pub mtu: u32,
    /// The hardware address, if it has six bytes.
    pub mac: Option<[u8; 6]>,
    /// `ARPHRD_*` of `linux/if_arp.h`.
    pub hardware_type: u16,
    /// The kernel driver.
    pub driver: Option<String>,
    /// Megabits per second.
    pub speed: Option<u32>,
    /// Number of receive and send queues, 0 if neither the driver nor `/sys` reports it.
    pub queues: (u32, u32),
    /// The NUMA node that the adapter is attached to.
    pub numa_node: Option<u32>,
    /// Offloads that change packets, as ethtool reports them.
    pub offloads: Offloads,
    /// `SOF_TIMESTAMPING_*` that it supports.
    pub timestamping: Option<u32>,
}

/// Offloads that make captured packets differ from those on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Offloads {
    /// Receive checksums are checked by the adapter.
    pub rx_checksum: bool,
    /// Send checksums are filled in by the adapter, after they were captured.
    pub tx_checksum: bool,
    /// Sent segments are split by the adapter, after they were captured.
    pub tcp_segmentation: bool,
    /// Received segments are joined by the kernel.
    pub generic_receive: bool,
    /// Received segments are joined by the adapter.
    pub large_receive: bool,
}

/// `IFF_UP`.
pub const UP: u32 = libc::IFF_UP as u32;
/// `IFF_RUNNING`.
pub const RUNNING: u32 = libc::IFF_RUNNING as u32;
/// `IFF_LOOPBACK`.
pub const LOOPBACK: u32 = libc::IFF_LOOPBACK as u32;
/// `IFF_PROMISC`.
pub const PROMISCUOUS: u32 = libc::IFF_PROMISC as u32;

/// The index of an interface.
///
/// # Errors
/// `ENODEV` if there is no interface of that name.
pub fn index(name: &str) -> io::Result<u32> {
    let name = CString::new(name).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    // SAFETY: the pointer leads to a string that ends in a null byte.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// The name of the interface with this index.
///
/// # Errors
/// `ENXIO` if there is no such interface.
pub fn name(index: u32) -> io::Result<String> {
    let mut name = [0 as libc::c_char; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the size that the function requires.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr()) };
    if found.is_null() {
        return Err(io::Error::last_os_error());
    }
    Ok(text(&name))
}

/// The type of an interface's hardware, `ARPHRD_*` of `linux/if_arp.h`.
///
/// # Errors
/// `ENODEV` if there is no interface of that name.
pub fn hardware_type(name: &str) -> io::Result<u16> {
    let (_, request) = ask(name, libc::SIOCGIFHWADDR)?;
    // SAFETY: this request fills in the hardware address.
    Ok(unsafe { request.ifr_ifru.ifru_hwaddr }.sa_family)
}

/// The flags of an interface, `IFF_*`.
///
/// # Errors
/// `ENODEV` if there is no interface of that name.
pub fn flags(name: &str) -> io::Result<u32> {
    let (_, request) = ask(name, libc::SIOCGIFFLAGS)?;
    // SAFETY: this request fills in the flags.
    Ok(u32::from(unsafe { request.ifr_ifru.ifru_flags } as u16))
}

/// The longest packet in bytes, without the link-layer header.
///
/// # Errors
/// `ENODEV` if there is no interface of that name.
pub fn mtu(name: &str) -> io::Result<u32> {
    let (_, request) = ask(name, libc::SIOCGIFMTU)?;
    // SAFETY: this request fills in the MTU.
    Ok(unsafe { request.ifr_ifru.ifru_mtu } as u32)
}

/// The network mask of an interface's first IPv4 address. `None` if it has no IPv4 address.
///
/// # Errors
/// `ENODEV` if there is no interface of that name.
pub fn netmask(name: &str) -> io::Result<Option<Ipv4Addr>> {
    let mut request = request(name)?;
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers are passed.
    let fd = check(unsafe { libc::socket(libc::AF_INET, kind, 0) })?;
    // SAFETY: the descriptor was made by the call above and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let what = libc::SIOCGIFNETMASK;
    // SAFETY: this request takes and fills in this structure, in which there are no pointers.
    match check(unsafe { libc::ioctl(socket.as_raw_fd(), what as _, &mut request) }) {
        Ok(_) => {}
        Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => return Ok(None),
        Err(error) => return Err(error),
    }
    // SAFETY: this request fills in the mask.
    let mask = unsafe { request.ifr_ifru.ifru_netmask };
    // Port and address of `struct sockaddr_in`, in network byte order.
    let [_, _, a, b, c, d, ..] = mask.sa_data.map(|byte| byte as u8);
    Ok((i32::from(mask.sa_family) == libc::AF_INET).then(|| Ipv4Addr::new(a, b, c, d)))
}

/// The size in bytes of the largest packet made of segments on an interface, sent or received.
/// Above 65,536 this is BIG TCP: over IPv6, such packets have a hop-by-hop header with a jumbo
/// payload option (RFC 2675).
///
/// # Errors
/// As netlink(7): `ENODEV`.
pub fn largest_segment(index: u32) -> io::Result<u32> {
    /// `IFLA_*` of `linux/if_link.h`.
    const GSO_MAX_SIZE: u16 = 41;
    const GRO_MAX_SIZE: u16 = 58;
    let link = netlink::get_link(index)?;
    let sizes = link
        .attributes()
        .filter(|(kind, _)| matches!(*kind, GSO_MAX_SIZE | GRO_MAX_SIZE))
        .filter_map(|(_, value)| value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)));
    Ok(sizes.max().unwrap_or(0))
}

/// All interfaces of this network namespace, ordered by index.
///
/// # Errors
/// If the kernel does not list them.
pub fn list() -> io::Result<Vec<Interface>> {
    // SAFETY: no pointers are passed.
    let names = unsafe { libc::if_nameindex() };
    if names.is_null() {
        return Err(io::Error::last_os_error());
    }
    let mut found = Vec::new();
    let mut at = names;
    loop {
        // SAFETY: the list ends with an entry of index 0, which was not reached yet.
        let entry = unsafe { *at };
        if entry.if_index == 0 || entry.if_name.is_null() {
            break;
        }
        // SAFETY: the entry's name is a string that ends in a null byte.
        let name =
            unsafe { std::ffi::CStr::from_ptr(entry.if_name) }.to_string_lossy().into_owned();
        found.push((entry.if_index, name));
        // SAFETY: this was not the last entry, so there is another one.
        at = unsafe { at.add(1) };
    }
    // SAFETY: the list came from `if_nameindex` and is no longer used.
    unsafe { libc::if_freenameindex(names) };
    // An interface that was removed in the meantime is left out.
    let mut interfaces: Vec<Interface> =
        found.into_iter().filter_map(|(index, name)| describe(index, name).ok()).collect();
    interfaces.sort_by_key(|interface| interface.index);
    Ok(interfaces)
}

/// Returns the properties of one interface.
///
/// # Errors
/// `ENODEV` if there is no interface of that name.
pub fn find(name: &str) -> io::Result<Interface> {
    describe(index(name)?, name.to_owned())
}

/// Enables the adapter's receive timestamps, for all sockets (`SIOCSHWTSTAMP` with
/// `HWTSTAMP_FILTER_ALL`). Changes nothing if they are enabled already. Send timestamps stay as
/// they are.
///
/// # Errors
/// `EOPNOTSUPP` for adapters without timestamps, `EPERM` without `CAP_NET_ADMIN`, `ENODEV`.
pub fn enable_hardware_timestamps(name: &str) -> io::Result<()> {
    const FILTER_ALL: i32 = 1;
    /// `struct hwtstamp_config` of `linux/net_tstamp.h`.
    #[repr(C)]
    struct Config {
        flags: i32,
        tx_type: i32,
        rx_filter: i32,
    }
    let mut config = Config { flags: 0, tx_type: 0, rx_filter: 0 };
    let socket = control_socket()?;
    let call = |what: libc::c_ulong, config: &mut Config| {
        let mut request = request(name)?;
        request.ifr_ifru.ifru_data = std::ptr::from_mut(config).cast();
        // SAFETY: the request's pointer leads to the structure that both calls read and write.
        check(unsafe { libc::ioctl(socket.as_raw_fd(), what as _, &mut request) })
    };
    // Some drivers do not report their setting; both kinds of timestamps count as off then.
    if call(libc::SIOCGHWTSTAMP as _, &mut config).is_ok() && config.rx_filter == FILTER_ALL {
        return Ok(());
    }
    config = Config { flags: 0, rx_filter: FILTER_ALL, ..config };
    call(libc::SIOCSHWTSTAMP as _, &mut config)?;
    Ok(())
}

fn describe(index: u32, name: String) -> io::Result<Interface> {
    let (_, address) = ask(&name, libc::SIOCGIFHWADDR)?;
    // SAFETY: this request fills in the hardware address.
    let address = unsafe { address.ifr_ifru.ifru_hwaddr };
    let hardware_type = address.sa_family;
    let mac = matches!(hardware_type, ARPHRD_ETHER | ARPHRD_LOOPBACK)
        .then(|| std::array::from_fn(|at| address.sa_data[at] as u8));
    let sys = PathBuf::from("/sys/class/net").join(&name);
    // If the folder belongs to another interface, use a path with nothing below it.
    let sys = if is_of(&sys, index, mac) { sys } else { PathBuf::from("/dev/null") };
    let counted = |kind: &str| {
        let entries = fs::read_dir(sys.join("queues")).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(kind)).count() as u32
    };
    let queues = ethtool::queues(&name).unwrap_or_else(|| (counted("rx-"), counted("tx-")));
    let number = |file: &str| fs::read_to_string(sys.join(file)).ok()?.trim().parse::<u32>().ok();
    let driver = fs::read_link(sys.join("device/driver")).ok();
    let driver = driver.and_then(|link| Some(link.file_name()?.to_string_lossy().into_owned()));
    Ok(Interface {
        index,
        flags: flags(&name)?,
        mtu: mtu(&name)?,
        mac,
        hardware_type,
        driver: ethtool::driver(&name).or(driver),
        speed: number("speed").filter(|&speed| speed > 0 && speed < i32::MAX as u32),
        queues,
        numa_node: number("device/numa_node"),
        offloads: ethtool::offloads(&name),
        timestamping: ethtool::timestamping(&name),
        name,
    })
}

/// `true` if a folder of `/sys` belongs to this interface. `/sys` shows the network namespace in
/// which it was mounted, and another interface may have the name there.
fn is_of(sys: &Path, index: u32, mac: Option<[u8; 6]>) -> bool {
    let read = |file: &str| fs::read_to_string(sys.join(file)).unwrap_or_default();
    let shown = |mac: [u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
    read("ifindex").trim() == index.to_string()
        && mac.is_none_or(|mac| read("address").trim() == shown(mac))
}

/// A socket for control requests; any socket will do.
fn control_socket() -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    let fd =
        check(unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the descriptor was made by the call above and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(crate) fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all zeroes are an interface request without a name.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = byte as libc::c_char;
    }
    Ok(request)
}

/// Makes a request that takes a name and returns a value, without pointers.
fn ask(name: &str, what: libc::c_ulong) -> io::Result<(OwnedFd, libc::ifreq)> {
    let socket = control_socket()?;
    let mut request = request(name)?;
    // SAFETY: the requests made in this file take and fill in this structure, in which there are no
    // pointers.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), what as _, &mut request) })?;
    Ok((socket, request))
}

fn text(bytes: &[libc::c_char]) -> String {
    let bytes: Vec<u8> =
        bytes.iter().map(|&byte| byte as u8).take_while(|&byte| byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `SIOCETHTOOL` of `linux/ethtool.h`.
mod ethtool {
    use super::{Offloads, check, control_socket, request};
    use std::io;
    use std::os::fd::AsRawFd as _;

    const GDRVINFO: u32 = 0x3;
    const GRXCSUM: u32 = 0x14;
    const GTXCSUM: u32 = 0x16;
    const GTSO: u32 = 0x1e;
    const GFLAGS: u32 = 0x25;
    const GGRO: u32 = 0x2b;
    const GCHANNELS: u32 = 0x3c;
    const GET_TS_INFO: u32 = 0x41;
    /// `ETH_FLAG_LRO`.
    const FLAG_LRO: u32 = 1 << 15;

    /// `struct ethtool_value`.
    #[repr(C)]
    struct Value {
        command: u32,
        data: u32,
    }

    /// `struct ethtool_drvinfo`.
    #[repr(C)]
    struct DriverInfo {
        command: u32,
        driver: [u8; 32],
        rest: [u8; 32 + 32 + 32 + 32 + 12 + 5 * 4],
    }

    /// `struct ethtool_ts_info`.
    #[repr(C)]
    struct TimestampInfo {
        command: u32,
        so_timestamping: u32,
        rest: [u32; 9],
    }

    const _: () = assert!(size_of::<DriverInfo>() == 196);
    const _: () = assert!(size_of::<TimestampInfo>() == 44);

    pub(super) fn driver(name: &str) -> Option<String> {
        let mut info = DriverInfo { command: GDRVINFO, driver: [0; 32], rest: [0; 160] };
        // SAFETY: the command fills in this structure.
        unsafe { call(name, &mut info) }.ok()?;
        let driver: Vec<u8> = info.driver.into_iter().take_while(|&byte| byte != 0).collect();
        (!driver.is_empty()).then(|| String::from_utf8_lossy(&driver).into_owned())
    }

    /// `struct ethtool_channels`: the maximum numbers, then the current ones.
    #[repr(C)]
    #[derive(Default)]
    struct Channels {
        command: u32,
        most: [u32; 4],
        rx: u32,
        tx: u32,
        other: u32,
        combined: u32,
    }

    const _: () = assert!(size_of::<Channels>() == 36);

    /// Number of receive and send queues, if the driver reports it.
    pub(super) fn queues(name: &str) -> Option<(u32, u32)> {
        let mut channels = Channels { command: GCHANNELS, ..Channels::default() };
        // SAFETY: the command fills in this structure.
        unsafe { call(name, &mut channels) }.ok()?;
        let Channels { rx, tx, combined, .. } = channels;
        Some((rx.saturating_add(combined), tx.saturating_add(combined)))
    }

    pub(super) fn timestamping(name: &str) -> Option<u32> {
        let mut info = TimestampInfo { command: GET_TS_INFO, so_timestamping: 0, rest: [0; 9] };
        // SAFETY: the command fills in this structure.
        unsafe { call(name, &mut info) }.ok()?;
        Some(info.so_timestamping)
    }

    pub(super) fn offloads(name: &str) -> Offloads {
        let value = |command| {
            let mut value = Value { command, data: 0 };
            // SAFETY: all commands given here fill in this structure.
            unsafe { call(name, &mut value) }.map_or(0, |()| value.data)
        };
        Offloads {
            rx_checksum: value(GRXCSUM) != 0,
            tx_checksum: value(GTXCSUM) != 0,
            tcp_segmentation: value(GTSO) != 0,
            generic_receive: value(GGRO) != 0,
            large_receive: value(GFLAGS) & FLAG_LRO != 0,
        }
    }

    /// # Safety
    /// `T` must start with a command and be the structure that this command takes.
    unsafe fn call<T>(name: &str, structure: &mut T) -> io::Result<()> {
        let socket = control_socket()?;
        let mut request = request(name)?;
        request.ifr_ifru.ifru_data = std::ptr::from_mut(structure).cast();
        // SAFETY: the request's pointer leads to what the command reads and writes, as the caller
        // promises.
        check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &mut request) })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found() {
        let found = find("lo").expect("every namespace has lo");
        assert_eq!(found.hardware_type, ARPHRD_LOOPBACK);
        assert_eq!(name(found.index).expect("its name"), "lo");
        assert_ne!(found.flags & LOOPBACK, 0);
        assert!(list().expect("a list").contains(&found));
        assert!(largest_segment(found.index).expect("an answer") >= 65_536);
        // The namespace decides if it has an address.
        let netmask = netmask("lo").expect("an answer");
        assert!(netmask.is_none_or(|mask| mask == Ipv4Addr::new(255, 0, 0, 0)), "{netmask:?}");
    }

    #[test]
    fn names_that_are_none() {
        for name in ["", "no-such-interface-anywhere", "x\0y", "nope0"] {
            assert!(find(name).is_err(), "{name:?}");
        }
    }
}
