//! Schedules the tests.

use std::{
    env, io,
    io::Read as _,
    process::{Child, ExitCode, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Test,
    arguments::Arguments,
    dropped::TRIES,
    isolation::{self, DROPPED, SKIPPED},
    report::{Outcome, Report},
};

/// Runs the selected tests: several at a time, then those marked as `alone` one by one. Called by
/// [`main!`](crate::main).
///
/// The exit status is 0 if all passed, 101 if one failed, and 2 if the command line is invalid.
pub fn run(tests: &[Test]) -> ExitCode {
    if let Some(code) = isolation::play(tests) {
        return code;
    }
    let arguments = match Arguments::parse(env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    let wanted: Vec<_> = tests.iter().filter(|test| arguments.wants(test.name)).collect();
    if arguments.list {
        wanted.iter().for_each(|test| println!("{}: test", test.name));
        return ExitCode::SUCCESS;
    }
    let required = env::var_os("RINGTAP_REQUIRE_LIVE").is_some_and(|value| value == "1");
    let report = Mutex::new(Report::start(wanted.len(), tests.len() - wanted.len()));
    let run = |test: &Test| {
        let started = Instant::now();
        let outcome =
            tried(test, &arguments).unwrap_or_else(|error| Outcome::Failed(error.to_string()));
        let outcome = match outcome {
            Outcome::Skipped(reason) if required => {
                Outcome::Failed(format!("RINGTAP_REQUIRE_LIVE=1, but this could not run: {reason}"))
            }
            outcome => outcome,
        };
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        report.end(test.name, outcome, started.elapsed());
    };
    let (alone, together): (Vec<&Test>, Vec<&Test>) =
        wanted.into_iter().partition(|test| test.alone || arguments.jobs() == 1);
    let queue = Mutex::new(together.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..arguments.jobs() {
            // A test's process dies with the thread that started it, so that thread waits for it.
            scope.spawn(|| {
                while let Some(test) = next() {
                    run(test);
                }
            });
        }
    });
    alone.into_iter().for_each(run);
    report.into_inner().unwrap_or_else(PoisonError::into_inner).finish()
}

/// Runs a test, and runs it again if the kernel dropped its packets.
fn tried(test: &Test, arguments: &Arguments) -> io::Result<Outcome> {
    let mut tries = 1;
    loop {
        match isolated(test, arguments)? {
            Ended::Dropped(_) if tries < TRIES => tries += 1,
            Ended::Dropped(output) => {
                return Ok(Outcome::Failed(format!("{output}in each of {TRIES} tries")));
            }
            Ended::Said(outcome) => return Ok(outcome),
        }
    }
}

/// The way in which a test's process ended.
enum Ended {
    Said(Outcome),
    /// The kernel dropped packets. Contains the output.
    Dropped(String),
}

fn isolated(test: &Test, arguments: &Arguments) -> io::Result<Ended> {
    let mut command = isolation::command(test.name)?;
    command.stdin(Stdio::null());
    let mut reader = None;
    if !arguments.show_output {
        let (output, input) = io::pipe()?;
        command.stdout(input.try_clone()?).stderr(input);
        reader = Some(output);
    }
    let child = command.spawn()?;
    // The command holds the write ends of the pipe, so without this the reader would never see its
    // end.
    drop(command);
    let reader = reader.map(|mut output| {
        thread::spawn(move || {
            let mut text = Vec::new();
            let _ = output.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        })
    });
    let status = wait(child, arguments.limit)?;
    let output = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
    Ok(Ended::Said(match status {
        Some(status) if status.code() == Some(i32::from(DROPPED)) => {
            return Ok(Ended::Dropped(output));
        }
        None => {
            Outcome::Failed(format!("{output}still running after {:?}: ended", arguments.limit))
        }
        Some(status) if status.success() => Outcome::Passed,
        Some(status) if status.code() == Some(i32::from(SKIPPED)) => {
            Outcome::Skipped(output.lines().last().unwrap_or("see above").to_owned())
        }
        Some(status) => Outcome::Failed(format!("{output}{status}")),
    }))
}

/// Waits for `child`. Kills it and returns `None` when `limit` is reached.
fn wait(mut child: Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(5));
    }
}
