//! `ringtap fields`: the fields that conditions can test.

use std::io::{self, Write};

use clap::ValueEnum;
use conversation::select::field::{self, ALIASES, Description, FIELDS};

use crate::Error;
use crate::output::Output;

/// List the fields that conditions (`--where`) can test.
///
/// The columns are name, type, the stage at which the value is known at the latest, and meaning.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// List them in this form.
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Columns.
    Text,
    /// A page for documentation.
    Markdown,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let output = Output::stdout(false)?;
    output.write(|w| match arguments.output {
        Form::Text => text(w),
        Form::Markdown => markdown(w),
    });
    Ok(output.finish()?)
}

fn text(w: &mut dyn Write) -> io::Result<()> {
    for Description { name, kind, stage, aliases, text, .. } in field::all() {
        write!(w, "{name:23} {kind:13} {stage:12} {text}")?;
        if !aliases.is_empty() {
            write!(w, " Also: {}.", aliases.join(", "))?;
        }
        writeln!(w)?;
    }
    writeln!(w, "\nNames of the fields of one kind of flow:")?;
    for alias in ALIASES {
        let (only, number) = alias.only;
        let field = alias.field.map_or(String::new(), |field| format!(" and {field}"));
        writeln!(w, "{:23} {only} == {number}{field}", alias.name)?;
    }
    Ok(())
}

fn markdown(w: &mut dyn Write) -> io::Result<()> {
    writeln!(w, "# Fields of conditions\n")?;
    writeln!(w, "`ringtap fields` also lists the fields of messages, such as `http.host`.\n")?;
    writeln!(w, "| field | type | known at | meaning | other names |\n|---|---|---|---|---|")?;
    for Description { name, kind, stage, aliases, text, .. } in FIELDS {
        let aliases: Vec<_> = aliases.iter().map(|alias| format!("`{alias}`")).collect();
        writeln!(w, "| `{name}` | {kind} | {stage} | {text} | {} |", aliases.join(" "))?;
    }
    writeln!(w, "\nThese names stand for a field of flows of one kind, or for the kind alone:\n")?;
    writeln!(w, "| name | means |\n|---|---|")?;
    for alias in ALIASES {
        let (only, number) = alias.only;
        let field = alias.field.map_or(String::new(), |field| format!(" and {field} …"));
        writeln!(w, "| `{}` | `{only} == {number}{field}` |", alias.name)?;
    }
    Ok(())
}
