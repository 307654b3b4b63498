//! Waiting.

mod deadline;

pub(crate) use self::deadline::Deadline;
