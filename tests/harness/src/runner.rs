//! One test after another.

use std::{
    env, io,
    io::Read as _,
    process::{Child, ExitCode, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Test,
    arguments::Arguments,
    isolation::{self, SKIPPED},
    report::{Outcome, Report},
};

/// Runs the tests that the command line asks for, one at a time; called by [`main!`](crate::main).
///
/// The exit status is 0 if none failed, 101 if one did, 2 after a wrong command line.
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
    let mut report = Report::start(wanted.len(), tests.len() - wanted.len());
    for test in wanted {
        report.begin(test.name);
        let outcome =
            isolated(test, &arguments).unwrap_or_else(|error| Outcome::Failed(error.to_string()));
        report.end(match outcome {
            Outcome::Skipped(reason) if required => {
                Outcome::Failed(format!("RINGTAP_REQUIRE_LIVE=1, but this could not run: {reason}"))
            }
            outcome => outcome,
        });
    }
    report.finish()
}

fn isolated(test: &Test, arguments: &Arguments) -> io::Result<Outcome> {
    let mut command = isolation::command(test.name)?;
    command.stdin(Stdio::null());
    let mut reader = None;
    if !arguments.show_output {
        let (output, input) = io::pipe()?;
        command.stdout(input.try_clone()?).stderr(input);
        reader = Some(output);
    }
    let child = command.spawn()?;
    // It holds the ends of the pipe that are for writing; the reader would wait for it.
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
    Ok(match status {
        None => {
            Outcome::Failed(format!("{output}still running after {:?}: ended", arguments.limit))
        }
        Some(status) if status.success() => Outcome::Passed,
        Some(status) if status.code() == Some(i32::from(SKIPPED)) => {
            Outcome::Skipped(output.lines().last().unwrap_or("see above").to_owned())
        }
        Some(status) => Outcome::Failed(format!("{output}{status}")),
    })
}

/// Waits for `child`; kills it and returns `None` when `limit` is over.
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
