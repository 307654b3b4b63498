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
use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::error::Error;
use crate::text::escape::Escaped;

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
    Arguments::try_parse().unwrap_or_else(|mut error| {
        // An unknown option is no part of an expression, as clap suggests.
        if error.kind() == ErrorKind::UnknownArgument {
            error.remove(ContextKind::Suggested);
        }
        let words: Vec<String> =
            env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
        if let Some(message) = suggestion(&words) {
            Arguments::command().error(error.kind(), message).exit()
        }
        error.exit()
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
