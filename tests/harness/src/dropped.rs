//! Handles packets that the kernel dropped before a test could receive them.

use std::error::Error;

use thiserror::Error;

/// The maximum number of runs of a test whose packets are dropped.
pub(crate) const TRIES: u32 = 5;

/// The kernel dropped packets that a test needs, as happens on a busy machine, so the test has no
/// result. A test that returns this error is run again, up to five times in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the kernel dropped {packets} packets")]
pub struct Dropped {
    /// The number of dropped packets, by the kernel's counters.
    pub packets: u64,
}

/// Checks a source's drop counter. Call it before checking the packets that were received. If it
/// reports no drops, missing packets are a failure of the test.
///
/// # Errors
/// [`Dropped`], to be returned from the test.
pub fn none_dropped(packets: u64) -> Result<(), Dropped> {
    if packets == 0 { Ok(()) } else { Err(Dropped { packets }) }
}

/// Returns `true` if a test that ended with `error` is to be run again.
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
