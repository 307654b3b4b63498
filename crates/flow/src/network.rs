//! A range of IP addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A range of IP addresses that share their leading bits: `192.0.2.0/24`, `2001:db8::/32`, or a
/// single address.
///
/// # Examples
///
/// ```
/// let network: flow::Network = "192.0.2.0/24".parse()?;
/// assert!(network.contains([192, 0, 2, 7].into()));
/// assert!("192.0.2.7/24".parse::<flow::Network>().is_err());
/// # Ok::<(), flow::NetworkError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Returns the network of the addresses that share `prefix` leading bits with `address`.
    ///
    /// # Errors
    ///
    /// Fails if the prefix is longer than the address, or the address has bits set after the
    /// prefix.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, NetworkError> {
        let network = Self { address, prefix };
        if prefix > network.width() {
            return Err(NetworkError::PrefixTooLong);
        }
        if network.bits(address) & !network.mask() != 0 {
            return Err(NetworkError::BitsAfterPrefix);
        }
        Ok(network)
    }

    /// Returns `true` if the address lies in the network. An IPv4 address never lies in an IPv6
    /// network, nor the reverse.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && self.bits(address) & self.mask() == self.bits(self.address)
    }

    /// The lowest address of the network.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// The number of leading bits that the addresses share.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    const fn width(&self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    fn bits(&self, address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        }
    }

    /// The mask of the leading bits, right-aligned to the width of the address.
    fn mask(&self) -> u128 {
        let free = u32::from(self.width() - self.prefix);
        let all = u128::MAX >> (128 - u32::from(self.width()));
        all & u128::MAX.checked_shl(free).unwrap_or(0)
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Address)?;
        let prefix = match prefix {
            // `u8::from_str` accepts a leading plus sign.
            Some(prefix) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
                prefix.parse().map_err(|_| NetworkError::PrefixTooLong)?
            }
            Some(_) => return Err(NetworkError::Prefix),
            None if address.is_ipv4() => 32,
            None => 128,
        };
        Self::new(address, prefix)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == self.width() {
            self.address.fmt(f)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

/// The reason why a text is not a [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The part before the slash is not an IP address.
    #[error("not an IP address; write a network as 192.0.2.0/24 or 2001:db8::/32")]
    Address,
    /// The part after the slash is not a number.
    #[error("the prefix length is not a number; write a network as 192.0.2.0/24")]
    Prefix,
    /// The prefix is longer than the address.
    #[error("the prefix is longer than the address: at most 32 bits in IPv4 and 128 in IPv6")]
    PrefixTooLong,
    /// The address has bits set after the prefix.
    #[error("the address has bits set after the prefix")]
    BitsAfterPrefix,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_the_addresses_that_share_their_prefix() {
        let contains = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse().unwrap())
        };
        assert!(contains("192.0.2.0/24", "192.0.2.255"));
        assert!(!contains("192.0.2.0/24", "192.0.3.0"));
        assert!(contains("0.0.0.0/0", "255.1.2.3"));
        assert!(!contains("0.0.0.0/0", "::1"));
        assert!(!contains("::/0", "10.0.0.1"));
        assert!(contains("2001:db8::/33", "2001:db8:7fff::1"));
        assert!(!contains("2001:db8::/33", "2001:db8:8000::1"));
        assert!(contains("192.0.2.7", "192.0.2.7"));
        assert!(!contains("192.0.2.7", "192.0.2.6"));
    }

    #[test]
    fn networks_print_as_they_are_written() {
        for text in ["192.0.2.0/24", "0.0.0.0/0", "192.0.2.7", "2001:db8::/32", "::1"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        for (text, error) in [
            ("192.0.2/24", NetworkError::Address),
            ("", NetworkError::Address),
            ("192.0.2.0/", NetworkError::PrefixTooLong),
            ("192.0.2.0/33", NetworkError::PrefixTooLong),
            ("::/129", NetworkError::PrefixTooLong),
            ("::/1000", NetworkError::PrefixTooLong),
            ("192.0.2.0/+8", NetworkError::Prefix),
            ("192.0.2.0/24 ", NetworkError::Prefix),
            ("192.0.2.1/24", NetworkError::BitsAfterPrefix),
        ] {
            assert_eq!(text.parse::<Network>(), Err(error), "{text}");
        }
    }
}
