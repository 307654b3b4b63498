//! The `ringtap` command: see every conversation on a wire.
#![forbid(unsafe_code)]

mod capture;
mod cause;
mod choice;
mod demo;
mod descriptors;
mod error;
mod fields;
mod flows;
mod follow;
mod grep;
mod hosts;
mod input;
mod interfaces;
mod interrupt;
mod limits;
mod link_types;
mod messages;
mod names;
mod output;
mod privileges;
mod progress;
mod report;
mod running;
mod selection;
mod summary;
mod text;

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::error::Error;
use crate::text::escape::{self, Escaped, EscapedLines};

/// See every conversation on a wire, complete and in order, and exactly what was missed.
#[derive(Debug, Parser)]
#[command(name = "ringtap", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Follow(follow::Arguments),
    Messages(messages::Arguments),
    Flows(flows::Arguments),
    Grep(grep::Arguments),
    Capture(capture::Arguments),
    Interfaces(interfaces::Arguments),
    Fields(fields::Arguments),
    Demo(demo::Arguments),
}

/// The command line, or the end.
fn parse() -> Arguments {
    let words: Vec<OsString> = env::args_os().collect();
    Arguments::try_parse_from(&words).unwrap_or_else(|error| {
        let mut error = harmless(error, &words);
        // An unknown option is no part of an expression, as clap suggests.
        if error.kind() == ErrorKind::UnknownArgument {
            error.remove(ContextKind::Suggested);
        }
        let words: Vec<String> =
            words.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
        if let Some(message) = suggestion(&words) {
            Arguments::command().error(error.kind(), message).exit()
        }
        error.exit()
    })
}

/// The same error with every word of the command line escaped.
///
/// clap repeats words as they are, and a word that a script took from a captured name may contain
/// commands for the terminal. clap decides where a message repeats a word, so the escaped words are
/// parsed again, which fails in the same way.
fn harmless(error: clap::Error, words: &[OsString]) -> clap::Error {
    let escaped = words.iter().map(|word| {
        let mut text = Vec::new();
        let _ = escape::word(&mut text, word.as_bytes());
        OsString::from_vec(text)
    });
    let escaped: Vec<OsString> = escaped.collect();
    if escaped == words {
        return error;
    }
    Arguments::try_parse_from(escaped).err().unwrap_or_else(|| {
        let text = error.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        Arguments::command().error(error.kind(), EscapedLines(text))
    })
}

/// The message for a command line without a subcommand: `-i eth0`, `capture.pcap`.
fn suggestion(words: &[String]) -> Option<String> {
    let first = words.first()?;
    let option =
        first.starts_with('-') && !matches!(&first[..], "-h" | "--help" | "-V" | "--version");
    let rest = if option {
        words.join(" ")
    } else if Path::new(first).is_file() {
        format!("-r {}", words.join(" "))
    } else {
        return None;
    };
    Some(format!(
        "a subcommand comes first, such as: ringtap follow {0}, or as tcpdump does: ringtap capture {0}",
        Escaped(&rest)
    ))
}

fn run(command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::Follow(arguments) => interrupt::listen().and_then(|()| follow::run(&arguments)),
        Command::Capture(arguments) => interrupt::listen().and_then(|()| capture::run(&arguments)),
        Command::Messages(arguments) => {
            interrupt::listen().and_then(|()| messages::run(&arguments))
        }
        Command::Flows(arguments) => interrupt::listen().and_then(|()| flows::run(&arguments)),
        Command::Grep(arguments) => return Ok(grep::status(&arguments)),
        Command::Interfaces(arguments) => interfaces::run(&arguments),
        Command::Fields(arguments) => fields::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
    }
    .map(|()| ExitCode::SUCCESS)
}

fn main() -> ExitCode {
    let result = descriptors::check().and_then(|()| run(parse().command));
    match result {
        Ok(status) => status,
        // The reader of the output has enough: `ringtap … | head` is no failure.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(Error::Interrupted) => {
            report::print_packets(0, None);
            ExitCode::SUCCESS
        }
        Err(error) => {
            report::error(&error);
            if error.is_usage() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
