//! Three-valued logic (Kleene): true, false, and not known yet.

/// The answer of a condition about a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The condition holds, whatever comes.
    Accept,
    /// It does not hold, whatever comes.
    Reject,
    /// It depends on what comes.
    Undecided,
}

impl Verdict {
    /// Returns the opposite; what is undecided stays so.
    #[must_use]
    pub(crate) const fn not(self) -> Self {
        match self {
            Self::Accept => Self::Reject,
            Self::Reject => Self::Accept,
            Self::Undecided => Self::Undecided,
        }
    }
}

impl From<bool> for Verdict {
    fn from(holds: bool) -> Self {
        if holds { Self::Accept } else { Self::Reject }
    }
}
