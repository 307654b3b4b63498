//! The example whose program is compiled by clang and loaded by aya.

use std::env;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};

use live_harness::Result;
use netns::Namespace;

use crate::hosts::{Sender, frame, wire};
use crate::setup::need_root;

pub(crate) fn a_program_in_c_that_aya_loads_is_used() -> Result {
    need_root()?;
    let clang = live_harness::program("clang", "clang")?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/aya");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aya");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--target-dir"])
        .arg(&target)
        .current_dir(source)
        .env("CLANG", clang)
        // The flags of this test's build must not affect the example.
        .env_remove("RUSTFLAGS")
        .output()?;
    if !built.status.success() {
        return Err(String::from_utf8_lossy(&built.stderr).into());
    }
    let program = target.join("debug/ring-core-with-aya");

    // Ten packets for the sockets, and two others.
    let mut sent: Vec<_> = (0..12).map(|port| frame(port, 100)).collect();
    sent[3][12..14].copy_from_slice(&0x88b5_u16.to_be_bytes());
    sent[7][23] = 6;
    for option in [None, Some("--hand-over")] {
        let (left, right) = (Namespace::new()?, Namespace::new()?);
        let _links = wire(&left, &right)?;
        let sender = Sender::new(&left, "left0")?;
        let mut command = Command::new(&program);
        command.arg("right0").args(option).stdout(Stdio::piped());
        let mut running = right.spawn(&mut command)?;
        let mut said = BufReader::new(running.child().stdout.take().expect("it is piped"));
        let mut line = String::new();
        said.read_line(&mut line)?;
        assert!(line.starts_with("open: "), "{option:?}: {line}");
        sender.send(&sent)?;
        let mut rest = String::new();
        said.read_to_string(&mut rest)?;
        assert!(running.wait()?.success(), "{option:?}");
        let lines: Vec<_> = rest.lines().collect();
        assert_eq!(lines.len(), 11, "{option:?}: {rest}");
        assert!(lines[..10].iter().all(|line| line.ends_with(" 100 bytes")), "{option:?}: {rest}");
        assert_eq!(lines[10], "10 packets received, 12 seen by the program", "{option:?}");
    }
    Ok(())
}
