//! Offloads of a link: segmentation, coalescing, checksums.

use std::io;

use ring_sys::netlink::{Attributes, Family, Request, Socket};

use crate::{
    abi,
    error::{Error, Result},
    link::Link,
};

/// Length of `struct genlmsghdr`.
const HEADER: usize = 4;

/// Work that a link takes over from the network stack, set by ethtool's netlink interface
/// (Documentation/networking/ethtool-netlink.rst).
///
/// With segmentation on, a veth pair carries segments of up to 64 KiB with unfinished checksums.
/// With segmentation off, it carries the frames that a cable would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Offload {
    /// Splitting large TCP and UDP sends into segments (TSO, GSO, USO), at the sender.
    Segmentation,
    /// Joining received segments (GRO): at the receiver.
    Coalescing,
    /// Computing checksums of sent packets. Segmentation needs it.
    TransmitChecksum,
}

impl Offload {
    /// The kernel's names for the features, the main one first. Names that the kernel does not know
    /// are skipped.
    fn features(self) -> &'static [&'static str] {
        match self {
            Self::Segmentation => &[
                "tx-tcp-segmentation",
                "tx-tcp6-segmentation",
                "tx-tcp-ecn-segmentation",
                "tx-tcp-mangleid-segmentation",
                "tx-generic-segmentation",
                "tx-udp-segmentation",
            ],
            Self::Coalescing => &["rx-gro"],
            Self::TransmitChecksum => &["tx-checksum-ip-generic"],
        }
    }

    fn set(self, link: &Link<'_>, on: bool) -> Result<()> {
        let mut ethtool = Ethtool::open(link)?;
        let known = ethtool.active()?;
        for feature in self.features() {
            if known.iter().any(|(name, active)| name == feature && *active != on) {
                ethtool.set(feature, on)?;
            }
        }
        let feature = self.features()[0];
        match ethtool.active()?.iter().find(|(name, _)| name == feature) {
            Some((_, active)) if *active == on => Ok(()),
            _ => Err(Error::OffloadFixed { link: link.name().to_owned(), feature }),
        }
    }

    fn is_on(self, link: &Link<'_>) -> Result<bool> {
        let active = Ethtool::open(link)?.active()?;
        Ok(active.iter().any(|(name, active)| name == self.features()[0] && *active))
    }
}

impl Link<'_> {
    /// Turns an offload on or off.
    ///
    /// # Errors
    ///
    /// [`Error::OffloadFixed`] if the kernel does not allow the change, [`Error::System`] if it
    /// does not know the offload.
    pub fn set_offload(&self, offload: Offload, on: bool) -> Result<()> {
        offload.set(self, on)
    }

    /// Returns `true` if an offload is on.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the link is gone.
    pub fn offload(&self, offload: Offload) -> Result<bool> {
        offload.is_on(self)
    }
}

/// A generic netlink socket for the ethtool requests of one link.
struct Ethtool<'l> {
    socket: Socket,
    family: u16,
    link: &'l Link<'l>,
}

impl<'l> Ethtool<'l> {
    fn open(link: &'l Link<'l>) -> Result<Self> {
        let opened: io::Result<_> = link.namespace().run(|| {
            let mut socket = Socket::open(Family::Generic)?;
            let request = Request::new(abi::GENL_ID_CTRL, 0, &[abi::CTRL_CMD_GETFAMILY, 1, 0, 0])
                .text(abi::CTRL_ATTR_FAMILY_NAME, "ethtool");
            let answers = socket.ask(request)?;
            let family = answers
                .iter()
                .find_map(|answer| {
                    Attributes::at(answer, HEADER).find(abi::CTRL_ATTR_FAMILY_ID)?.first_chunk()
                })
                .ok_or(io::ErrorKind::InvalidData)?;
            Ok((socket, u16::from_ne_bytes(*family)))
        })?;
        let (socket, family) =
            opened.map_err(|source| Error::system("ask ethtool about", link.name(), source))?;
        Ok(Self { socket, family, link })
    }

    /// The name of every feature, with `true` if it is on.
    fn active(&mut self) -> Result<Vec<(String, bool)>> {
        let request = self.request(abi::ETHTOOL_MSG_FEATURES_GET, 0);
        let answers = self.ask("read the offloads of", request)?;
        let mut features = Vec::new();
        for answer in &answers {
            // The active set holds only features that are on; the hardware's set has all other
            // names.
            let on =
                names(Attributes::at(answer, HEADER).inside(abi::ETHTOOL_A_FEATURES_ACTIVE), true);
            let all =
                names(Attributes::at(answer, HEADER).inside(abi::ETHTOOL_A_FEATURES_HW), false);
            features.extend(on.iter().map(|name| (name.clone(), true)));
            features.extend(
                all.into_iter().filter(|name| !on.contains(name)).map(|name| (name, false)),
            );
        }
        Ok(features)
    }

    fn set(&mut self, feature: &str, on: bool) -> Result<()> {
        let request = self
            .request(abi::ETHTOOL_MSG_FEATURES_SET, abi::ETHTOOL_FLAG_OMIT_REPLY)
            .nested(abi::ETHTOOL_A_FEATURES_WANTED, |set| {
                set.nested(abi::ETHTOOL_A_BITSET_BITS, |bits| {
                    bits.nested(abi::ETHTOOL_A_BITSET_BITS_BIT, |bit| {
                        let bit = bit.text(abi::ETHTOOL_A_BITSET_BIT_NAME, feature);
                        if on { bit.attribute(abi::ETHTOOL_A_BITSET_BIT_VALUE, &[]) } else { bit }
                    })
                })
            });
        self.ask("change the offloads of", request)?;
        Ok(())
    }

    fn request(&self, command: u8, flags: u32) -> Request {
        let index = self.link.index().to_ne_bytes();
        Request::new(self.family, 0, &[command, abi::ETHTOOL_GENL_VERSION, 0, 0]).nested(
            abi::ETHTOOL_A_FEATURES_HEADER,
            |header| {
                header
                    .attribute(abi::ETHTOOL_A_HEADER_DEV_INDEX, &index)
                    .attribute(abi::ETHTOOL_A_HEADER_FLAGS, &flags.to_ne_bytes())
            },
        )
    }

    fn ask(&mut self, operation: &'static str, request: Request) -> Result<Vec<Vec<u8>>> {
        self.socket
            .ask(request)
            .map_err(|source| Error::system(operation, self.link.name(), source))
    }
}

/// The names in a bit set of the verbose form. With `only_set`, just the names whose bit is set;
/// sets without a mask contain no others.
fn names(set: Attributes<'_>, only_set: bool) -> Vec<String> {
    let masked = set.find(abi::ETHTOOL_A_BITSET_NOMASK).is_none();
    set.inside(abi::ETHTOOL_A_BITSET_BITS)
        .filter(|(kind, _)| *kind == abi::ETHTOOL_A_BITSET_BITS_BIT)
        .filter_map(|(_, bit)| {
            let bit = Attributes::at(bit, 0);
            if only_set && masked && bit.find(abi::ETHTOOL_A_BITSET_BIT_VALUE).is_none() {
                return None;
            }
            let name = bit.find(abi::ETHTOOL_A_BITSET_BIT_NAME)?;
            Some(String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(name)).into_owned())
        })
        .collect()
}
