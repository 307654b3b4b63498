//! Limits of what a command keeps in memory.

mod available;

use std::fmt;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use conversation::FlowStreamBuilder;
use flow::FiveTuple;
use ring_core::PacketSource;

/// The limits of the traffic that is kept at once.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Limits {
    /// Track at most this many flows at once. When another one begins, a flow that has ended makes
    /// room, else one that is half open, else the one that was silent longest. Suffixes: K, M, G
    /// (powers of 1024). [default: 1M]
    #[arg(long, value_name = "COUNT", value_parser = flows, default_value_t = 1 << 20, hide_default_value = true)]
    pub(crate) max_flows: usize,
    /// Take at most this much memory for flows and for bytes that wait; the process takes more. Up
    /// to a half is for bytes that wait for the output, up to a half for bytes behind missing ones
    /// that may still come. Beyond that, a file is read no faster than its output is written, a
    /// live command drops what the output is too slow for, and the oldest missing bytes are given
    /// up. If flows take all of it, some make room for others, as with --max-flows. Suffixes: K, M,
    /// G (powers of 1024). [default: 256M, or less if the process may take less]
    #[arg(long, value_name = "SIZE", default_value_t = available::memory(), hide_default_value = true)]
    pub(crate) memory: Size,
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) usize);

/// Suffixes, the largest first.
const UNITS: [(char, u32); 3] = [('G', 30), ('M', 20), ('K', 10)];

/// Time between two looks at the memory of the process.
const LOOK: Duration = Duration::from_millis(200);
/// The growth after which it is worth to look for freed memory again.
const GROWTH: usize = 16 << 20;

/// With less, a conversation could not have one full segment waiting.
const LEAST: usize = 1 << 20;

impl Limits {
    /// Sets the limits of a stream.
    pub(crate) fn apply<S>(
        &self,
        stream: FlowStreamBuilder<S, FiveTuple>,
    ) -> FlowStreamBuilder<S, FiveTuple>
    where
        S: PacketSource + Send + 'static,
    {
        let flows = self.max_flows;
        watch(self.memory.0);
        stream.memory(self.memory.0).table(|table| table.max_flows(flows))
    }
}

/// Watches the memory of the process in a thread of its own, and returns to the kernel what was
/// freed. What waits is freed as flows take its place, but an allocator keeps the memory.
fn watch(limit: usize) {
    let watch = move || {
        let mut before = 0;
        loop {
            thread::sleep(LOOK);
            let Some(resident) = available::resident() else { return };
            if resident > limit && resident > before + GROWTH {
                ring_sys::allocator::trim();
                before = available::resident().unwrap_or(resident);
            }
        }
    };
    // Without the thread, the process only takes more memory.
    let _ = thread::Builder::new().name("memory".to_owned()).spawn(watch);
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, bits)| self.0 > 0 && self.0.trailing_zeros() >= *bits);
        match unit {
            Some((name, bits)) => write!(f, "{}{name}", self.0 >> bits),
            None => self.0.fmt(f),
        }
    }
}

/// A number with or without a suffix.
fn number(text: &str) -> Option<usize> {
    let upper = text.to_ascii_uppercase();
    let unit = UNITS.iter().find_map(|(name, bits)| Some((upper.strip_suffix(*name)?, *bits)));
    let (digits, bits) = unit.unwrap_or((&upper, 0));
    digits.parse::<usize>().ok()?.checked_mul(1 << bits)
}

/// A number of flows.
fn flows(text: &str) -> Result<usize, String> {
    let flows = number(text).filter(|flows| *flows > 0);
    flows.ok_or_else(|| "a number of flows is 1 or more, such as 5000, 64K or 1M".to_owned())
}

/// A number of bytes, of any size.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let upper = text.to_ascii_uppercase();
    let bytes = number(upper.trim_end_matches("IB").trim_end_matches('B'));
    let bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| "a size is a number of bytes, or of K, M or G, such as 64K".to_owned())
}

/// Units of time, none of which ends another one but the last.
const TIMES: [(&str, u64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("s", 1_000_000_000),
];

/// A number with a unit of time, such as `10ms` or `5m`. Zero needs no unit.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let unit = TIMES.iter().find_map(|(name, nanos)| Some((text.strip_suffix(name)?, *nanos)));
    let time = unit.and_then(|(digits, nanos)| digits.parse::<u64>().ok()?.checked_mul(nanos));
    match (time, text) {
        (Some(nanos), _) => Ok(Duration::from_nanos(nanos)),
        (None, "0") => Ok(Duration::ZERO),
        (None, _) => Err("a time is a whole number with ms, s, m or h, such as 30s".to_owned()),
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let upper = text.to_ascii_uppercase();
        match number(upper.trim_end_matches("IB").trim_end_matches('B')) {
            None => Err("a size is a number of bytes, or of K, M or G, such as 256M".to_owned()),
            Some(bytes) if bytes < LEAST => Err("the smallest size is 1M".to_owned()),
            Some(bytes) => Ok(Self(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_are_counted_from_one() {
        for (text, count) in [("1", 1), ("1k", 1024), ("64K", 65_536), ("2M", 2 << 20)] {
            assert_eq!(flows(text), Ok(count));
        }
        for text in ["0", "0k", "-1", "k", "1T", "1KB", "1.5M", "", "99999999999999G"] {
            assert!(flows(text).is_err_and(|error| error.contains("1 or more")), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_and_printed() {
        for (text, bytes, printed) in [
            ("256M", 256 << 20, "256M"),
            ("1g", 1 << 30, "1G"),
            ("2048K", 2 << 20, "2M"),
            ("4MiB", 4 << 20, "4M"),
            ("1048577", (1 << 20) + 1, "1048577"),
            ("1537k", 1537 << 10, "1537K"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size, size.to_string().as_str()), (Size(bytes), printed), "{text}");
        }
        for text in ["", "M", "-1M", "1.5G", "12T", "99999999999999G", "1K", "0"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
