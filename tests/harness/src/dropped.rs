//! Packets that the kernel dropped before the test could see them.

use std::error::Error;

use thiserror::Error;

/// How often a test runs whose packets the kernel drops.
pub(crate) const TRIES: u32 = 5;

/// The kernel dropped packets that a test was to see, as it does on a busy machine, so that nothing can be said of them.
/// Returned from a test, it has the test run again, up to five times in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the kernel dropped {packets} packets")]
pub struct Dropped {
    /// How many, by its counters.
    pub packets: u64,
}

/// To be asked of a source's counter before anything is said of the packets that came. A test that has asked, and found
/// none, fails for packets that are missing.
///
/// # Errors
/// [`Dropped`], to be returned from the test.
pub fn none_dropped(packets: u64) -> Result<(), Dropped> {
    if packets == 0 { Ok(()) } else { Err(Dropped { packets }) }
}

/// `true` if a test that ended with `error` is to run again.
pub(crate) fn is_cause(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<Dropped>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_drops_have_a_test_run_again() {
        assert_eq!(none_dropped(0), Ok(()));
        let error: crate::Result = none_dropped(3).map_err(Into::into);
        let error = error.expect_err("some were dropped");
        assert!(is_cause(error.as_ref()));
        assert_eq!(error.to_string(), "the kernel dropped 3 packets");
        let other: Box<dyn Error + Send + Sync> = "another".into();
        assert!(!is_cause(other.as_ref()));
    }
}
