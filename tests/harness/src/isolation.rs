//! The processes around a test.
//!
//! The runner starts the *keeper*: this program again. The keeper enters the user namespace while
//! it is still single-threaded, and creates the process namespace. Then it starts the *body*: this
//! program once more, as process 1 of that namespace. When the body ends or is killed, the kernel
//! kills every process that it started. Both die together with their parents.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    io,
    process::{self, Command, ExitCode},
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::{prctl, signal::Signal},
};

use crate::{Test, dropped, missing};

/// Exit status of a test that could not run. The last line of its output is the reason.
pub(crate) const SKIPPED: u8 = 77;

/// Exit status of a test whose packets the kernel dropped.
pub(crate) const DROPPED: u8 = 78;

const ROLE: &str = "LIVE_HARNESS_ROLE";
const TEST: &str = "LIVE_HARNESS_TEST";

/// The command that runs the test called `name` in isolation.
pub(crate) fn command(name: &str) -> io::Result<Command> {
    played("keeper", name)
}

/// Plays the part of this process if it is a keeper or a body. `None` in the runner.
pub(crate) fn play(tests: &[Test]) -> Option<ExitCode> {
    let role = env::var(ROLE).ok()?;
    let name = env::var(TEST).unwrap_or_default();
    let Some(test) = tests.iter().find(|test| test.name == name) else {
        println!("there is no test {name}");
        return Some(ExitCode::FAILURE);
    };
    let result = match role.as_str() {
        "keeper" => keep(test),
        _ => run(test),
    };
    Some(result.unwrap_or_else(|error| report(error.as_ref())))
}

fn keep(test: &Test) -> crate::Result<ExitCode> {
    netns::enter_user_namespace()?;
    // After the change of credentials, which would reset it.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    unshare(CloneFlags::CLONE_NEWPID)?;
    let status = played("body", test.name)?.status()?;
    Ok(match status.code() {
        Some(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        None => {
            println!("{status}");
            ExitCode::FAILURE
        }
    })
}

fn run(test: &Test) -> crate::Result<ExitCode> {
    // Kills the body together with the keeper when the time limit is reached. Otherwise process 1
    // of a namespace outlives its parent and keeps the pipe open that the runner reads to its end.
    // A test that starts this program again inherits the role: there the signal would come when
    // the thread ends that started the process (PR_SET_PDEATHSIG(2const)), which for
    // `Namespace::spawn` is at once, and the end of process 1 kills it anyway.
    if process::id() == 1 {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
    }
    (test.body)().map(|()| ExitCode::SUCCESS)
}

fn played(role: &str, name: &str) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.env(ROLE, role).env(TEST, name);
    Ok(command)
}

/// Prints the error of a test, with its causes.
fn report(error: &(dyn Error + Send + Sync + 'static)) -> ExitCode {
    if let Some(reason) = missing::reason(error) {
        println!("{reason}");
        return ExitCode::from(SKIPPED);
    }
    let status = if dropped::is_cause(error) { ExitCode::from(DROPPED) } else { ExitCode::FAILURE };
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    println!("{text}");
    status
}
