//! Prints results in the format of `cargo test`.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// The outcome of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// It could not run, for this reason.
    Skipped(String),
    /// It failed. Contains its output.
    Failed(String),
}

/// Progress and summary of a run.
#[derive(Debug)]
pub(crate) struct Report {
    started: Instant,
    passed: usize,
    skipped: usize,
    filtered_out: usize,
    failures: Vec<(&'static str, String)>,
}

impl Report {
    pub(crate) fn start(tests: usize, filtered_out: usize) -> Self {
        println!("\nrunning {tests} test{}", if tests == 1 { "" } else { "s" });
        Self { started: Instant::now(), passed: 0, skipped: 0, filtered_out, failures: Vec::new() }
    }

    /// Prints the line of a test that has ended, with its duration.
    pub(crate) fn end(&mut self, name: &'static str, outcome: Outcome, time: Duration) {
        let time = time.as_secs_f64();
        match outcome {
            Outcome::Passed => {
                self.passed += 1;
                println!("test {name} ... ok <{time:.1}s>");
            }
            Outcome::Skipped(reason) => {
                self.skipped += 1;
                println!("test {name} ... ignored, {reason}");
            }
            Outcome::Failed(output) => {
                println!("test {name} ... FAILED <{time:.1}s>");
                self.failures.push((name, output));
            }
        }
    }

    pub(crate) fn finish(self) -> ExitCode {
        if !self.failures.is_empty() {
            println!("\nfailures:");
            for (name, output) in &self.failures {
                println!("\n---- {name} ----\n{}", output.trim_end());
            }
            println!("\nfailures:");
            self.failures.iter().for_each(|(name, _)| println!("    {name}"));
        }
        println!(
            "\ntest result: {}. {} passed; {} failed; {} ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
            if self.failures.is_empty() { "ok" } else { "FAILED" },
            self.passed,
            self.failures.len(),
            self.skipped,
            self.filtered_out,
            self.started.elapsed().as_secs_f64(),
        );
        if self.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) }
    }
}
