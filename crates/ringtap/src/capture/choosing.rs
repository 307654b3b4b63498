//! `--where`: only the packets of conversations that meet a condition, from the first one on.
//!
//! The flow table says which conversation a packet belongs to. Packets of undecided conversations
//! wait in a queue, and so do those behind them, so that the output has the order of the input.

mod picks;
mod queue;
mod split;

use std::path::PathBuf;

use capture_file::FileInterface;
use conversation::select::OnUndecided;
use ring_core::{Packet, Timestamp};

use self::picks::{Batch, Picks};
use self::split::Split;
use super::flows::Flows;
use crate::Error;
use crate::choice::Choice;
use crate::input::Input;
use crate::limits;
use crate::names::count;
use crate::report;
use crate::summary::totals::Selected;

/// The options for conversations, besides `--where`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Arguments {
    /// Write the packets of each conversation to a pcapng file of its own in this folder, which has
    /// none yet. Names consist of number, time of the first packet, protocol, initiator and
    /// responder; a comment in the file has the reason. Packets of no conversation are not written.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["write", "count"])]
    per_conversation: Option<PathBuf>,
    /// Take only the first bytes of each conversation: packets until their captured bytes reach
    /// this size. The rest is counted. Suffixes: K, M, G (powers of 1024).
    #[arg(long, value_name = "SIZE", value_parser = limits::bytes)]
    first_bytes: Option<u64>,
}

/// Selects packets by their conversations.
pub(crate) struct Choosing {
    flows: Flows,
    picks: Picks,
}

impl Choosing {
    /// `None` if packets are taken whatever their conversations are.
    pub(crate) fn new(
        arguments: &Arguments,
        choice: &Choice,
        input: &Input,
    ) -> Result<Option<Box<Self>>, Error> {
        let Arguments { per_conversation, first_bytes } = arguments;
        let selection = choice.selection();
        if selection.is_none() && per_conversation.is_none() && first_bytes.is_none() {
            return Ok(None);
        }
        let (condition, policy, limit) = match selection {
            Some((condition, policy, limit)) => (Some(condition), policy, limit),
            None => (None, OnUndecided::Accept, NOTHING_WAITS),
        };
        let reason = condition.as_ref().map(|condition| condition.expression().to_string());
        let split = per_conversation
            .as_ref()
            .map(|path| Split::create(path, input.expression(), reason, input.is_live()))
            .transpose()?;
        let first_bytes = first_bytes.unwrap_or(u64::MAX);
        let picks = Picks::new(condition, (policy, limit), first_bytes, split);
        Ok(Some(Box::new(Self { flows: Flows::new(), picks })))
    }

    /// Returns `true` if packets are written to files of their conversations.
    pub(crate) const fn writes(&self) -> bool {
        self.picks.split.is_some()
    }

    /// Takes the interfaces that the file that is read describes.
    pub(crate) fn describe(&mut self, found: &[FileInterface]) {
        if let Some(split) = &mut self.picks.split {
            split.describe(found);
        }
    }

    /// Takes packets, and passes on those that are to be written now, in the order of their
    /// arrival.
    pub(crate) fn take<E: From<Error>>(
        &mut self,
        packets: &[Packet<'_>],
        mut pass: impl FnMut(&Packet<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let first = self.flows.next();
        self.flows.process(packets, &mut Batch { picks: &mut self.picks, first });
        self.picks.release(first, packets, &mut pass)
    }

    /// Time has passed without packets.
    pub(crate) fn advance<E: From<Error>>(
        &mut self,
        now: Timestamp,
        mut pass: impl FnMut(&Packet<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let first = self.flows.next();
        self.flows.table.advance(now, &mut Batch { picks: &mut self.picks, first });
        self.picks.release(first, &[], &mut pass)
    }

    /// Takes the total of packets that the source has lost.
    pub(crate) fn note_drops(&mut self, drops: u64, now: Timestamp) {
        self.flows.note_drops(drops, now);
    }

    /// The capture has ended, so every conversation is decided.
    pub(crate) fn finish<E: From<Error>>(
        &mut self,
        mut pass: impl FnMut(&Packet<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let first = self.flows.next();
        self.flows.table.finish(&mut Batch { picks: &mut self.picks, first });
        self.picks.release(first, &[], &mut pass)
    }

    /// Prints a line for everything that is not in the output, or not as expected.
    pub(crate) fn print(&self) {
        let Picks { unselected, undecided_accepted, undecided_dropped, astray, cut, .. } =
            self.picks;
        let conversations = |number| count(number, "conversation", "conversations");
        if unselected > 0 {
            let total = conversations(unselected);
            report::line(format_args!("{total} not taken, since --where rejects them"));
        }
        for (number, what) in [
            (undecided_accepted, "taken although --where was undecided"),
            (undecided_dropped, "dropped although --where was undecided"),
        ] {
            if number > 0 {
                let total = conversations(number);
                report::line(format_args!(
                    "{total} {what}: no memory was left (--undecided-memory)"
                ));
            }
        }
        if let (packets @ 1.., bytes) = cut {
            let total = report::packets(packets);
            report::line(format_args!(
                "{total} with {bytes} bytes not taken, since their conversations have more than --first-bytes"
            ));
        }
        let nobodys =
            self.flows.table.not_followed().total() + self.flows.table.statistics().orphan_resets;
        for (number, what) in [
            (nobodys, "not taken, since they belong to no conversation"),
            (
                self.picks.disordered(),
                "taken after later ones: no memory was left (--undecided-memory)",
            ),
            (
                self.picks.undecided_packets,
                "of conversations not known yet decided by --undecided: no memory was left",
            ),
            (astray, "missing from conversations: they seemed to be of others when they came"),
        ] {
            if number > 0 {
                report::line(format_args!("{} {what}", report::packets(number)));
            }
        }
    }

    /// The counters for a program to read.
    pub(crate) fn totals(&self) -> Selected {
        let Picks {
            selected, unselected, undecided_accepted, undecided_dropped, astray, cut, ..
        } = self.picks;
        let (cut_packets, cut_bytes) = cut;
        Selected {
            selected,
            unselected,
            undecided_accepted,
            undecided_dropped,
            disordered: self.picks.disordered(),
            astray,
            cut_packets,
            cut_bytes,
        }
    }
}

/// The memory for packets that wait where only fragments do.
const NOTHING_WAITS: usize = 64 << 20;
