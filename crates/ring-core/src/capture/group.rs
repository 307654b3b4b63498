//! Groups of captures that share an interface's packets.

use std::io;
use std::thread::{self, JoinHandle};

use ring_sys::processor;

use super::Capture;
use super::builder::CaptureBuilder;
use super::fanout::{Fanout, FanoutMode};
use crate::error::system;
use crate::{Error, Statistics};

/// Captures in one fanout group. Each packet of the interface is delivered to one of them.
///
/// All members exist before the first packet arrives, so that no flow changes its member.
///
/// ```no_run
/// use ring_core::{Capture, FanoutMode, Timeout};
///
/// # fn main() -> Result<(), ring_core::Error> {
/// let group = Capture::builder("eth0").group(4, FanoutMode::Hash).open()?;
/// let threads = group.spawn(&[0, 1, 2, 3], |member, mut capture| -> Result<(), ring_core::Error> {
///     while let Some(block) = capture.next_block(Timeout::Never)? {
///         println!("member {member}: {} packets", block.len());
///     }
///     Ok(())
/// })?;
/// # drop(threads);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CaptureGroup {
    members: Vec<Capture>,
    number: u16,
}

/// Settings of a [`CaptureGroup`].
#[derive(Clone, Debug)]
#[must_use = "nothing is captured before `open`"]
pub struct CaptureGroupBuilder {
    member: CaptureBuilder,
    members: usize,
    fanout: Fanout,
}

impl CaptureGroup {
    /// The group's number, chosen by the kernel.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The members.
    #[must_use]
    pub fn members(&self) -> &[Capture] {
        &self.members
    }

    /// The members, to take packets of one of them.
    #[must_use]
    pub fn members_mut(&mut self) -> &mut [Capture] {
        &mut self.members
    }

    /// Returns the members, for example to move them to threads. The group lasts until the last of
    /// them is dropped.
    #[must_use]
    pub fn into_members(self) -> Vec<Capture> {
        self.members
    }

    /// Totals of each member.
    ///
    /// # Errors
    /// As [`Capture::statistics`].
    pub fn member_statistics(&mut self) -> Result<Vec<Statistics>, Error> {
        self.members.iter_mut().map(Capture::statistics).collect()
    }

    /// Totals summed over all members.
    ///
    /// # Errors
    /// As [`Capture::statistics`].
    pub fn statistics(&mut self) -> Result<Statistics, Error> {
        let mut total = Statistics::default();
        for member in self.member_statistics()? {
            total += member;
        }
        Ok(total)
    }

    /// Runs each member on a thread of its own, the first one pinned to the first of these
    /// processors, and so on. Members beyond the end of the list are not pinned.
    ///
    /// # Errors
    /// [`Error::System`] if a thread cannot be started or may not run on its processor. Threads
    /// that were started keep running until their work ends.
    pub fn spawn<T: Send + 'static>(
        self,
        processors: &[usize],
        work: impl Fn(usize, Capture) -> T + Clone + Send + 'static,
    ) -> Result<Vec<JoinHandle<T>>, Error> {
        let allowed = processor::allowed().map_err(system("ask for the processors"))?;
        if let Some(unknown) = processors.iter().find(|processor| !allowed.contains(processor)) {
            let source =
                io::Error::new(io::ErrorKind::InvalidInput, format!("no processor {unknown} here"));
            return Err(Error::System { operation: "choose a processor", source });
        }
        let mut threads = Vec::new();
        for (member, capture) in self.members.into_iter().enumerate() {
            let (work, processor) = (work.clone(), processors.get(member).copied());
            let thread = thread::Builder::new()
                .name(format!("{}-{member}", capture.interface()))
                .spawn(move || {
                    // Pinning was possible a moment ago. If it is no longer, the thread runs
                    // elsewhere.
                    processor.map(processor::pin);
                    work(member, capture)
                });
            threads.push(thread.map_err(system("start a thread"))?);
        }
        Ok(threads)
    }
}

impl CaptureBuilder {
    /// Returns the settings of several captures that share the interface's packets; see
    /// [`CaptureGroup`](crate::CaptureGroup). A group has at least one member, even if `members` is
    /// 0.
    pub fn group(self, members: usize, mode: FanoutMode) -> CaptureGroupBuilder {
        CaptureGroupBuilder::new(self, members, mode)
    }
}

impl CaptureGroupBuilder {
    pub(crate) fn new(member: CaptureBuilder, members: usize, mode: FanoutMode) -> Self {
        Self { member, members: members.max(1), fanout: Fanout::unique(mode) }
    }

    /// Lets a member without room pass packets on to the next (`PACKET_FANOUT_FLAG_ROLLOVER` of
    /// packet(7)).
    pub fn rollover(mut self) -> Self {
        self.fanout = self.fanout.rollover();
        self
    }

    /// Makes the kernel reassemble IPv4 fragments first, so that one member gets all of them
    /// (`PACKET_FANOUT_FLAG_DEFRAG`).
    pub fn defragment(mut self) -> Self {
        self.fanout = self.fanout.defragment();
        self
    }

    /// Excludes packets that this host sends, for the whole group
    /// (`PACKET_FANOUT_FLAG_IGNORE_OUTGOING` of `linux/if_packet.h`).
    pub fn ignore_outgoing(mut self) -> Self {
        self.fanout = self.fanout.ignore_outgoing();
        self
    }

    /// Opens all members.
    ///
    /// # Errors
    /// As [`CaptureBuilder::open`].
    pub fn open(self) -> Result<CaptureGroup, Error> {
        /// The kernel's default for the maximum number of members.
        const USUAL: usize = 256;
        let mut fanout = self.fanout;
        if self.members > USUAL {
            fanout.most_members = u32::try_from(self.members).unwrap_or(u32::MAX);
        }
        let mut number = 0;
        let mut closed = Vec::new();
        for _ in 0..self.members {
            // Each member drops all packets until the last one has joined. The kernel scales
            // the hash to the number of members, so flows would change members while the group
            // grows.
            let member = self.member.clone().fanout(fanout.clone()).open_closed()?;
            number = member.group.unwrap_or_default();
            // The first member created the group; the others join it.
            fanout.group = Some(number);
            closed.push(member);
        }
        let members = closed
            .into_iter()
            .map(super::builder::Closed::let_through)
            .collect::<Result<_, _>>()?;
        Ok(CaptureGroup { members, number })
    }
}
