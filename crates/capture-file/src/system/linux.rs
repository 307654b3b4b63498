//! Clocks and local time.

pub(crate) use ring_sys::clock::{coarse as coarse_clock, wall as wall_clock};
pub(crate) use ring_sys::local_time::format_local;

/// `true` if [`format_local`] knows the host's time zone.
pub(crate) const KNOWS_LOCAL_TIME: bool = true;
