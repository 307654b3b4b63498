//! Colours that tell the two directions apart.

use std::env;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use flow::FlowSide;

/// The condition for using colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Even where the output is no terminal.
    Always,
    /// Not at all.
    Never,
}

/// The styles of the output.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Palette {
    initiator: Style,
    responder: Style,
    /// Of what is missing.
    pub(super) gap: Style,
}

impl Palette {
    pub(super) fn new(colour: Colour, terminal: bool) -> Self {
        let wanted = match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
                terminal && !set("NO_COLOR") && env::var_os("TERM").is_none_or(|t| t != "dumb")
            }
        };
        if !wanted {
            return Self::default();
        }
        // Red and blue, as Wireshark has them.
        Self {
            initiator: AnsiColor::Red.on_default(),
            responder: AnsiColor::Blue.on_default(),
            gap: AnsiColor::Yellow.on_default().bold(),
        }
    }

    pub(super) fn side(&self, side: FlowSide) -> Style {
        match side {
            FlowSide::Initiator => self.initiator,
            FlowSide::Responder => self.responder,
        }
    }
}
