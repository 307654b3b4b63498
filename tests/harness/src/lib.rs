//! Runs tests that need network namespaces.
//!
//! A test target with `harness = false` lists its tests:
//!
//! ```no_run
//! use live_harness::Result;
//!
//! fn a_host_has_a_loopback() -> Result {
//!     let host = netns::Namespace::new()?;
//!     host.run(|| std::net::UdpSocket::bind("127.0.0.1:9"))??;
//!     Ok(())
//! }
//!
//! live_harness::main!(a_host_has_a_loopback);
//! ```
//!
//! Several tests run at a time, except for those marked as `alone`. Each test runs in its own
//! process, as root (of a user namespace if necessary), in an empty network namespace and a process
//! namespace. So every test starts from a clean state, a crash affects only one test, and all
//! processes that it started are killed when it ends or reaches its time limit. Options and output
//! are those of `cargo test`.
//!
//! On a busy machine the kernel may drop a test's packets. A test that checks for this with
//! [`none_dropped`] is then run again.
//!
//! A test that needs a program or a privilege that is missing returns [`Missing`] or one of netns's
//! errors. It is then reported as ignored, with the reason. With `RINGTAP_REQUIRE_LIVE=1` in the
//! environment it fails instead.

#![forbid(unsafe_code)]

mod arguments;
mod compare;
mod dropped;
mod isolation;
mod missing;
mod report;
mod runner;

pub use compare::assert_same;
pub use dropped::{Dropped, none_dropped};
pub use missing::{Missing, program};
pub use runner::run;

/// The result of a test. An `Err` fails it, except that [`Missing`] skips it and [`Dropped`] runs
/// it again. A panic fails it.
pub type Result<T = (), E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// A test: its name and its body.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// Its name, to which filters apply.
    pub name: &'static str,
    /// `true` if no other test may run beside it, because it measures the whole machine.
    pub alone: bool,
    /// Its body.
    pub body: fn() -> Result,
}

/// Defines `main` from a list of test functions, which may be paths into modules. Those after
/// `alone:`, if any, run one by one after the others.
#[macro_export]
macro_rules! main {
    ($($test:path),+ $(,)? $(; alone: $($alone:path),+ $(,)?)?) => {
        fn main() -> ::std::process::ExitCode {
            $crate::run(&[
                $($crate::Test { name: stringify!($test), alone: false, body: $test },)+
                $($($crate::Test { name: stringify!($alone), alone: true, body: $alone },)+)?
            ])
        }
    };
}
