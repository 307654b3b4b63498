//! Restrictions on the dependencies of each crate.

use std::process::Command;

/// A program that embeds only the ring layer gets no runtime, no flow tracker and no command line.
#[test]
fn ring_core_alone_stays_small() {
    let names = dependencies("ring-core");
    for name in ["tokio", "flowscope", "clap", "flow", "conversation", "capture-file"] {
        assert!(!names.iter().any(|found| found == name), "ring-core pulls in {name}: {names:?}");
    }
    assert!(names.iter().any(|name| name == "ring-sys"), "{names:?}");
}

#[test]
fn ring_sys_knows_nothing_asynchronous_and_parses_nothing() {
    for name in dependencies("ring-sys") {
        let allowed =
            ["ring-sys", "libc", "nix", "memmap2", "bitflags", "cfg-if", "memoffset", "thiserror"];
        let is_allowed = allowed.contains(&&*name) || is_of_the_build(&name);
        assert!(is_allowed, "ring-sys pulls in {name}");
    }
}

#[test]
fn packet_has_no_dependencies_but_for_errors() {
    for name in dependencies("packet") {
        let is_allowed = ["packet", "thiserror"].contains(&&*name);
        assert!(is_allowed || is_of_the_build(&name), "packet pulls in {name}");
    }
}

#[test]
fn capture_file_knows_no_rings_and_no_runtime() {
    for name in dependencies("capture-file") {
        let allowed = ["capture-file", "packet", "bytes", "thiserror", "ring-sys", "libc"];
        // ring-sys maps rings; a program that reads files does not.
        let is_allowed = allowed.contains(&&*name) || name == "memmap2" || is_of_the_build(&name);
        assert!(is_allowed, "capture-file pulls in {name}");
    }
}

/// Elsewhere than on Linux it needs no system calls of its own.
#[test]
fn capture_file_is_portable() {
    let names = dependencies_on("capture-file", &["--target", "x86_64-pc-windows-gnu"]);
    for name in &names {
        let is_allowed = ["capture-file", "packet", "bytes", "thiserror"].contains(&&**name);
        assert!(is_allowed || is_of_the_build(name), "capture-file pulls in {name}: {names:?}");
    }
}

#[test]
fn flow_knows_no_rings_and_no_runtime() {
    let names = dependencies("flow");
    for name in ["ring-core", "ring-sys", "tokio", "bytes", "libc"] {
        // ahash's source of seeds may use libc; the flow table itself does not.
        let excused = name == "libc" && names.iter().any(|found| found == "getrandom");
        assert!(
            excused || !names.iter().any(|found| found == name),
            "flow pulls in {name}: {names:?}"
        );
    }
}

/// Its adapters for another crate's parsers are a feature that is off by default.
#[test]
fn flowscope_comes_only_when_it_is_asked_for() {
    for package in ["flow", "flow-filter", "record", "conversation"] {
        let names = dependencies(package);
        let has_it = names.iter().any(|name| name.starts_with("flowscope"));
        assert!(!has_it, "{package} pulls in flowscope: {names:?}");
    }
    let names = dependencies_on("conversation", &["--features", "flowscope"]);
    assert!(names.iter().any(|name| name == "flowscope"), "{names:?}");
}

/// A lock file has the dependencies of every configuration, so that of a model checker as well if
/// it were a normal one: two dozen packages that no user builds.
#[test]
fn no_configuration_of_a_library_needs_loom() {
    for package in ["ring-core", "conversation"] {
        let names = dependencies_with(package, &[], "--cfg loom");
        let is_loom = |name: &String| ["loom", "generator"].contains(&&**name);
        assert!(!names.iter().any(is_loom), "{package} pulls in loom: {names:?}");
    }
}

#[test]
fn flow_filter_knows_no_rings_and_no_runtime() {
    let names = dependencies("flow-filter");
    for name in ["ring-core", "ring-sys", "tokio", "conversation", "bytes"] {
        assert!(!names.iter().any(|found| found == name), "it pulls in {name}: {names:?}");
    }
    assert!(names.iter().any(|name| name == "flow"), "{names:?}");
}

#[test]
fn packet_filter_stands_alone() {
    for name in dependencies("packet-filter") {
        let is_allowed = ["packet-filter", "packet", "thiserror"].contains(&&*name);
        assert!(is_allowed || is_of_the_build(&name), "it pulls in {name}");
    }
}

#[test]
fn protocol_knows_neither_flows_nor_a_runtime() {
    let names = dependencies("protocol");
    for name in ["flow", "ring-core", "conversation", "tokio", "futures-core", "libc"] {
        assert!(!names.iter().any(|found| found == name), "it pulls in {name}: {names:?}");
    }
}

/// Returns `true` for packages that are part of the build. Procedural macros run in the compiler
/// and are not.
fn is_of_the_build(name: &str) -> bool {
    ["thiserror-impl", "proc-macro2", "quote", "syn", "unicode-ident"].contains(&name)
}

/// The names of all packages that `package` needs at run time, including itself.
fn dependencies(package: &str) -> Vec<String> {
    dependencies_on(package, &[])
}

fn dependencies_on(package: &str, options: &[&str]) -> Vec<String> {
    dependencies_with(package, options, "")
}

/// The same in a build with these flags of rustc's.
fn dependencies_with(package: &str, options: &[&str], flags: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-e", "normal", "--prefix", "none", "-p", package])
        .args(options)
        .env("RUSTFLAGS", flags)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("names are text");
    text.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}
