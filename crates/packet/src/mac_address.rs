//! Link-layer addresses.

use std::fmt;
use std::str::FromStr;

/// A 48-bit link-layer address. Prints as `00:00:5e:00:53:01`.
///
/// Parses six groups of one or two hexadecimal digits, three groups of four, or twelve digits.
/// Groups are separated by `:`, `.` or `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress(pub [u8; 6]);

/// A text is not a link-layer address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a link-layer address; write six bytes in hexadecimal, such as 00:00:5e:00:53:01")]
#[non_exhaustive]
pub struct MacAddressError;

impl MacAddress {
    /// The broadcast address.
    pub const BROADCAST: Self = Self([0xff; 6]);
}

impl FromStr for MacAddress {
    type Err = MacAddressError;

    fn from_str(text: &str) -> Result<Self, MacAddressError> {
        // Digits are shifted in from the right. The number of groups determines the length that
        // each may have.
        let (mut whole, mut groups) = (0u64, 0);
        let (mut shortest, mut longest) = (usize::MAX, 0);
        for group in text.split([':', '.', '-']) {
            if group.is_empty()
                || group.len() > 12
                || !group.bytes().all(|digit| digit.is_ascii_hexdigit())
            {
                return Err(MacAddressError);
            }
            groups += 1;
            (shortest, longest) = (shortest.min(group.len()), longest.max(group.len()));
            let bits = if groups > 1 && longest > 2 { 16 } else { 8 };
            let digits = u64::from_str_radix(group, 16).map_err(|_| MacAddressError)?;
            whole = whole.wrapping_shl(bits) | digits;
        }
        if !matches!((groups, shortest, longest), (1, 12, 12) | (3, 4, 4) | (6, 1..=2, 1..=2)) {
            return Err(MacAddressError);
        }
        let mut octets = [0u8; 6];
        octets.copy_from_slice(&whole.to_be_bytes()[2..]);
        Ok(Self(octets))
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, last] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{last:02x}")
    }
}

impl From<[u8; 6]> for MacAddress {
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

impl From<MacAddress> for [u8; 6] {
    fn from(address: MacAddress) -> Self {
        address.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_printed_address_parses_to_itself(octets: [u8; 6]) {
            let address = MacAddress(octets);
            prop_assert_eq!(address.to_string().parse(), Ok(address));
        }

        #[test]
        fn no_text_panics(text in ".{0,20}") {
            let _ = text.parse::<MacAddress>();
        }
    }

    #[test]
    fn groups_have_one_of_three_forms() {
        let address = MacAddress([1, 2, 3, 4, 5, 0xff]);
        for text in ["1:2:3:4:5:ff", "01-02-03-04-05-FF", "0102.0304.05ff", "0102030405ff"] {
            assert_eq!(text.parse(), Ok(address), "{text}");
        }
        for text in ["", "1:2:3:4:5", "1:2:3:4:5:6:7", "1:2:3:4:5:fff", "0102.0304", "1:2:3:4:5:g"]
        {
            assert_eq!(text.parse::<MacAddress>(), Err(MacAddressError), "{text}");
        }
    }
}
