//! AddressSanitizer over the crates that have unsafe code.

use crate::{
    command::Command,
    error::{Error, Result},
    live,
    steps::Done,
    tally::Tally,
    workspace::Workspace,
};

const CRATES: [&str; 3] = ["ring-sys", "ring-core", "flow"];
/// The sanitizer needs the target named, or it would go into build scripts as well.
const TARGET: &str = match std::env::consts::ARCH.as_bytes() {
    b"aarch64" => "aarch64-unknown-linux-gnu",
    _ => "x86_64-unknown-linux-gnu",
};

/// Runs their tests, the live ones included where the kernel allows namespaces.
pub(crate) fn run(workspace: &Workspace, tally: &mut Tally) -> Result<Done> {
    if !Command::nightly("--version").succeeds() {
        return Err(Error::NotThere {
            what: "a nightly toolchain".into(),
            remedy: "rustup toolchain install nightly",
        });
    }
    let base = |packages: &[&str]| {
        let command = Command::nightly("test --all-features --no-fail-fast --target")
            .argument(TARGET)
            .words("--target-dir")
            .argument(workspace.target.join("asan"))
            .variable("RUSTFLAGS", "-Zsanitizer=address -Cdebug-assertions=on")
            // Rings are mapped for the life of a capture; leaks are what its own tests count.
            .variable("ASAN_OPTIONS", "detect_leaks=0");
        packages.iter().fold(command, |command, package| command.words("-p").argument(package))
    };
    base(&CRATES).words("--lib").count_tests(tally)?;

    for package in CRATES.iter().filter_map(|name| workspace.package(name)) {
        for target in package.targets.iter().filter(|target| live::is_live(&target.name)) {
            base(&[&package.name]).words("--test").argument(&target.name).count_tests(tally)?;
        }
    }
    Ok(Done::Tests(*tally))
}
