//! Compiles the program that runs in the kernel.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=redirect.bpf.c");
    let object = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("redirect.o");
    let clang = env::var_os("CLANG").unwrap_or_else(|| "clang".into());
    let mut command = Command::new(clang);
    command.args(["-target", "bpf", "-O2", "-g", "-Wall", "-Werror"]);
    // Where Debian and Ubuntu keep `asm/types.h`.
    let architecture = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it");
    command.arg(format!("-I/usr/include/{architecture}-linux-gnu"));
    command.args(["-c", "redirect.bpf.c", "-o"]).arg(object);
    let status = command.status().expect("clang is installed");
    assert!(status.success(), "clang: {status}");
}
