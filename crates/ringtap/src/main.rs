//! The `ringtap` command: see every conversation on a wire.
#![forbid(unsafe_code)]

mod capture;
mod demo;
mod descriptors;
mod error;
mod flows;
mod follow;
mod hosts;
mod input;
mod interfaces;
mod interrupt;
mod limits;
mod names;
mod output;
mod privileges;
mod progress;
mod report;
mod selection;
mod summary;
mod text;

use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{Parser, Subcommand};

use crate::error::Error;

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
    Flows(flows::Arguments),
    Capture(capture::Arguments),
    Interfaces(interfaces::Arguments),
    Demo(demo::Arguments),
}

/// The command line, or the end.
fn parse() -> Arguments {
    Arguments::try_parse().unwrap_or_else(|mut error| {
        // An unknown option is no part of an expression, as clap suggests.
        if error.kind() == ErrorKind::UnknownArgument {
            error.remove(ContextKind::Suggested);
        }
        error.exit()
    })
}

fn main() -> ExitCode {
    let result = descriptors::check().and_then(|()| match parse().command {
        Command::Follow(arguments) => interrupt::listen().and_then(|()| follow::run(&arguments)),
        Command::Capture(arguments) => interrupt::listen().and_then(|()| capture::run(&arguments)),
        Command::Flows(arguments) => interrupt::listen().and_then(|()| flows::run(&arguments)),
        Command::Interfaces(arguments) => interfaces::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
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
