//! IP addresses with a prefix length.

use std::{fmt, net::IpAddr, str::FromStr};

use thiserror::Error;

/// An IP address and its prefix length in bits, such as `10.0.0.1/24` or `fd00::1/64`.
///
/// # Examples
///
/// ```
/// use netns::InterfaceAddress;
///
/// let address: InterfaceAddress = "10.0.0.1/24".parse()?;
/// assert_eq!(address.prefix(), 24);
/// assert!("10.0.0.1/33".parse::<InterfaceAddress>().is_err());
/// # Ok::<(), netns::ParseAddressError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InterfaceAddress {
    ip: IpAddr,
    prefix: u8,
}

impl InterfaceAddress {
    /// Creates an address from `ip` and a prefix length of `prefix` bits.
    ///
    /// # Errors
    ///
    /// [`ParseAddressError::Prefix`] if `prefix` exceeds the number of bits in the address.
    pub fn new(ip: IpAddr, prefix: u8) -> Result<Self, ParseAddressError> {
        let limit = if ip.is_ipv4() { 32 } else { 128 };
        if prefix > limit {
            return Err(ParseAddressError::Prefix { limit });
        }
        Ok(Self { ip, prefix })
    }

    /// The address without the prefix length.
    pub fn ip(self) -> IpAddr {
        self.ip
    }

    /// The prefix length in bits.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The link-local address of a link with the Ethernet address `mac` (RFC 4291, appendix A).
    pub(crate) fn link_local([a, b, c, d, e, f]: [u8; 6]) -> Self {
        let ip = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f];
        Self { ip: IpAddr::from(ip), prefix: 64 }
    }

    /// The address in network byte order, 4 or 16 bytes.
    pub(crate) fn octets(self) -> Vec<u8> {
        octets(self.ip)
    }

    pub(crate) fn family(self) -> u8 {
        let family = if self.ip.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        family as u8
    }
}

impl FromStr for InterfaceAddress {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        let (ip, prefix) = text.split_once('/').ok_or(ParseAddressError::Form)?;
        let ip = ip.parse().map_err(|_| ParseAddressError::Form)?;
        let prefix = prefix.parse().map_err(|_| ParseAddressError::Form)?;
        Self::new(ip, prefix)
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// The error of a text that is not an [`InterfaceAddress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseAddressError {
    /// Not of the form `ADDRESS/PREFIX`.
    #[error("expected ADDRESS/PREFIX, as in 10.0.0.1/24 or fd00::1/64")]
    Form,
    /// The prefix is longer than the address.
    #[error("a prefix of this family has at most {limit} bits")]
    Prefix {
        /// Bits in an address of this family.
        limit: u8,
    },
}

pub(crate) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_parses_back() {
        for text in ["10.0.0.1/24", "0.0.0.0/0", "fd00::1/64", "::/128"] {
            assert_eq!(text.parse::<InterfaceAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let form = Err(ParseAddressError::Form);
        for text in [
            "",
            "10.0.0.1",
            "10.0.0/24",
            "10.0.0.1/",
            "10.0.0.1/-1",
            "::1/x",
            "/24",
            "10.0.0.1/300",
        ] {
            assert_eq!(text.parse::<InterfaceAddress>(), form, "{text:?}");
        }
        assert_eq!(
            "fd00::1/129".parse::<InterfaceAddress>(),
            Err(ParseAddressError::Prefix { limit: 128 })
        );
    }
}
