//! Times of packets as people read them.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fmt;

use flow::Timestamp;
use ring_sys::local_time::format_local;

/// Time zones change their offset from UTC only at multiples of this many seconds.
const STEADY: u64 = 900;

/// Shows times in the host's time zone or in UTC.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    utc: bool,
    /// The quarter of an hour that was asked for last, and its offset from UTC in seconds.
    latest: Cell<Option<(u64, i64)>>,
}

/// A time stamp, taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Seconds since 1970 as the clock on the wall shows them.
    local: i64,
    nanos: u32,
    /// Seconds from UTC; `None` where the times are UTC.
    offset: Option<i64>,
}

/// A moment without its date: `22:13:20.000000`.
pub(crate) struct Time(Moment);

/// A moment with its date and its time zone: `2023-11-14 22:13:20.000000+01:00`, or with `Z` for
/// UTC.
pub(crate) struct Dated(Moment, char);

impl Clock {
    /// The host's time zone (the variable `TZ`, or the system's setting), or UTC.
    pub(crate) fn new(utc: bool) -> Self {
        Self { utc, latest: Cell::new(None) }
    }

    pub(crate) fn at(&self, time: Timestamp) -> Moment {
        let offset = (!self.utc).then(|| self.offset(time.seconds()));
        let local = time.seconds().cast_signed() + offset.unwrap_or(0);
        Moment { local, nanos: time.subsec_nanos(), offset }
    }

    /// Seconds from UTC at this time.
    fn offset(&self, seconds: u64) -> i64 {
        let quarter = seconds / STEADY;
        if let Some((latest, offset)) = self.latest.get()
            && latest == quarter
        {
            return offset;
        }
        let zone = format_local((quarter * STEADY).cast_signed(), OsStr::new("%z"));
        let offset = zone.as_deref().and_then(OsStr::to_str).and_then(parse).unwrap_or(0);
        self.latest.set(Some((quarter, offset)));
        offset
    }
}

/// Seconds from UTC, of `+hhmm`.
fn parse(zone: &str) -> Option<i64> {
    let number = |range| zone.get::<std::ops::Range<usize>>(range)?.parse::<i64>().ok();
    let seconds = number(1..3)? * 3600 + number(3..5)? * 60;
    Some(if zone.starts_with('-') { -seconds } else { seconds })
}

impl Moment {
    /// The time without its date, with `decimals` decimals of seconds.
    pub(crate) fn precise(self, decimals: usize) -> String {
        let (time, nanos) = (Time(self).to_string(), format!("{:09}", self.nanos));
        let whole = time.split('.').next().unwrap_or_default();
        format!("{whole}.{}", &nanos[..decimals.min(nanos.len())])
    }

    /// The date alone.
    pub(crate) fn day_of_calendar(self) -> String {
        let (year, month, day) = self.date();
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// A number for the day, which tells days apart.
    pub(crate) const fn day(&self) -> i32 {
        // Time stamps reach to the year 2554.
        self.local.div_euclid(86_400) as i32
    }

    pub(crate) const fn time(self) -> Time {
        Time(self)
    }

    pub(crate) const fn dated(self) -> Dated {
        Dated(self, ' ')
    }

    /// The same as one word: `2023-11-14T22:13:20.000000Z`.
    pub(crate) const fn word(self) -> Dated {
        Dated(self, 'T')
    }

    /// Year, month and day. The algorithm is Howard Hinnant's `civil_from_days`.
    fn date(&self) -> (i64, i64, i64) {
        let days = i64::from(self.day()) + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Months begin with March, so that the leap day is a year's last.
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        (year_of_era + era * 400 + if month <= 2 { 1 } else { 0 }, month, day)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.local.rem_euclid(86_400);
        let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{hours:02}:{minutes:02}:{rest:02}.{:06}", self.0.nanos / 1000)
    }
}

impl fmt::Display for Dated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(moment, between) = self;
        let (year, month, day) = moment.date();
        write!(f, "{year:04}-{month:02}-{day:02}{between}{}", Time(*moment))?;
        let Some(offset) = moment.offset else { return f.write_str("Z") };
        let (sign, offset) = (if offset < 0 { '-' } else { '+' }, offset.abs());
        write!(f, "{sign}{:02}:{:02}", offset / 3600, offset / 60 % 60)
    }
}
