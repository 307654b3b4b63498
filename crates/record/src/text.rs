//! Text of numbers, times, addresses and strings, written into a buffer without an allocation.

use std::fmt;
use std::io::Write as _;
use std::net::IpAddr;

use flow::{Endpoint, Timestamp};

/// Writes what implements `Display`. Writing to a vector cannot fail.
pub(crate) fn display(out: &mut Vec<u8>, value: impl fmt::Display) {
    let _ = write!(out, "{value}");
}

/// Writes a decimal number.
pub(crate) fn number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes a decimal number with at least this number of digits, up to 9.
pub(crate) fn padded(out: &mut Vec<u8>, value: u32, digits: usize) {
    let mut text = [b'0'; 10];
    let (mut at, mut rest) = (text.len(), value);
    while rest > 0 {
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&text[at.min(text.len() - digits)..]);
}

/// Writes seconds with nine decimals.
pub(crate) fn nanoseconds(out: &mut Vec<u8>, nanos: u64) {
    number(out, nanos / 1_000_000_000);
    out.push(b'.');
    padded(out, (nanos % 1_000_000_000) as u32, 9);
}

/// Writes seconds with six decimals, cut off.
pub(crate) fn microseconds(out: &mut Vec<u8>, nanos: u64) {
    number(out, nanos / 1_000_000_000);
    out.push(b'.');
    padded(out, (nanos % 1_000_000_000 / 1000) as u32, 6);
}

/// A time of the calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Calendar {
    year: u32,
    month: u32,
    day: u32,
    second_of_day: u32,
    nanos: u32,
}

impl Calendar {
    pub(crate) fn new(time: Timestamp) -> Self {
        let days = time.seconds() / 86_400;
        // Years begin in March, so that the day of leap years is the last of its year, and eras of
        // 400 years have the same number of days.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
        let year_of_era = (day_of_era - leap_days.min(day_of_era)) / 365;
        let first_day = 365 * year_of_era + year_of_era / 4 - year_of_era / 100;
        let day_of_year = day_of_era - first_day;
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        Self {
            year: (era * 400 + year_of_era + next_year) as u32,
            month: month as u32,
            day: day as u32,
            second_of_day: (time.seconds() % 86_400) as u32,
            nanos: time.subsec_nanos(),
        }
    }

    /// Writes the date and the time of day, with separators within the date, between the two, and
    /// within the time.
    pub(crate) fn write(self, out: &mut Vec<u8>, date: u8, between: u8, time: u8) {
        padded(out, self.year, 4);
        for part in [self.month, self.day] {
            out.push(date);
            padded(out, part, 2);
        }
        let parts =
            [self.second_of_day / 3600, self.second_of_day / 60 % 60, self.second_of_day % 60];
        for (separator, part) in [between, time, time].into_iter().zip(parts) {
            out.push(separator);
            padded(out, part, 2);
        }
    }

    /// Writes a decimal point and the microseconds.
    pub(crate) fn write_micros(self, out: &mut Vec<u8>) {
        out.push(b'.');
        padded(out, self.nanos / 1000, 6);
    }

    /// Writes a decimal point and the nanoseconds.
    pub(crate) fn write_nanos(self, out: &mut Vec<u8>) {
        out.push(b'.');
        padded(out, self.nanos, 9);
    }
}

/// Writes an address.
pub(crate) fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets();
            number(out, u64::from(first));
            for octet in rest {
                out.push(b'.');
                number(out, u64::from(octet));
            }
        }
        IpAddr::V6(address) => display(out, address),
    }
}

/// Writes `192.0.2.1:80` or `[2001:db8::1]:80`.
pub(crate) fn endpoint(out: &mut Vec<u8>, endpoint: Endpoint) {
    let is_ipv6 = endpoint.address.is_ipv6();
    if is_ipv6 {
        out.push(b'[');
    }
    address(out, endpoint.address);
    if is_ipv6 {
        out.push(b']');
    }
    out.push(b':');
    number(out, u64::from(endpoint.port));
}

/// Writes a string of JSON (RFC 8259, section 7) in quotation marks.
pub(crate) fn json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\' || *byte == 0x7f;
    while let Some(at) = rest.iter().position(special) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            byte => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

pub(crate) const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_those_of_the_standard_library() {
        for value in [0, 9, 10, 12_345, u64::MAX] {
            assert_eq!(written(|out| number(out, value)), value.to_string());
        }
        assert_eq!(written(|out| padded(out, 7, 2)), "07");
        assert_eq!(written(|out| padded(out, 0, 9)), "000000000");
        assert_eq!(written(|out| padded(out, 12_345, 4)), "12345");
        assert_eq!(written(|out| nanoseconds(out, 1_000_000_001)), "1.000000001");
        assert_eq!(written(|out| microseconds(out, 1_999_999_999)), "1.999999");
    }

    /// The expected dates are those of GNU date.
    #[test]
    fn the_calendar_has_leap_years() {
        let date = |seconds| {
            let calendar = Calendar::new(Timestamp::from_parts(seconds, 5_000));
            written(|out| {
                calendar.write(out, b'-', b'T', b':');
                calendar.write_micros(out);
            })
        };
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000005"),
            (951_782_399, "2000-02-28T23:59:59.000005"),
            (951_868_799, "2000-02-29T23:59:59.000005"),
            (951_868_800, "2000-03-01T00:00:00.000005"),
            (1_709_251_199, "2024-02-29T23:59:59.000005"),
            (4_107_542_399, "2100-02-28T23:59:59.000005"),
            (4_107_542_400, "2100-03-01T00:00:00.000005"),
            (1_735_689_599, "2024-12-31T23:59:59.000005"),
        ] {
            assert_eq!(date(seconds), text);
        }
    }

    #[test]
    fn strings_of_json_are_escaped() {
        let text = "a\"b\\c\n\u{7f}é\u{1}";
        let json = written(|out| json_string(out, text));
        assert!(json.is_ascii() || json.contains('é'));
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        assert!(!json.chars().any(char::is_control));
    }
}
