//! Runs the harness itself with tests that end badly.

use std::{
    env,
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use live_harness::{Result, Test, none_dropped, run};

/// Set in the processes that run the tests below.
const INNER: &str = "LIVE_HARNESS_INNER";

fn hangs() -> Result {
    // Starts a process that keeps its output open, like the commands in real tests.
    let _child = Command::new("sleep").arg("600").spawn()?;
    thread::sleep(Duration::from_secs(600));
    Ok(())
}

fn loses_packets() -> Result {
    none_dropped(3)?;
    Ok(())
}

fn passes() -> Result {
    Ok(())
}

/// Runs the tests above. Returns the output and the exit status.
fn inner(arguments: &[&str]) -> Result<(String, Option<i32>)> {
    let mut command = Command::new(env::current_exe()?);
    command.args(arguments).env(INNER, "1");
    let output =
        command.env_remove("LIVE_HARNESS_ROLE").env_remove("LIVE_HARNESS_TEST").output()?;
    Ok((String::from_utf8(output.stdout)?, output.status.code()))
}

fn a_test_that_hangs_is_ended_with_its_processes() -> Result {
    let started = Instant::now();
    let (text, status) = inner(&["hangs", "--limit", "1"])?;
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    assert_eq!(status, Some(101), "{text}");
    assert!(text.contains("test hangs ... FAILED"), "{text}");
    assert!(text.contains("still running after 1s: ended"), "{text}");
    Ok(())
}

fn a_test_whose_packets_are_dropped_runs_again() -> Result {
    let (text, status) = inner(&["loses"])?;
    assert_eq!(status, Some(101), "{text}");
    assert!(text.contains("the kernel dropped 3 packets\nin each of 5 tries"), "{text}");
    Ok(())
}

fn tests_beside_each_other_are_all_counted() -> Result {
    for threads in ["1", "8"] {
        let (text, status) = inner(&["--test-threads", threads, "--skip", "hangs"])?;
        assert_eq!(status, Some(101), "{text}");
        assert!(text.contains("test passes ... ok <"), "{text}");
        assert!(text.contains("1 passed; 1 failed; 0 ignored; 0 measured; 1 filtered"), "{text}");
    }
    Ok(())
}

fn main() -> ExitCode {
    let test = |name, body| Test { name, alone: false, body };
    if env::var_os(INNER).is_some() {
        return run(&[
            test("hangs", hangs),
            test("loses_packets", loses_packets),
            test("passes", passes),
        ]);
    }
    run(&[
        test("a_test_that_hangs", a_test_that_hangs_is_ended_with_its_processes),
        test("a_test_whose_packets_are_dropped", a_test_whose_packets_are_dropped_runs_again),
        test("tests_beside_each_other", tests_beside_each_other_are_all_counted),
    ])
}
