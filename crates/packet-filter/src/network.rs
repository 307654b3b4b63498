//! Networks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address and a mask. The address has no bits set outside the mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    V4 { address: u32, mask: u32 },
    V6 { address: u128, prefix: u8 },
}

impl Network {
    /// The network of the addresses that share `prefix` leading bits with `address`.
    ///
    /// `None` if the prefix is longer than the address, or the address has bits set behind it.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        match address {
            IpAddr::V4(address) if prefix <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                Self::with_mask(address, Ipv4Addr::from_bits(mask))
            }
            IpAddr::V6(address) if prefix <= 128 => {
                let address = address.to_bits();
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                (address & !mask == 0).then_some(Self(Kind::V6 { address, prefix }))
            }
            _ => None,
        }
    }

    /// The IPv4 addresses that equal `address` in the bits set in `mask`, which need not be
    /// contiguous.
    ///
    /// `None` if the address has bits set outside the mask.
    pub fn with_mask(address: Ipv4Addr, mask: Ipv4Addr) -> Option<Self> {
        let (address, mask) = (address.to_bits(), mask.to_bits());
        (address & !mask == 0).then_some(Self(Kind::V4 { address, mask }))
    }

    /// Returns `true` if it is a network of IPv4 addresses.
    pub fn is_ipv4(self) -> bool {
        matches!(self.0, Kind::V4 { .. })
    }

    /// Address and mask of an IPv4 network.
    pub(crate) fn v4(self) -> Option<(u32, u32)> {
        match self.0 {
            Kind::V4 { address, mask } => Some((address, mask)),
            Kind::V6 { .. } => None,
        }
    }

    /// Address and mask of an IPv6 network, in 32-bit words, most significant first.
    pub(crate) fn v6(self) -> Option<[(u32, u32); 4]> {
        let Kind::V6 { address, prefix } = self.0 else { return None };
        let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
        let word = |bits: u128, index: u32| (bits >> (96 - 32 * index)) as u32;
        Some([0, 1, 2, 3].map(|index| (word(address, index), word(mask, index))))
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(match address {
            IpAddr::V4(address) => Kind::V4 { address: address.to_bits(), mask: u32::MAX },
            IpAddr::V6(address) => Kind::V6 { address: address.to_bits(), prefix: 128 },
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::V4 { address, mask } => {
                let prefix = mask.leading_ones();
                if mask.count_ones() == prefix {
                    write!(f, "{}/{prefix}", Ipv4Addr::from_bits(address))
                } else {
                    write!(f, "{} mask {}", Ipv4Addr::from_bits(address), Ipv4Addr::from_bits(mask))
                }
            }
            Kind::V6 { address, prefix } => write!(f, "{}/{prefix}", Ipv6Addr::from_bits(address)),
        }
    }
}
