//! The end of a wait.

use std::time::{Duration, Instant};

use crate::Timeout;

/// The end of a wait that began when this was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) fn of(timeout: Timeout) -> Self {
        Self(timeout.deadline(Instant::now()))
    }

    /// The time that is left. `None` if it is unlimited.
    pub(crate) fn left(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn is_over(self) -> bool {
        self.left() == Some(Duration::ZERO)
    }
}
