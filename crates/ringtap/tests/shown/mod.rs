//! The output of subcommands for captures that were made by hand.

use std::process::Command;

use serde_json::Value;

use crate::folder::Folder;
use crate::packets::Packets;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Standard output and standard error of a subcommand that reads these packets, in a time zone of
/// 5:30 hours before UTC. The name of the test is that of its folder.
pub(crate) fn shown(test: &str, packets: &Packets, arguments: &[&str]) -> Result<(String, String)> {
    let folder = Folder::new(test)?;
    let file = packets.write(&folder.0)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    let (subcommand, rest) = arguments.split_first().ok_or("no subcommand")?;
    command.env("TZ", "XYZ-05:30").arg(subcommand).arg("--read").arg(file).args(rest);
    let output = command.output()?;
    assert!(output.status.success(), "{output:?}");
    Ok((String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
}

/// The JSON object of each line.
pub(crate) fn objects(text: &str) -> Result<Vec<Value>> {
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}
