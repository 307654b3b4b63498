//! Runs tests that need network namespaces.
//!
//! A test target with `harness = false` names its tests once:
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
//! Several tests run at a time, unless they are to be alone. Each runs in a process of its own, as root of a user namespace if it is not root already, in an empty network
//! namespace and a process namespace. So it starts from nothing, a crash costs one test, and whatever it leaves running
//! is gone when it ends, by its time limit too. Options and output are those of `cargo test`.
//!
//! A test whose packets the kernel drops, as it does on a busy machine, runs again if it says so with [`none_dropped`].
//!
//! A test that lacks a program or a privilege says so with [`Missing`] (or one of netns's errors): it is then reported
//! as ignored, with the reason; with `RINGTAP_REQUIRE_LIVE=1` in the environment it fails instead.

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

/// What a test returns. An `Err` fails it (or skips it, see [`Missing`], or has it run again, see [`Dropped`]), a panic
/// fails it.
pub type Result<T = (), E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// A test: its name and its body.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// Its name, as a filter sees it.
    pub name: &'static str,
    /// `true` if no other test runs beside it: what it measures is the machine's.
    pub alone: bool,
    /// Its body.
    pub body: fn() -> Result,
}

/// Makes `main` out of test functions, which may be paths into modules. Those behind `alone:`, if any, run one by one after
/// the others.
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
