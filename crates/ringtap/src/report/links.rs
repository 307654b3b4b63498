//! Interfaces that go down, and come up again, while packets are captured.

use super::say;
use crate::input::Input;
use crate::text::escape::Escaped;

/// `IFF_UP` of `linux/if.h`.
const UP: u32 = 0x1;

/// The interfaces of a command, and which of them were up when they were last looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links {
    known: Vec<(String, bool)>,
}

impl Links {
    /// Those of a command's input; none where it waits for them without a word.
    pub(crate) fn of(input: &Input) -> Self {
        let names = input.interfaces().filter(|_| !input.waits());
        Self { known: names.map(|name| (name.to_owned(), is_up(name).unwrap_or(true))).collect() }
    }

    /// Says which are down, at the start.
    pub(crate) fn say_down(&self) {
        for (name, _) in self.known.iter().filter(|(_, up)| !up) {
            say(format_args!("{} is down; packets are captured once it is up", Escaped(name)));
        }
    }

    /// Says what has changed. One that was deleted is the source's error.
    pub(crate) fn look(&mut self) {
        for (name, was_up) in &mut self.known {
            let Some(up) = is_up(name).filter(|up| up != was_up) else { continue };
            let what = match up {
                true => "is up; packets are captured",
                false => "went down; packets are captured once it is up again",
            };
            say(format_args!("{} {what}", Escaped(name)));
            *was_up = up;
        }
    }
}

/// `None` where there is no such interface.
fn is_up(name: &str) -> Option<bool> {
    ring_sys::interface::flags(name).ok().map(|flags| flags & UP != 0)
}
