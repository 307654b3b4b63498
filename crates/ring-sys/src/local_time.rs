//! Formatting local time, strftime(3).

use std::ffi::{CString, OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// Formats a time in seconds since the Unix epoch by a format of strftime(3), in the host's time
/// zone and the C locale.
///
/// `None` if the result is empty or longer than 8 KiB, if the format has a null byte, and for times
/// outside the range of the calendar.
#[must_use]
pub fn format_local(seconds: i64, format: &OsStr) -> Option<OsString> {
    const LONGEST: usize = 8 << 10;
    let format = CString::new(format.as_bytes()).ok()?;
    let time: libc::time_t = seconds;
    let mut broken_down = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers are valid, the second is writable.
    let filled = unsafe { libc::localtime_r(&time, broken_down.as_mut_ptr()) };
    if filled.is_null() {
        return None;
    }
    // SAFETY: the call above succeeded, so it filled in the structure.
    let broken_down = unsafe { broken_down.assume_init() };
    let mut text = vec![0_u8; LONGEST];
    // SAFETY: the buffer is writable for its length. The format ends in a null byte, and glibc and
    // musl copy unknown conversions as they are.
    let length = unsafe {
        libc::strftime(text.as_mut_ptr().cast(), text.len(), format.as_ptr(), &broken_down)
    };
    text.truncate(length);
    (length > 0).then(|| OsString::from_vec(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let text = |format: &str| format_local(1_700_000_000, OsStr::new(format));
        assert_eq!(text("%s.pcap").as_deref(), Some(OsStr::new("1700000000.pcap")));
        assert_eq!(text("a%%b").as_deref(), Some(OsStr::new("a%b")));
        assert_eq!(text("%Y").as_deref(), Some(OsStr::new("2023")));
        assert_eq!(text(""), None);
        assert_eq!(text("a\0b"), None);
        assert_eq!(text(&"x".repeat(9000)), None);
        assert_eq!(format_local(i64::MAX, OsStr::new("%Y")), None);
    }
}
