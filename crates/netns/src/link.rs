//! A network interface inside a namespace.

use std::{
    fmt, io,
    os::fd::{AsFd as _, AsRawFd as _},
    thread,
    time::{Duration, Instant},
};

use ring_sys::netlink::{Attributes, Request};

use crate::{
    abi,
    address::InterfaceAddress,
    error::{Error, Result},
    namespace::Namespace,
};

/// Length of `struct ifinfomsg`.
const HEADER: usize = 16;

/// An interface of a [`Namespace`].
#[derive(Clone)]
pub struct Link<'n> {
    namespace: &'n Namespace,
    name: String,
    index: u32,
}

impl Namespace {
    /// Returns the link called `name`.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if there is no such link.
    pub fn link(&self, name: &str) -> Result<Link<'_>> {
        Link::find(self, name)
    }

    /// Connects this namespace to `other` by a veth pair, with the end `here` on this side and the
    /// end `there` on the other. Both ends are down and have no addresses, not even link-local
    /// ones.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if a name is taken or longer than 15 bytes, or if the kernel has no veth.
    pub fn veth_to<'a>(
        &'a self,
        other: &'a Self,
        here: &str,
        there: &str,
    ) -> Result<(Link<'a>, Link<'a>)> {
        let peer = other.as_fd().as_raw_fd().to_ne_bytes();
        let flags = abi::NLM_F_CREATE | abi::NLM_F_EXCL;
        let request = Request::new(abi::RTM_NEWLINK, flags, &header(0, 0, 0))
            .text(abi::IFLA_IFNAME, here)
            .nested(abi::IFLA_LINKINFO, |info| {
                info.text(abi::IFLA_INFO_KIND, "veth").nested(abi::IFLA_INFO_DATA, |data| {
                    data.nested(abi::VETH_INFO_PEER, |end| {
                        end.raw(&header(0, 0, 0))
                            .text(abi::IFLA_IFNAME, there)
                            .attribute(abi::IFLA_NET_NS_FD, &peer)
                    })
                })
            });
        self.ask(request).map_err(|source| {
            Error::system("make the veth pair", format!("{here}, {there}"), source)
        })?;
        let ends = (self.link(here)?, other.link(there)?);
        ends.0.without_link_local_address()?;
        ends.1.without_link_local_address()?;
        Ok(ends)
    }
}

impl<'n> Link<'n> {
    pub(crate) fn find(namespace: &'n Namespace, name: &str) -> Result<Self> {
        let request =
            Request::new(abi::RTM_GETLINK, 0, &header(0, 0, 0)).text(abi::IFLA_IFNAME, name);
        let mut link = Self { namespace, name: name.to_owned(), index: 0 };
        let answer = link.question("find the link", request)?;
        link.index = link.word(&answer, 4, "the interface index")?;
        Ok(link)
    }

    /// The link's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The link's index within its namespace.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The namespace of the link.
    pub fn namespace(&self) -> &'n Namespace {
        self.namespace
    }

    /// Brings the link up.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the link is gone.
    pub fn up(&self) -> Result<()> {
        self.set_flag("switch on", libc::IFF_UP as u32)
    }

    /// Brings the link down, which removes its IPv6 addresses.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the link is gone.
    pub fn down(&self) -> Result<()> {
        self.set_flag("switch off", 0)
    }

    /// Returns `true` if the link is up and has a carrier, so that frames sent now reach the other
    /// end.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the link is gone.
    pub fn is_running(&self) -> Result<bool> {
        let answer = self.state()?;
        Ok(self.word(&answer, 8, "its flags")? & libc::IFF_RUNNING as u32 != 0)
    }

    /// Waits at most `limit` until the link [is running](Self::is_running).
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] if the time runs out.
    pub fn wait_until_running(&self, limit: Duration) -> Result<()> {
        let started = Instant::now();
        while !self.is_running()? {
            if started.elapsed() >= limit {
                return Err(Error::NotRunning { link: self.name.clone(), waited: limit });
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// The MTU in bytes, without the Ethernet header.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the link is gone.
    pub fn mtu(&self) -> Result<u32> {
        let answer = self.state()?;
        let mtu = Attributes::at(&answer, HEADER).find(abi::IFLA_MTU).and_then(<[u8]>::first_chunk);
        mtu.map(|bytes| u32::from_ne_bytes(*bytes)).ok_or_else(|| self.lacks("the MTU"))
    }

    /// Sets the MTU in bytes, without the Ethernet header.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the link does not support this size.
    pub fn set_mtu(&self, bytes: u32) -> Result<()> {
        let request = self.change(0, 0).attribute(abi::IFLA_MTU, &bytes.to_ne_bytes());
        self.command("set the MTU of", request)
    }

    /// The link's Ethernet address.
    ///
    /// # Errors
    ///
    /// [`Error::Answer`] if the link has none.
    pub fn mac(&self) -> Result<[u8; 6]> {
        let answer = self.state()?;
        let address = Attributes::at(&answer, HEADER).find(abi::IFLA_ADDRESS);
        address
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| self.lacks("an Ethernet address"))
    }

    /// Adds an address, usable immediately because duplicate address detection is off. With its
    /// first IPv6 address the link also gets its link-local address, which routers need.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the link has the address already.
    pub fn add_address(&self, address: InterfaceAddress) -> Result<()> {
        let failed = |source| {
            Error::system("add the address", format!("{address} to {}", self.name), source)
        };
        self.try_add_address(address).map_err(failed)?;
        if address.ip().is_ipv4() {
            return Ok(());
        }
        let mac = self.mac()?;
        if mac == [0; 6] {
            return Ok(()); // loopback
        }
        match self.try_add_address(InterfaceAddress::link_local(mac)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(error)),
            _ => Ok(()),
        }
    }

    /// Removes the link and, for a veth pair, its other end.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if it is gone already or cannot be removed (`lo`).
    pub fn delete(self) -> Result<()> {
        let request = Request::new(abi::RTM_DELLINK, 0, &header(self.index, 0, 0));
        self.command("delete", request)
    }

    /// Stops the kernel from assigning an IPv6 link-local address when the link comes up.
    pub(crate) fn without_link_local_address(&self) -> Result<()> {
        let request = self.change(0, 0).nested(abi::IFLA_AF_SPEC, |families| {
            families.nested(libc::AF_INET6 as u16, |inet6| {
                inet6.attribute(abi::IFLA_INET6_ADDR_GEN_MODE, &[abi::IN6_ADDR_GEN_MODE_NONE])
            })
        });
        self.command("set the address generation of", request)
    }

    fn try_add_address(&self, address: InterfaceAddress) -> io::Result<()> {
        let [a, b, c, d] = self.index.to_ne_bytes();
        // struct ifaddrmsg
        let header = [
            address.family(),
            address.prefix(),
            abi::IFA_F_NODAD,
            abi::RT_SCOPE_UNIVERSE,
            a,
            b,
            c,
            d,
        ];
        let request = Request::new(abi::RTM_NEWADDR, abi::NLM_F_CREATE | abi::NLM_F_EXCL, &header)
            .attribute(abi::IFA_LOCAL, &address.octets())
            .attribute(abi::IFA_ADDRESS, &address.octets());
        self.namespace.ask(request)?;
        Ok(())
    }

    fn set_flag(&self, operation: &'static str, flags: u32) -> Result<()> {
        self.command(operation, self.change(flags, libc::IFF_UP as u32))
    }

    fn change(&self, flags: u32, mask: u32) -> Request {
        Request::new(abi::RTM_NEWLINK, 0, &header(self.index, flags, mask))
    }

    fn state(&self) -> Result<Vec<u8>> {
        self.question("ask for", Request::new(abi::RTM_GETLINK, 0, &header(self.index, 0, 0)))
    }

    fn command(&self, operation: &'static str, request: Request) -> Result<()> {
        self.namespace
            .ask(request)
            .map_err(|source| Error::system(operation, &self.name, source))?;
        Ok(())
    }

    fn question(&self, operation: &'static str, request: Request) -> Result<Vec<u8>> {
        let answers = self
            .namespace
            .ask(request)
            .map_err(|source| Error::system(operation, &self.name, source))?;
        answers.into_iter().next().ok_or_else(|| self.lacks("the link"))
    }

    /// The 32-bit field at `offset` of `struct ifinfomsg`.
    fn word(&self, answer: &[u8], offset: usize, field: &'static str) -> Result<u32> {
        let bytes =
            answer.get(offset..).and_then(<[u8]>::first_chunk).ok_or_else(|| self.lacks(field))?;
        Ok(u32::from_ne_bytes(*bytes))
    }

    fn lacks(&self, missing: &'static str) -> Error {
        Error::Answer { operation: "ask for", object: self.name.clone(), missing }
    }
}

impl fmt::Debug for Link<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("name", &self.name)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

/// `struct ifinfomsg` of `linux/rtnetlink.h`.
pub(crate) fn header(index: u32, flags: u32, mask: u32) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&mask.to_ne_bytes());
    header
}
