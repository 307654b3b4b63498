//! A program that uses only this crate gets no runtime, no flow tracking and no command line with
//! it.

use std::process::Command;

#[test]
fn no_runtime_and_no_flows_come_along() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "tree",
            "--offline",
            "--package",
            "ring-core",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).expect("names are text");
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"ring-core") && names.contains(&"ring-sys"), "{tree}");
    for unwanted in ["tokio", "flowscope", "clap", "flow", "conversation"] {
        assert!(!names.contains(&unwanted), "{unwanted} comes along:\n{tree}");
    }
}
