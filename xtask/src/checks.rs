//! Checks that run nothing of ours.

use crate::{
    api,
    command::Command,
    error::{Error, Result},
    steps::{Done, Steps},
    tidy,
    workspace::Workspace,
};

pub(crate) fn all(workspace: &Workspace, steps: &mut Steps) {
    steps.run("format", || well(Command::cargo("fmt --all --check")));
    steps.run("tidy", || tidy::check(workspace));
    steps.run("clippy", || {
        well(Command::cargo("clippy --workspace --all-targets --all-features -- -D warnings"))
    });
    steps.run("each crate alone", || alone(workspace));
    steps.run("embedding", || embedding(workspace));
    steps.run("public interfaces", || api::run(workspace, api::Mode::Check));
    steps.run("documentation", || {
        well(
            Command::cargo("doc --workspace --all-features --no-deps")
                .variable("RUSTDOCFLAGS", "-D warnings"),
        )
    });
}

/// In a build of the workspace each crate gets the features that any other one asked for. Alone it
/// must do with its own.
fn alone(workspace: &Workspace) -> Result<Done> {
    for package in workspace.crates() {
        Command::cargo("check --quiet --no-default-features -p").argument(&package.name).run()?;
    }
    Ok(Done::Well)
}

/// A package of its own that has nothing but ring-core, as somebody's would be.
fn embedding(workspace: &Workspace) -> Result<Done> {
    /// Packages that must not come along with packets.
    const UNWANTED: [&str; 4] = ["tokio", "clap", "flowscope", "flow"];
    let manifest = workspace.root.join("examples/embed/Cargo.toml");
    Command::cargo("build --manifest-path")
        .argument(&manifest)
        .words("--target-dir")
        .argument(workspace.target.join("embed"))
        .run()?;
    let tree = Command::cargo("tree --edges normal --prefix none --manifest-path")
        .argument(&manifest)
        .output()?;
    let tree = String::from_utf8_lossy(&tree);
    let packages = tree.lines().filter_map(|line| line.split(' ').next());
    match packages.into_iter().find(|package| UNWANTED.contains(package)) {
        Some(package) => Err(Error::Unwanted { package: package.to_owned() }),
        None => Ok(Done::Well),
    }
}

fn well(command: Command) -> Result<Done> {
    command.run()?;
    Ok(Done::Well)
}
