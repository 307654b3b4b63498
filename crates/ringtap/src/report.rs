//! What a command says on standard error besides its output: that it has begun, what is wrong, and the totals at its end.

use std::fmt;
use std::io::{self, Write as _};

use conversation::Statistics;
use ring_core::{Side, XdpTapCounters};

use crate::Error;
use crate::input::Input;
use crate::text::escape::{Escaped, EscapedLines};

/// `IFF_UP` of `linux/if.h`.
const UP: u32 = 0x1;

/// Says something on standard error, in a line of its own. If nobody reads standard error, that is no reason to stop.
pub(crate) fn say(what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "ringtap: {what}");
}

/// Says why the command ends early. An error that names a file with a line break in its name is one line all the same.
pub(crate) fn error(error: &Error) {
    let text = error.to_string();
    match error {
        Error::Expression { .. } => say(format_args!("{}", EscapedLines(&text))),
        _ => say(format_args!("{}", Escaped(&text))),
    }
}

/// Says that packets are captured from now on, for scripts that wait for it, and which interfaces are down. Of a file there is
/// nothing to say.
pub(crate) fn listening(input: &Input) {
    if !input.is_live() {
        return;
    }
    for name in input.interfaces() {
        let down = ring_sys::interface::find(name).is_ok_and(|found| found.flags & UP == 0);
        if down {
            say(format_args!("{} is down; packets are captured once it is up", Escaped(name)));
        }
    }
    say(format_args!("{}: listening; Ctrl-C ends", Escaped(&input.name())));
}

pub(crate) fn print(statistics: &Statistics) {
    let source = statistics.source;
    eprintln!("{} packets captured", statistics.packets);
    eprintln!("{} packets received by filter", source.packets);
    eprintln!("{} packets dropped by kernel", source.drops);
    eprintln!("{} conversations", statistics.conversations);
    eprintln!("{} bytes of streams, {} missing", statistics.bytes, statistics.gap_bytes);
    if statistics.dropped_bytes > 0 {
        eprintln!("{} bytes dropped because they were not read in time", statistics.dropped_bytes);
    }
    if statistics.refused > 0 {
        eprintln!(
            "{} announcements dropped because they were not read in time",
            statistics.refused
        );
    }
}

/// What of the packets that were to be passed on was not.
pub(crate) fn print_forwarded(counters: Option<&XdpTapCounters>) {
    let Some(counters) = counters else { return };
    let [left, right] = [Side::Left, Side::Right].map(|side| counters.forwarded(side));
    eprintln!("{} packets passed on", left.forwarded + right.forwarded);
    let lost = [left.full, left.refused, right.full, right.refused];
    if lost.iter().any(|&count| count > 0) {
        eprintln!(
            "{} packets not passed on for want of room, {} because they are too long",
            left.full + right.full,
            left.refused + right.refused
        );
    }
}
