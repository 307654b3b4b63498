//! Filtering what does not come through a kernel filter.

mod fragments;
#[cfg(test)]
mod tests;

use std::os::fd::BorrowedFd;
use std::time::Duration;

use bytes::Bytes;
use packet_filter::{Ancillary, Filter, Options, Program, Target};

use self::fragments::{Datagram, Fragment, Fragments, Held};
use crate::capture::ancillary;
use crate::{
    Error, Interrupter, LinkType, Next, Packet, PacketBatch, PacketSource, Statistics, Timeout,
};

/// Another source's packets as far as they pass a filter expression: for files and memory, where there is no kernel to
/// do it. (For a [`Capture`](crate::Capture) set the filter there: it costs less.)
///
/// The expression is compiled for each link type when its first packet is read. A packet of a link type on which the
/// expression cannot be tested does not pass ([`untestable`](Self::untestable) counts those); if there are no other packets,
/// the source ends with that error. Packets keep their numbers. A batch of which nothing passes is delivered empty.
///
/// Only the first fragment of an IP datagram has ports. Where the expression tests them ([`Filter::misses_fragments`]), the
/// other fragments share the verdict on the first one, for a minute of the capture's time. Those that come before it in an
/// earlier batch are copied and wait for it; they are then delivered ahead of the batch that the first one is in.
///
/// ```
/// use ring_core::{Filtered, LinkType, MemorySource, Next, PacketBatch as _, PacketSource as _, Timeout, Timestamp};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut source = MemorySource::new(LinkType::ETHERNET);
/// source.push(Timestamp::default(), b"short");
/// source.push(Timestamp::default(), &[0; 64]);
/// let mut source = Filtered::new(source, "greater 60".parse()?)?;
/// let Next::Batch(batch) = source.next_batch(Timeout::Now)? else { panic!("two packets are there") };
/// assert_eq!(batch.packets().map(|packet| packet.number()).collect::<Vec<_>>(), [2]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Filtered<S> {
    source: S,
    expression: Expression,
    programs: Vec<Compiled>,
    /// Verdicts on the packets of the present batch.
    verdicts: Vec<bool>,
    /// The memory of fragments, if the expression tests what only first fragments have.
    fragments: Option<Box<Fragments>>,
    /// Fragments of earlier batches that pass since the first fragment of their datagram is in this one.
    released: Vec<Held>,
    /// Fragments of this batch that have no verdict yet, by their place in it.
    waiting: Vec<(usize, Datagram)>,
    passed: u64,
    truncated: u64,
    untestable: u64,
}

/// Link types that [`packet_filter::inner_link_type`] passes.
const NESTED: [LinkType; 6] =
    [LinkType(143), LinkType(149), LinkType(178), LinkType(192), LinkType(239), LinkType(258)];

/// An expression and how it is compiled.
#[derive(Debug)]
struct Expression {
    filter: Filter,
    options: Options,
}

/// The expression, compiled.
#[derive(Debug)]
struct Compiled {
    link_type: LinkType,
    /// For packets whose VLAN tag is in their metadata, as opposed to in their bytes.
    tag_apart: bool,
    /// `Err` if the expression cannot be tested on this link type, with the error until it is returned.
    program: Result<Program, Option<Error>>,
}

/// The packets of a batch that pass a filter.
#[derive(Debug)]
pub struct FilteredBatch<'a, B> {
    batch: B,
    verdicts: &'a [bool],
    released: &'a [Held],
}

impl<S: PacketSource> Filtered<S> {
    /// Filters a source.
    ///
    /// # Errors
    /// [`Error::Compile`] and [`Error::FilterLinkType`] where the source has one link type and the expression cannot be
    /// compiled for it.
    pub fn new(source: S, filter: Filter) -> Result<Self, Error> {
        Self::with_options(source, filter, Options::file())
    }

    /// Filters a source by an expression that is compiled with these settings; the target is that of a file.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_options(source: S, filter: Filter, options: Options) -> Result<Self, Error> {
        let expression = Expression { filter, options };
        let mut programs = Vec::new();
        // A header that names another link type is known with its packets.
        let known = source.link_type().filter(|link_type| !NESTED.contains(link_type));
        if let Some(link_type) = known
            && expression.filter.expression().is_some()
        {
            let program = expression.compile(link_type, false)?;
            programs.push(Compiled { link_type, tag_apart: false, program: Ok(program) });
        }
        let fragments = expression.filter.misses_fragments().then(Box::default);
        Ok(Self {
            source,
            expression,
            programs,
            verdicts: Vec::new(),
            fragments,
            released: Vec::new(),
            waiting: Vec::new(),
            passed: 0,
            truncated: 0,
            untestable: 0,
        })
    }

    /// The source.
    pub fn get_ref(&self) -> &S {
        &self.source
    }

    /// The packets so far that did not pass because the expression cannot be tested on their link type.
    pub fn untestable(&self) -> u64 {
        self.untestable
    }

    /// The fragments so far that did not pass because the first fragment of their datagram was not captured.
    pub fn undecided_fragments(&self) -> u64 {
        self.fragments.as_ref().map_or(0, |fragments| fragments.undecided())
    }

    /// The source, no longer filtered.
    pub fn into_inner(self) -> S {
        self.source
    }
}

impl<S: PacketSource> PacketSource for Filtered<S> {
    type Batch<'a>
        = FilteredBatch<'a, S::Batch<'a>>
    where
        S: 'a;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Self::Batch<'_>>, Error> {
        let Self {
            source,
            expression,
            programs,
            verdicts,
            fragments,
            released,
            waiting,
            passed,
            truncated,
            untestable,
        } = self;
        let batch = match source.next_batch(timeout)? {
            Next::Batch(batch) => batch,
            Next::TimedOut => return Ok(Next::TimedOut),
            Next::Interrupted => return Ok(Next::Interrupted),
            Next::End => return never_tested(programs).map_or(Ok(Next::End), Err),
        };
        verdicts.clear();
        released.clear();
        if expression.filter.expression().is_none() {
            verdicts.resize(batch.packets().count(), true);
        } else {
            for packet in batch.packets() {
                let (link_type, data) = innermost(&packet);
                let compiled = program(expression, programs, link_type, packet.vlan().is_some());
                let passes = match &compiled.program {
                    Ok(program) => runs(program, &packet, data),
                    Err(_) => {
                        *untestable += 1;
                        false
                    }
                };
                verdicts.push(passes);
            }
        }
        if let Some(fragments) = fragments {
            judge_fragments(&batch, fragments, verdicts, waiting, released);
        }
        for (packet, _) in batch.packets().zip(&*verdicts).filter(|(_, passes)| **passes) {
            *passed += 1;
            *truncated += u64::from(packet.is_truncated());
        }
        for held in &*released {
            *passed += 1;
            *truncated += u64::from(held.packet().is_truncated());
        }
        Ok(Next::Batch(FilteredBatch { batch, verdicts, released }))
    }

    /// As the source's, but for the packets that passed, and those that could not be tested.
    fn statistics(&mut self) -> Result<Statistics, Error> {
        let mut all = self.source.statistics()?;
        (all.packets, all.truncated) = (self.passed, self.truncated);
        all.untestable += self.untestable();
        all.undecided_fragments += self.undecided_fragments();
        Ok(all)
    }

    fn link_type(&self) -> Option<LinkType> {
        self.source.link_type()
    }

    fn is_live(&self) -> bool {
        self.source.is_live()
    }

    fn never_waits(&self) -> bool {
        self.source.never_waits()
    }

    fn held_back(&self) -> Duration {
        self.source.held_back()
    }

    fn interrupter(&self) -> Option<Interrupter> {
        self.source.interrupter()
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        self.source.readiness()
    }
}

impl<B> FilteredBatch<'_, B> {
    /// The batch, with what does not pass.
    #[must_use]
    pub fn get_ref(&self) -> &B {
        &self.batch
    }
}

impl<B: PacketBatch> PacketBatch for FilteredBatch<'_, B> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let passing = self
            .batch
            .packets()
            .zip(self.verdicts)
            .filter_map(|(packet, &passes)| passes.then_some(packet));
        self.released.iter().map(Held::packet).chain(passing)
    }

    fn retain(&self) -> Option<Bytes> {
        // Released fragments do not lie in the memory of the batch.
        self.released.is_empty().then(|| self.batch.retain())?
    }
}

impl Expression {
    fn compile(&self, link_type: LinkType, tag_apart: bool) -> Result<Program, Error> {
        let known = packet_filter::LinkType::try_from(u32::from(link_type.0));
        let known = known.map_err(|_| Error::FilterLinkType { link_type })?;
        let target = if tag_apart { Target::Socket } else { Target::File };
        let program = self.filter.compile(known, &self.options.target(target));
        program.map_err(|source| Error::Compile { link_type, source })
    }
}

/// The link type that an expression is compiled for, and the bytes from its header on.
fn innermost<'p>(packet: &Packet<'p>) -> (LinkType, &'p [u8]) {
    let (mut link_type, mut data) = (packet.link_type(), packet.data());
    // Headers of this kind inside each other are not made by any program.
    for _ in 0..2 {
        let inner = packet_filter::inner_link_type(link_type.0.into(), data);
        let Some((inner, at)) = inner else { break };
        let (Ok(inner), Some(rest)) = (u16::try_from(inner), data.get(at..)) else { break };
        (link_type, data) = (LinkType(inner), rest);
    }
    (link_type, data)
}

fn runs(program: &Program, packet: &Packet<'_>, data: &[u8]) -> bool {
    let ancillary = match packet.vlan() {
        Some(_) => ancillary(packet, 0, 0),
        None => Ancillary::default(),
    };
    program.run(data, packet.wire_len(), &ancillary) != 0
}

fn program<'p>(
    expression: &Expression,
    programs: &'p mut Vec<Compiled>,
    link_type: LinkType,
    tag_apart: bool,
) -> &'p Compiled {
    let known =
        |compiled: &Compiled| compiled.link_type == link_type && compiled.tag_apart == tag_apart;
    let at = programs.iter().position(known).unwrap_or_else(|| {
        let program = expression.compile(link_type, tag_apart).map_err(Some);
        programs.push(Compiled { link_type, tag_apart, program });
        programs.len() - 1
    });
    &programs[at]
}

/// The error of a source on none of whose packets the expression could be tested.
fn never_tested(programs: &mut [Compiled]) -> Option<Error> {
    if programs.iter().any(|compiled| compiled.program.is_ok()) {
        return None;
    }
    programs.iter_mut().find_map(|compiled| compiled.program.as_mut().err()?.take())
}

/// Gives the later fragments of a batch the verdict on the first fragment of their datagram.
fn judge_fragments(
    batch: &impl PacketBatch,
    fragments: &mut Fragments,
    verdicts: &mut [bool],
    waiting: &mut Vec<(usize, Datagram)>,
    released: &mut Vec<Held>,
) {
    waiting.clear();
    for (at, packet) in batch.packets().enumerate() {
        let Some(Fragment { datagram, is_first }) = fragment(&packet) else { continue };
        let now = packet.timestamp();
        if is_first {
            fragments.decide(datagram, verdicts[at], now, released);
            waiting.retain(|&(place, other)| {
                if other == datagram {
                    verdicts[place] = verdicts[at];
                }
                other != datagram
            });
        } else if !verdicts[at] {
            match fragments.verdict(datagram, now) {
                Some(passes) => verdicts[at] = passes,
                None => waiting.push((at, datagram)),
            }
        }
    }
    if waiting.is_empty() {
        return;
    }
    let mut places = waiting.iter().peekable();
    for (at, packet) in batch.packets().enumerate() {
        if let Some((_, datagram)) = places.next_if(|(place, _)| *place == at) {
            fragments.hold(*datagram, &packet);
        }
    }
}

fn fragment(packet: &Packet<'_>) -> Option<Fragment> {
    let (link_type, data) = innermost(packet);
    let link_type = packet_filter::LinkType::try_from(u32::from(link_type.0)).ok()?;
    Fragment::parse(data.get(link_type.network_offset(data)?..)?)
}
