//! Packet timestamps.

use std::fmt;
use std::ops::Add;
use std::time::{Duration, SystemTime};

/// The time at which a packet was captured, in nanoseconds since the Unix epoch.
///
/// Live captures and files of every resolution are converted to nanoseconds. The range ends in the
/// year 2554.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Timestamp(u64);

/// A time is before 1970 or after the year 2554.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a timestamp is between the years 1970 and 2554")]
#[non_exhaustive]
pub struct TimestampError;

impl Timestamp {
    /// Creates a timestamp from nanoseconds since the Unix epoch.
    #[inline]
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Creates a timestamp from seconds and nanoseconds, as the kernel and capture files store it.
    /// Saturates.
    #[inline]
    #[must_use]
    pub const fn from_parts(seconds: u64, nanoseconds: u32) -> Self {
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds as u64))
    }

    /// Nanoseconds since the Unix epoch.
    #[inline]
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    #[inline]
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// The nanoseconds within the second.
    #[inline]
    #[must_use]
    pub const fn subsec_nanos(self) -> u32 {
        (self.0 % 1_000_000_000) as u32
    }

    /// The time from `earlier` to this timestamp, or zero if `earlier` is later.
    #[inline]
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Seconds with nine decimals, as `1700000000.000000001`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.seconds(), self.subsec_nanos())
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Saturates at the end of the range.
    #[inline]
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// The time since the Unix epoch.
impl From<Timestamp> for Duration {
    fn from(timestamp: Timestamp) -> Self {
        Self::from_nanos(timestamp.0)
    }
}

/// From the time since the Unix epoch.
impl TryFrom<Duration> for Timestamp {
    type Error = TimestampError;

    fn try_from(since_epoch: Duration) -> Result<Self, TimestampError> {
        u64::try_from(since_epoch.as_nanos()).map(Self).map_err(|_| TimestampError)
    }
}

impl From<Timestamp> for SystemTime {
    fn from(timestamp: Timestamp) -> Self {
        Self::UNIX_EPOCH + Duration::from(timestamp)
    }
}

impl TryFrom<SystemTime> for Timestamp {
    type Error = TimestampError;

    fn try_from(time: SystemTime) -> Result<Self, TimestampError> {
        time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| TimestampError)?.try_into()
    }
}

/// The clock from which a [`Timestamp`] was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum TimestampSource {
    /// The kernel's software timestamp.
    #[default]
    Software,
    /// The adapter's clock, converted to system time.
    Hardware,
    /// The adapter's clock, raw.
    RawHardware,
    /// A timestamp from a capture file or from the program.
    Recorded,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn std_times_convert_there_and_back(nanos: u64) {
            let timestamp = Timestamp::from_nanos(nanos);
            prop_assert_eq!(Timestamp::try_from(SystemTime::from(timestamp)), Ok(timestamp));
            prop_assert_eq!(Timestamp::try_from(Duration::from(timestamp)), Ok(timestamp));
        }
    }

    #[test]
    fn times_outside_the_range_are_errors() {
        let early = SystemTime::UNIX_EPOCH - Duration::from_nanos(1);
        assert_eq!(Timestamp::try_from(early), Err(TimestampError));
        assert_eq!(Timestamp::try_from(Duration::from_secs(1 << 40)), Err(TimestampError));
    }

    #[test]
    fn addition_ends_at_the_end_of_the_range() {
        let last = Timestamp::from_nanos(u64::MAX);
        assert_eq!(last + Duration::from_secs(u64::MAX), last);
        assert_eq!(Timestamp::from_nanos(3) + Duration::from_nanos(4), Timestamp::from_nanos(7));
    }
}
