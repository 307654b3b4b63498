//! The steps of a task, and what came of them.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use crate::{
    error::{Error, Result},
    tally::Tally,
};

/// The result of a step that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// It is as it should be.
    Well,
    /// Tests ran.
    Tests(Tally),
    /// It could not be done, for this reason; nobody demanded it.
    Skipped(String),
}

/// Steps done so far. Each runs, whatever came of those before: so that one run tells all that is
/// wrong.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<(&'static str, Duration, Result<Done, String>)>,
    tally: Tally,
}

impl Steps {
    /// Runs a step.
    pub(crate) fn run(&mut self, name: &'static str, step: impl FnOnce() -> Result<Done>) {
        self.count(name, |_| step());
    }

    /// Runs a step that counts tests, so that they count where one of several programs fails.
    pub(crate) fn count(
        &mut self,
        name: &'static str,
        step: impl FnOnce(&mut Tally) -> Result<Done>,
    ) {
        eprintln!("\n== {name}");
        let started = Instant::now();
        let mut counted = Tally::default();
        let result = step(&mut counted);
        match &result {
            Ok(Done::Tests(tally)) => self.tally += *tally,
            Ok(_) => self.tally += counted,
            Err(error) => {
                eprintln!("xtask: {name}: {error}");
                // A step that fails without a failed test, such as a build, is one failure.
                counted.failed = counted.failed.max(1);
                self.tally += counted;
            }
        }
        self.done.push((name, started.elapsed(), result.map_err(|error: Error| error.to_string())));
    }

    /// Prints the summary, the sum of all tests last.
    pub(crate) fn finish(self) -> ExitCode {
        println!();
        for (name, time, result) in &self.done {
            let outcome = match result {
                Ok(Done::Well) => "ok".to_owned(),
                Ok(Done::Tests(tally)) => tally.to_string(),
                Ok(Done::Skipped(reason)) => format!("SKIPPED: {reason}"),
                Err(error) => format!("FAILED: {error}"),
            };
            println!("{name:<18} {:>6.1} s  {outcome}", time.as_secs_f64());
        }
        println!("{}", self.tally);
        if self.done.iter().all(|(.., result)| result.is_ok()) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
